import process from 'node:process';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { SnsTopic } from '../aws/notification-topic.ts';
import { CloudWatchOutcomeLog } from '../aws/outcome-log.ts';
import { readConfig } from '../platform/config.ts';
import { emfMetrics } from '../platform/metrics.ts';
import { createHandler, digestConfigSchema } from './digest.ts';

const config = readConfig(digestConfigSchema, process.env);
const region = config.AWS_REGION;
const logger = new Logger({ serviceName: 'digest' });
const { measures, powertools } = emfMetrics('digest');

export const handler = createHandler({
  config,
  outcomes: new CloudWatchOutcomeLog(region, config.OUTCOME_LOG_GROUP),
  topic: new SnsTopic(region, config.TOPIC_ARN),
  log: logger,
  metrics: measures,
  now: () => new Date(),
})
  // Its environment variable would otherwise have the event itself logged.
  .use(injectLambdaContext(logger, { logEvent: false }))
  .use(logMetrics(powertools));
