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
import { bundle } from '../../infra/bundle.ts';
import type { LargeCluster } from '../builders/large-cluster.ts';
import { EksDouble } from '../doubles/eks.ts';
import { EventBridgeDouble } from '../doubles/eventbridge.ts';
import { ACCOUNT, changeBatch, lambdaContext, REGION } from '../embedded-cluster/event-path.ts';

/*
 * A sweep of a cluster with 10,000 HPAs and 5,000 Gateways by the packaged function. It and the cluster have processes of their
 * own. The heap is a fraction of the memory of a Lambda, so that the test fails long before a Lambda does when a sweep starts to
 * keep more than it needs.
 */
const MEGABYTES_OF_LAMBDA = 512;
const MEGABYTES_OF_HEAP = 80;

const folder = mkdtempSync(join(tmpdir(), 'memory-'));
const eks = new EksDouble();
const eventBridge = new EventBridgeDouble();
let endpoints: Record<string, string>;
beforeAll(async () => {
  await bundle(folder);
  endpoints = { AWS_ENDPOINT_URL_EKS: await eks.start(), AWS_ENDPOINT_URL_EVENTBRIDGE: await eventBridge.start() };
  const event = changeBatch('large', readFileSync('test/fixtures/audit-events/envoyproxy-patch.json', 'utf8'));
  writeFileSync(
    join(folder, 'event.json'),
    JSON.stringify({ event, context: lambdaContext('reap'), remaining: 840_000 }),
  );
}, 60_000);
afterAll(async () => {
  await Promise.all([eks.stop(), eventBridge.stop()]);
  rmSync(folder, { recursive: true });
});

/** Serves the cluster `large` of EKS until the test ends. */
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

/** One sweep: its peak RSS in MiB, the number of messages to retry, and of HPAs by outcome. */
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
  const written = await text(child.stdio[3] as Readable);
  if (written === '') throw new Error('the function ended without an answer; see its output above');
  const { peak, answer } = JSON.parse(written) as { peak: number; answer: SQSBatchResponse };
  const finished = readFileSync(log, 'utf8')
    .split('\n')
    .find((line) => line.includes('"sweep finished"'));
  return { peak, failures: answer.batchItemFailures.length, outcomes: JSON.parse(finished ?? '{}').outcomes };
}

test('reports and deletes 5,000 of 10,000 HPAs in the memory of a Lambda', { timeout: 600_000 }, async () => {
  await serve({ gateways: 5_000, leftBehind: 5_000 });
  const reported = await reap('report');
  expect(reported).toMatchObject({ failures: 0, outcomes: { Kept: 5_000, Reported: 5_000 } });
  expect(reported.peak).toBeLessThan(MEGABYTES_OF_LAMBDA);
  const deleted = await reap('delete');
  expect(deleted).toMatchObject({ failures: 0, outcomes: { Kept: 5_000, Deleted: 5_000 } });
  expect(deleted.peak).toBeLessThan(MEGABYTES_OF_LAMBDA);
});
