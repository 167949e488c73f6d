import process from 'node:process';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import type { PutEventsRequestEntry, PutEventsResponse } from '@aws-sdk/client-eventbridge';
import { partition } from '@aws-sdk/core/client';
import { fromEnv } from '@aws-sdk/credential-provider-env';
import { Sha256 } from '@smithy/core/checksum';
import { loadJsonRpcErrorCode } from '@smithy/core/protocols';
import { DEFAULT_MAX_ATTEMPTS, retryMiddleware, StandardRetryStrategy } from '@smithy/core/retry';
import { HttpRequest } from '@smithy/core/transport';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { SignatureV4 } from '@smithy/signature-v4';
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

/** An entry over the wire. `Time` is in seconds since 1970. */
type Entry = Required<Omit<PutEventsRequestEntry, 'Time' | 'TraceHeader'>> & { Time: number };

/**
 * An event bus of Amazon EventBridge. A response with status 200 may refuse single entries: those are sent again after a random
 * delay. The SDK has already retried a request that fails as a whole; the other batches are still sent.
 *
 * @param bus its name or ARN
 */
export function eventBridgeBus(region: string, bus: string, putEvents = eventBridge(region)): EventBus {
  async function putBatch(batch: readonly Entry[]): Promise<void> {
    let waiting = batch;
    for (let attempt = 1; ; attempt += 1) {
      const { Entries: results = [] } = await putEvents(waiting);
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
        Time: time.getTime() / 1000,
      }));
      const faults: unknown[] = [];
      for (const batch of batches(entries)) await putBatch(batch).catch((error) => faults.push(error));
      if (faults.length === 0) return;
      throw new RetryableError(`not all of ${events.length} events reached ${bus}`, { cause: faults[0] });
    },
  };
}

/**
 * PutEvents with the parts of the SDK that it needs: signature, connections, and retries. A whole client of the SDK takes a third of
 * a cold start of `forward`.
 *
 * @returns a function that throws, after retries, an error with the code of EventBridge as its name
 */
function eventBridge(region: string): (entries: readonly Entry[]) => Promise<PutEventsResponse> {
  const { AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_EVENTBRIDGE } = process.env;
  const url = new URL(
    AWS_ENDPOINT_URL_EVENTBRIDGE || AWS_ENDPOINT_URL || `https://events.${region}.${partition(region).dnsSuffix}`,
  );
  const signer = new SignatureV4({ service: 'events', region, credentials: fromEnv(), sha256: Sha256 });
  const connections = new NodeHttpHandler(awsClient({ region }).requestHandler);
  const strategy = new StandardRetryStrategy(DEFAULT_MAX_ATTEMPTS);
  const retry = retryMiddleware({ retryStrategy: async () => strategy, maxAttempts: () => strategy.maxAttempts() });
  const send = retry<PutEventsResponse & { $metadata: object }>(async ({ request }) => {
    const { response } = await connections.handle(new HttpRequest(await signer.sign(request as HttpRequest)));
    const body = await text(response.body);
    const $metadata = { httpStatusCode: response.statusCode };
    if (response.statusCode === 200) return { response, output: { ...JSON.parse(body), $metadata } };
    const fault = jsonOf(body);
    const name = loadJsonRpcErrorCode(response, fault) ?? `HTTP ${response.statusCode}`;
    throw Object.assign(new Error(fault.message ?? fault.Message ?? name), { name, $metadata, $response: response });
  }, {});
  const { protocol, host, hostname, port, pathname: path } = url;
  return async (entries) => {
    const request = new HttpRequest({
      ...{ method: 'POST', protocol, hostname, port: port === '' ? undefined : Number(port), path },
      headers: { host, 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'AWSEvents.PutEvents' },
      body: JSON.stringify({ Entries: entries }),
    });
    return (await send({ input: request, request })).output;
  };
}

/** What is between a function and a service may respond with HTML. */
function jsonOf(body: string): { message?: string; Message?: string } {
  try {
    return Object(JSON.parse(body));
  } catch {
    return {};
  }
}

/** Groups entries into requests within their limits. An entry that takes more than its share of a request is sent alone. */
function batches(entries: readonly Entry[]): Entry[][] {
  // As JSON, an entry has more bytes than EventBridge counts.
  const isLarge = (entry: Entry) => Buffer.byteLength(JSON.stringify(entry)) > BYTES_PER_REQUEST / ENTRIES_PER_REQUEST;
  const batched = entries.filter(isLarge).map((entry) => [entry]);
  const small = entries.filter((entry) => !isLarge(entry));
  while (small.length > 0) batched.push(small.splice(0, ENTRIES_PER_REQUEST));
  return batched;
}
