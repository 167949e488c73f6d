import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { awsClient } from '../aws/client.ts';
import { eventBridgeBus } from '../aws/event-bus.ts';
import { lambdaHandler } from '../platform/lambda.ts';
import { createHandler, forwardConfigSchema } from './forward.ts';

export const handler = lambdaHandler('forward', forwardConfigSchema, 'payload not forwarded', (wiring) => {
  const client = new EventBridgeClient(awsClient({ region: wiring.config.AWS_REGION }));
  return createHandler({ ...wiring, eventBus: eventBridgeBus(client, wiring.config.EVENT_BUS_NAME) });
});
