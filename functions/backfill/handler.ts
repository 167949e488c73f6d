import process from 'node:process';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { awsClient } from '../aws/client-options.ts';
import { EksClusterDirectory } from '../aws/cluster-directory.ts';
import { EventBridgeBus } from '../aws/event-bus.ts';
import { readConfig } from '../platform/config.ts';
import { emfMetrics } from '../platform/metrics.ts';
import { backfillConfigSchema, createHandler } from './backfill.ts';

const config = readConfig(backfillConfigSchema, process.env);
const logger = new Logger({ serviceName: 'backfill' });
const { measures, powertools } = emfMetrics('backfill');
const client = new EventBridgeClient(awsClient({ region: config.AWS_REGION }));

export const handler = createHandler({
  config,
  directoryOf: (region) => new EksClusterDirectory(region),
  eventBus: new EventBridgeBus(client, config.EVENT_BUS_NAME),
  log: logger,
  metrics: measures,
  now: () => new Date(),
  startTimer: (milliseconds, act) => {
    const timer = setTimeout(act, milliseconds);
    return () => clearTimeout(timer);
  },
})
  // Its environment variable would otherwise have the event itself logged.
  .use(injectLambdaContext(logger, { logEvent: false }))
  .use(logMetrics(powertools));
