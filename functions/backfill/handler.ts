import { eksClusterDirectory } from '../aws/cluster-directory.ts';
import { eventBridgeBus } from '../aws/event-bus.ts';
import { lambdaHandler } from '../platform/lambda.ts';
import { backfillConfigSchema, createHandler } from './backfill.ts';

export const handler = lambdaHandler('backfill', backfillConfigSchema, 'run failed', (wiring) =>
  createHandler({
    ...wiring,
    directoryOf: (region) => eksClusterDirectory(region),
    eventBus: eventBridgeBus(wiring.config.AWS_REGION, wiring.config.EVENT_BUS_NAME),
    now: () => new Date(),
  }),
);
