import * as z from 'zod/mini';
import { EVENT_SOURCE } from './change-event.ts';

/**
 * The EventBridge event that a schedule puts each hour and `reap` counts: bus, rule, queue and function let it through. It
 * names no cluster.
 */
export const HEARTBEAT_DETAIL_TYPE = 'Heartbeat';

export const heartbeatSchema = z
  .object({ version: z.literal('1') })
  .check(z.describe(`The detail of an EventBridge event ${HEARTBEAT_DETAIL_TYPE} with source ${EVENT_SOURCE}`));
