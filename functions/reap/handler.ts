import process from 'node:process';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { awsClient } from '../aws/client-options.ts';
import { EksClusterDirectory } from '../aws/cluster-directory.ts';
import type { EventBus } from '../aws/event-bus.ts';
import { readConfig } from '../platform/config.ts';
import { emfMetrics } from '../platform/metrics.ts';
import { createHandler, reapConfigSchema } from './reap.ts';

const config = readConfig(reapConfigSchema, process.env);
const logger = new Logger({ serviceName: 'reap' });
const { measures, powertools } = emfMetrics('reap');

/** Most passes have nothing to tell: what puts outcomes is loaded for the first that has. */
async function connectBus(): Promise<EventBus> {
  const [{ EventBridgeClient }, { EventBridgeBus }] = await Promise.all([
    import('@aws-sdk/client-eventbridge'),
    import('../aws/event-bus.ts'),
  ]);
  const client = new EventBridgeClient(awsClient({ region: config.AWS_REGION }));
  return new EventBridgeBus(client, config.EVENT_BUS_NAME);
}
let bus: Promise<EventBus> | undefined;

export const handler = createHandler({
  config,
  directory: new EksClusterDirectory(config.AWS_REGION),
  eventBus: {
    async put(events) {
      bus ??= connectBus();
      await (await bus).put(events);
    },
  },
  log: logger,
  metrics: measures,
  now: () => new Date(),
})
  // Its environment variable would otherwise have the event itself logged.
  .use(injectLambdaContext(logger, { logEvent: false }))
  .use(logMetrics(powertools));
