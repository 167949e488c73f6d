import process from 'node:process';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import type * as z from 'zod/mini';
import { readConfig } from './config.ts';
import { describeError } from './errors.ts';
import type { Log } from './logger.ts';
import { emfMetrics, type MetricsRecorder } from './metrics.ts';

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
  const config = readConfig(schema, process.env);
  const logger = new Logger({ serviceName: service });
  const { metrics, powertools } = emfMetrics(service);
  return (
    middy<unknown, Result>()
      // Without a return value the invocation still fails.
      .onError(({ error }) => logger.error(failure, { error: error?.name, reason: describeError(error) }))
      // Its environment variable would otherwise log the event itself.
      .use(injectLambdaContext(logger, { logEvent: false }))
      .use(logMetrics(powertools))
      .handler(create({ config, log: logger, metrics }))
  );
}
