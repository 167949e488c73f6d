import process from 'node:process';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { awsClient } from '../aws/client-options.ts';
import { EventBridgeBus } from '../aws/event-bus.ts';
import { readConfig } from '../platform/config.ts';
import { emfMetrics } from '../platform/metrics.ts';
import { createHandler, forwardConfigSchema } from './forward.ts';

const config = readConfig(forwardConfigSchema, process.env);
const logger = new Logger({ serviceName: 'forward' });
const { measures, powertools } = emfMetrics('forward');
const client = new EventBridgeClient(awsClient({ region: config.AWS_REGION }));

export const handler = createHandler({
  config,
  eventBus: new EventBridgeBus(client, config.EVENT_BUS_NAME),
  log: logger,
  metrics: measures,
})
  // Its environment variable would otherwise have the event itself logged.
  .use(injectLambdaContext(logger, { logEvent: false }))
  .use(logMetrics(powertools));
