import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { SQSBatchResponse } from 'aws-lambda';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { CHANGE_DETAIL_TYPE, EVENT_SOURCE } from '../../functions/events/change-event.ts';
import { bundle } from '../../infra/bundle.ts';
import type { LargeCluster } from '../builders/large-cluster.ts';
import { EksDouble } from '../doubles/eks.ts';
import { EventBridgeDouble } from '../doubles/eventbridge.ts';
import { ACCOUNT, busEvent, lambdaContext, queueBatch, REGION } from '../embedded-cluster/event-path.ts';

/*
 * 10,000 HPAs and 5,000 Gateways in one cluster, swept by the packaged function in a process of its own; the cluster is in
 * another. A Lambda of 512 MB would hold it. The heap is given a fraction of that, so that the test fails when a pass begins
 * to keep what it need not, long before a Lambda would.
 */
const MEGABYTES_OF_LAMBDA = 512;
const MEGABYTES_OF_HEAP = 100;

const folder = mkdtempSync(join(tmpdir(), 'memory-'));
const eks = new EksDouble();
const eventBridge = new EventBridgeDouble();
let endpoints: Record<string, string>;
beforeAll(async () => {
  await bundle(folder);
  endpoints = { AWS_ENDPOINT_URL_EKS: await eks.start(), AWS_ENDPOINT_URL_EVENTBRIDGE: await eventBridge.start() };
  const line = JSON.parse(readFileSync('test/fixtures/audit-events/envoyproxy-patch.json', 'utf8'));
  const { auditID, verb, objectRef, sourceIPs, requestReceivedTimestamp, stageTimestamp, user } = line;
  const times = { requestReceivedTimestamp, stageTimestamp };
  const detail = { version: '1', cluster: 'large', auditID, verb, objectRef, user, sourceIPs, ...times, lines: 1 };
  const change = { source: EVENT_SOURCE, detailType: CHANGE_DETAIL_TYPE, detail, resources: [], time: new Date() };
  const event = queueBatch([JSON.stringify(busEvent(change))]);
  writeFileSync(
    join(folder, 'event.json'),
    JSON.stringify({ event, context: lambdaContext('reap'), remaining: 840_000 }),
  );
}, 60_000);
afterAll(async () => {
  await Promise.all([eks.stop(), eventBridge.stop()]);
  rmSync(folder, { recursive: true });
});

/** The cluster that EKS knows as `large`, until the test ends. */
async function serve(size: LargeCluster): Promise<void> {
  const script = join(import.meta.dirname, 'large-cluster-process.ts');
  const child = spawn(process.execPath, [script, JSON.stringify(size)], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    child.stdin.end();
    await once(child, 'close');
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  const { url, caCertificate } = JSON.parse(line);
  eks.clusters.set('large', { status: 'ACTIVE', endpoint: url, ca: caCertificate });
}

/** One pass: its peak RSS in MiB, the messages that go back to the queue, and how many HPAs came to what. */
async function reap(mode: 'report' | 'delete') {
  const script = join(import.meta.dirname, '../e2e/one-invocation.mjs');
  const handler = join(folder, 'reap', 'handler.mjs');
  const log = join(folder, 'log');
  const flags = [`--max-old-space-size=${MEGABYTES_OF_HEAP}`];
  const child = spawn(process.execPath, [...flags, script, handler, join(folder, 'event.json')], {
    // A pipe that is not read fast enough would fill the memory that is measured.
    stdio: ['ignore', openSync(log, 'w'), 'inherit', 'pipe'],
    env: {
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_SESSION_TOKEN: 'token',
      ...endpoints,
      ACCOUNT_ID: ACCOUNT,
      EVENT_BUS_NAME: 'bus',
      MODE: mode,
      MAX_DELETIONS: '10000',
    },
  });
  const told = await text(child.stdio[3] as Readable);
  if (told === '') throw new Error('the function ended without an answer; what it said stands above');
  const { peak, answer } = JSON.parse(told) as { peak: number; answer: SQSBatchResponse };
  const finished = readFileSync(log, 'utf8')
    .split('\n')
    .find((line) => line.includes('"sweep finished"'));
  return { peak, failures: answer.batchItemFailures.length, outcomes: JSON.parse(finished ?? '{}').outcomes };
}

/** Less than a minute, but not on a machine that does ten other things. */
const patience = 600_000;

test(
  'half of the HPAs are stale: reported, and then deleted',
  async () => {
    await serve({ gateways: 5_000, leftBehind: 5_000 });
    const reported = await reap('report');
    expect(reported).toMatchObject({ failures: 0, outcomes: { Kept: 5_000, Reported: 5_000 } });
    expect(reported.peak).toBeLessThan(MEGABYTES_OF_LAMBDA);
    const deleted = await reap('delete');
    expect(deleted).toMatchObject({ failures: 0, outcomes: { Kept: 5_000, Deleted: 5_000 } });
    expect(deleted.peak).toBeLessThan(MEGABYTES_OF_LAMBDA);
  },
  patience,
);
