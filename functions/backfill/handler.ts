import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { awsClient } from '../aws/client.ts';
import { EksClusterDirectory } from '../aws/cluster-directory.ts';
import { eventBridgeBus } from '../aws/event-bus.ts';
import { lambdaHandler } from '../platform/lambda.ts';
import { backfillConfigSchema, createHandler } from './backfill.ts';

export const handler = lambdaHandler('backfill', backfillConfigSchema, 'run failed', (wiring) => {
  const client = new EventBridgeClient(awsClient({ region: wiring.config.AWS_REGION }));
  return createHandler({
    ...wiring,
    directoryOf: (region) => new EksClusterDirectory(region),
    eventBus: eventBridgeBus(client, wiring.config.EVENT_BUS_NAME),
    now: () => new Date(),
  });
});
