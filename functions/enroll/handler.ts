import process from 'node:process';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { eksAccessEntries } from '../aws/access-entries.ts';
import { EksClusterDirectory } from '../aws/cluster-directory.ts';
import { cloudWatchLogsFilters } from '../aws/subscription-filters.ts';
import { readConfig } from '../platform/config.ts';
import { emfMetrics } from '../platform/metrics.ts';
import { createHandler, enrollConfigSchema } from './enroll.ts';

const config = readConfig(enrollConfigSchema, process.env);
const region = config.AWS_REGION;
const logger = new Logger({ serviceName: 'enroll' });
const { metrics, powertools } = emfMetrics('enroll');

export const handler = createHandler({
  config,
  directory: new EksClusterDirectory(region),
  filters: cloudWatchLogsFilters({ region }),
  entries: eksAccessEntries({ region }),
  log: logger,
  metrics,
  now: () => new Date(),
})
  // Its environment variable would otherwise have the event itself logged, and with it the stack's presigned URL.
  .use(injectLambdaContext(logger, { logEvent: false }))
  .use(logMetrics(powertools));
