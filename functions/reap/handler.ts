import { awsClient } from '../aws/client.ts';
import { EksClusterDirectory } from '../aws/cluster-directory.ts';
import type { EventBus } from '../aws/event-bus.ts';
import { lambdaHandler } from '../platform/lambda.ts';
import { createHandler, reapConfigSchema } from './reap.ts';

export const handler = lambdaHandler('reap', reapConfigSchema, 'event not handled', ({ config, log, metrics }) => {
  /** Most sweeps have no outcome: the SDK is loaded for the first that has. */
  const connectBus = async (): Promise<EventBus> => {
    const { EventBridgeClient } = await import('@aws-sdk/client-eventbridge');
    const { eventBridgeBus } = await import('../aws/event-bus.ts');
    const client = new EventBridgeClient(awsClient({ region: config.AWS_REGION }));
    return eventBridgeBus(client, config.EVENT_BUS_NAME);
  };
  let bus: Promise<EventBus> | undefined;
  return createHandler({
    config,
    directory: new EksClusterDirectory(config.AWS_REGION),
    eventBus: {
      async put(events) {
        bus ??= connectBus();
        await (await bus).put(events);
      },
    },
    log,
    metrics,
    now: () => new Date(),
  });
});
