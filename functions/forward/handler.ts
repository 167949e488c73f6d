import { eventBridgeBus } from '../aws/event-bus.ts';
import { lambdaHandler } from '../platform/lambda.ts';
import { createHandler, forwardConfigSchema } from './forward.ts';

export const handler = lambdaHandler('forward', forwardConfigSchema, 'payload not forwarded', (wiring) => {
  const { AWS_REGION, EVENT_BUS_NAME } = wiring.config;
  return createHandler({ ...wiring, eventBus: eventBridgeBus(AWS_REGION, EVENT_BUS_NAME) });
});
