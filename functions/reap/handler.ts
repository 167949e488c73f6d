import process from 'node:process';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { Metrics } from '@aws-lambda-powertools/metrics';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { EksClusterDirectory } from '../aws/cluster-directory.ts';
import { readConfig } from '../platform/config.ts';
import { createHandler, reapConfigSchema } from './reap.ts';

const config = readConfig(reapConfigSchema, process.env);
const logger = new Logger({ serviceName: 'reap' });
const metrics = new Metrics({ namespace: 'EnvoyHpaReaper', serviceName: 'reap' });

export const handler = createHandler({
  config,
  directory: new EksClusterDirectory(config.AWS_REGION),
  log: logger,
  metrics,
  now: () => new Date(),
})
  // Its environment variable would otherwise have the event itself logged.
  .use(injectLambdaContext(logger, { logEvent: false }))
  .use(logMetrics(metrics));
