import process from 'node:process';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { Metrics } from '@aws-lambda-powertools/metrics';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import type * as z from 'zod/mini';
import { describeError } from './errors.ts';
import type { Log } from './logger.ts';
import { METRICS, METRICS_NAMESPACE, type MetricsRecorder } from './metrics.ts';

export type Handler<Result> = (event: unknown, context: Context) => Promise<Result>;

/**
 * Wires a Lambda function: configuration, logger and metrics.
 *
 * @param failure the log message for an invocation that fails
 * @param create creates the handler, once for each process
 * @throws {ConfigurationError} when the environment variables do not fit the schema
 */
export function lambdaHandler<Schema extends z.ZodMiniObject, Result>(
  service: string,
  schema: Schema,
  failure: string,
  create: (wiring: { config: z.infer<Schema>; log: Log; metrics: MetricsRecorder }) => Handler<Result>,
) {
  const config = configOf(schema, process.env);
  const logger = createLogger(service);
  const powertools = new Metrics({ namespace: METRICS_NAMESPACE, serviceName: service });
  // Published at once and empty again. Powertools reads the environment for each new one.
  let single: ReturnType<Metrics['singleMetric']> | undefined;
  const add: MetricsRecorder['add'] = (name, value, reason) => {
    if (value === 0) return;
    if (reason === undefined) powertools.addMetric(name, METRICS[name], value);
    else {
      single ??= powertools.singleMetric();
      single.addDimension('reason', reason).addMetric(name, METRICS[name], value);
    }
  };
  // Unlike the middleware of Powertools, without a warning where nothing was counted.
  const publish = () => void (powertools.hasStoredMetrics() && powertools.publishStoredMetrics());
  return (
    middy<unknown, Result>()
      // Without a return value the invocation still fails.
      .onError(({ error }) => logger.error(failure, { error: error?.name, reason: describeError(error) }))
      // Its environment variable would otherwise log the event itself.
      .use(injectLambdaContext(logger, { logEvent: false }))
      .use({ after: publish, onError: publish })
      .handler(create({ config, log: logger, metrics: { add } }))
  );
}

/** The function cannot start. */
class ConfigurationError extends Error {
  override name = 'ConfigurationError';
}

/** @throws {ConfigurationError} for a variable of Powertools that is malformed */
function createLogger(serviceName: string): Logger {
  try {
    return new Logger({ serviceName });
  } catch (error) {
    throw new ConfigurationError(`the environment does not fit: ${describeError(error)}`);
  }
}

/** @throws {ConfigurationError} with every variable that is missing or malformed, and no value */
function configOf<Schema extends z.ZodMiniObject>(schema: Schema, environment: NodeJS.ProcessEnv): z.infer<Schema> {
  const parsed = schema.safeParse(environment);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => {
    const name = path.join('.');
    return environment[name] === undefined ? `${name} is missing` : `${name}: ${message}`;
  });
  throw new ConfigurationError(`the environment does not fit: ${faults.join('; ')}`);
}
