import { eksClusterDirectory } from '../aws/cluster-directory.ts';
import type { EventBus } from '../aws/event-bus.ts';
import { lambdaHandler } from '../platform/lambda.ts';
import { createHandler, reapConfigSchema } from './reap.ts';

export const handler = lambdaHandler('reap', reapConfigSchema, 'event not handled', (wiring) => {
  const { AWS_REGION, EVENT_BUS_NAME } = wiring.config;
  let bus: EventBus | undefined;
  return createHandler({
    ...wiring,
    directory: eksClusterDirectory(AWS_REGION),
    eventBus: {
      async put(events) {
        // Most sweeps publish no outcome, so the SDK is loaded only for the first one that does.
        const { eventBridgeBus } = await import('../aws/event-bus.ts');
        bus ??= eventBridgeBus(AWS_REGION, EVENT_BUS_NAME);
        await bus.put(events);
      },
    },
    now: () => new Date(),
  });
});
