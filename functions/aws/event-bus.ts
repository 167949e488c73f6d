import { setTimeout } from 'node:timers/promises';
import { EventBridgeClient, PutEventsCommand, type PutEventsRequestEntry } from '@aws-sdk/client-eventbridge';
import { RetryableError } from '../platform/errors.ts';
import { awsClient } from './client.ts';

export interface EventBus {
  /**
   * Puts every event on the bus at least once, in no certain order.
   *
   * @param events `detail` becomes JSON; `resources` are the ARNs that the event is about
   * @throws {RetryableError} if some did not reach the bus; the others did
   */
  put(
    events: readonly { source: string; detailType: string; detail: object; resources: readonly string[]; time: Date }[],
  ): Promise<void>;
}

/** The maximum of PutEvents. */
const ENTRIES_PER_REQUEST = 10;
/** The limit of a request was 256 KB. Since January 2026 it is 1 MB, but not in every partition. */
const BYTES_PER_REQUEST = 256 * 1024;
/** Maximum requests with the same entry, with at most 100, 200 and 400 ms between them. */
const ATTEMPTS = 4;
const FIRST_BACKOFF_MS = 100;

/**
 * An event bus of Amazon EventBridge. A response with status 200 may refuse single entries: those are sent again after a random
 * delay. The SDK has already retried a request that fails as a whole; the other batches are still sent.
 *
 * @param bus its name or ARN
 */
export function eventBridgeBus(
  region: string,
  bus: string,
  client: Pick<EventBridgeClient, 'send'> = new EventBridgeClient(awsClient({ region })),
): EventBus {
  async function putBatch(batch: readonly PutEventsRequestEntry[]): Promise<void> {
    let waiting = batch;
    for (let attempt = 1; ; attempt += 1) {
      const { Entries: results = [] } = await client.send(new PutEventsCommand({ Entries: [...waiting] }));
      // The response has a result for each entry, in their order. Only an accepted entry has an EventId.
      const refused = waiting.filter((_, index) => results[index]?.EventId === undefined);
      if (refused.length === 0) return;
      if (attempt === ATTEMPTS) {
        const codes = new Set(results.map(({ ErrorCode = 'no ErrorCode' }) => ErrorCode));
        throw new RetryableError(`after ${ATTEMPTS} attempts still refused: ${[...codes].join(', ')}`);
      }
      await setTimeout(Math.random() * FIRST_BACKOFF_MS * 2 ** (attempt - 1));
      waiting = refused;
    }
  }
  return {
    async put(events) {
      const entries = events.map(({ source, detailType, detail, resources, time }) => ({
        EventBusName: bus,
        Source: source,
        DetailType: detailType,
        Detail: JSON.stringify(detail),
        Resources: [...resources],
        Time: time,
      }));
      const faults: unknown[] = [];
      for (const batch of batches(entries)) await putBatch(batch).catch((error) => faults.push(error));
      if (faults.length === 0) return;
      throw new RetryableError(`not all of ${events.length} events reached ${bus}`, { cause: faults[0] });
    },
  };
}

/** Groups entries into requests within their limits. An entry that takes more than its share of a request is sent alone. */
function batches(entries: readonly PutEventsRequestEntry[]): PutEventsRequestEntry[][] {
  // As JSON, an entry has more bytes than EventBridge counts.
  const isLarge = (entry: PutEventsRequestEntry) =>
    Buffer.byteLength(JSON.stringify(entry)) > BYTES_PER_REQUEST / ENTRIES_PER_REQUEST;
  const batched = entries.filter(isLarge).map((entry) => [entry]);
  const small = entries.filter((entry) => !isLarge(entry));
  for (let start = 0; start < small.length; start += ENTRIES_PER_REQUEST) {
    batched.push(small.slice(start, start + ENTRIES_PER_REQUEST));
  }
  return batched;
}
