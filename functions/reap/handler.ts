import process from 'node:process';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { EksClusterDirectory } from '../aws/cluster-directory.ts';
import { readConfig } from '../platform/config.ts';
import { emfMetrics } from '../platform/metrics.ts';
import { createHandler, reapConfigSchema } from './reap.ts';

const config = readConfig(reapConfigSchema, process.env);
const logger = new Logger({ serviceName: 'reap' });
const { measures, powertools } = emfMetrics('reap');

export const handler = createHandler({
  config,
  directory: new EksClusterDirectory(config.AWS_REGION),
  log: logger,
  metrics: measures,
  now: () => new Date(),
})
  // Its environment variable would otherwise have the event itself logged.
  .use(injectLambdaContext(logger, { logEvent: false }))
  .use(logMetrics(powertools));
