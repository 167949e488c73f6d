import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { findObjects } from '../../functions/cli/input/find-objects.ts';
import { savedHpaReader } from '../../functions/cli/input/saved-hpas.ts';
import { EVENT_SOURCE } from '../../functions/events/event-source.ts';
import { QUEUED_DETAILS } from '../../functions/events/queued-event.ts';
import type { HorizontalPodAutoscaler } from '../../functions/judgement/kubernetes-objects.ts';
import { isMarked } from '../../functions/judgement/ownership.ts';
import { SCHEMAS_FOLDER, schemaDocuments } from '../../infra/schemas.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { auditLine, payload } from '../doubles/cloudwatch-logs.ts';
import { busEvent, invocation, lambdaContext } from '../embedded-cluster/event-path.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import { backfillSurroundings } from './account.ts';
import { startAccount } from './cli-account.ts';
import { backupDirectory, kubeconfigOf, patience, run, serveSettled } from './cli-harness.ts';
import { logGroup } from './enroll-harness.ts';
import { hpasOf, missingList, STALE, serve, staleList, sweep, without } from './harness.ts';
import { reapBatch, requested, sweepByEvent } from './reap-harness.ts';

// A folder for each released version, with what it wrote and another version reads: messages in the queue during an upgrade,
// backups, reports, marks. It never changes again, also if the code does.

const RELEASED = 'test/fixtures/released';
const HOW_TO_RECORD = 'for a release, run RECORD_RELEASE=1 npx vitest run test/e2e/released.test.ts';

const self = backfillSurroundings();
const { around } = self;

const fileOf = (detailType: string) =>
  ({
    'Envoy Gateway Configuration Changed': 'change-event-detail.json',
    'Cluster Sweep Requested': 'sweep-request-detail.json',
  })[detailType] ?? `${detailType.toLowerCase().replaceAll(' ', '-')}-detail.json`;

/** What this version writes, in runs of everything, by file name. */
async function produced(): Promise<Map<string, object | undefined>> {
  const files = new Map<string, object | undefined>();
  // The functions.
  const shop = await around.enroll('shop', staleList());
  shop.onRequest = ({ method }) => {
    if (method === 'DELETE') files.set('marked-hpa.json', structuredClone(shop.objects('horizontalpodautoscalers')[0]));
    return undefined;
  };
  for (const name of ['toys', 'bank', 'office', 'school']) await around.enroll(name, staleList());
  await around.enroll('lost', missingList());
  await around.enroll('forbidden', staleList(), { rbac: [] });
  const { handler: forward } = await import('../../functions/forward/handler.ts');
  await forward(invocation(payload([auditLine('envoyproxy-patch')])), lambdaContext('forward'));
  const scheduled = { dispatch: 'bus', mode: 'delete' };
  const requests = [
    { ...scheduled, clusters: ['toys', 'lost', 'forbidden'] },
    { ...scheduled, clusters: ['bank'], mode: 'report' },
    { ...scheduled, clusters: ['office'], maxDeletions: 0 },
  ];
  for (const request of requests) await self.backfill(request);
  const messages = around.bus.taken.filter(({ DetailType }) => DetailType in QUEUED_DETAILS);
  await reapBatch(messages.map(({ DetailType, Detail }) => onTheBus(DetailType, JSON.parse(Detail))));
  for (const { DetailType, Detail } of around.bus.taken.toReversed()) files.set(fileOf(DetailType), JSON.parse(Detail));
  const [, heartbeat = ''] = /Input: '(.+)'/.exec(readFileSync('infra/heartbeat.yml', 'utf8')) ?? [];
  files.set(fileOf('Heartbeat'), JSON.parse(heartbeat));
  files.set('backfill-payload.json', scheduled);
  files.set('enrollment-payload.json', {});
  files.set('sweep-report.json', await sweepByEvent(requested('school')));
  files.set(
    'deletion-log.json',
    around.output.logged().find(({ message }) => message === 'deleting HPA'),
  );
  // The command line.
  const cluster = await serveSettled(staleList());
  const { path, backups, reports } = backupDirectory();
  const kubeconfig = ['--kubeconfig', kubeconfigOf({ production: cluster })];
  await run(['reap', ...kubeconfig, '--backup-dir', path, '--yes']);
  const [backup = '', report = ''] = [...backups(), ...reports()];
  files.set('backup.json', jsonIn(backup)).set('run-report.json', jsonIn(report));
  await run(['restore', backup, ...kubeconfig, '--keep']);
  files.set('restored-hpa.json', cluster.objects('horizontalpodautoscalers')[0]);
  const { env, logs } = await startAccount(staleList());
  logs.add(logGroup('shop'));
  const answer = async (...args: string[]) =>
    JSON.parse((await run([...args, '--eks', 'shop', '-o', 'json'], { env })).stdout);
  files.set('doctor-report.json', await answer('doctor'));
  files.set('enrollment-report.json', (await answer('enroll', '--dry-run')).enrollments[0]);
  return files;
}

const jsonIn = (file: string) => JSON.parse(readFileSync(file, 'utf8'));

const onTheBus = (detailType: string, detail: object) =>
  busEvent({ source: EVENT_SOURCE, detailType, detail, resources: [], time: new Date() });

type Schema = Exclude<Parameters<typeof z.fromJSONSchema>[0], boolean>;

/** What a JSON Schema objects to in an example; nothing for an example of another version than the schema's. */
function faultsIn(example: object | undefined, schema: Schema): unknown[] {
  const properties = (schema.properties ?? {}) as Record<string, Schema>;
  const isOther = Object.entries(example ?? {}).some(
    ([key, value]) => ['version', 'schemaVersion'].includes(key) && value !== properties[key]?.const,
  );
  return isOther ? [] : (z.fromJSONSchema(schema).safeParse(example).error?.issues ?? []);
}

test('what this version writes is valid for a reader of every released version', patience, async () => {
  const files = await produced();
  const schemas = Object.fromEntries([...schemaDocuments()].map(([file, text]) => [file, JSON.parse(text)]));
  const names = Object.keys(schemas).map((file) => file.replace('.schema', ''));
  expect([...files.keys(), ...names].filter((name) => files.get(name) === undefined)).toEqual([]);
  if (process.env.RECORD_RELEASE) {
    const folder = join(RELEASED, packageJson.version);
    // Throws for a version that was released.
    mkdirSync(folder);
    for (const [file, content] of files) writeFileSync(join(folder, file), `${JSON.stringify(content, null, 2)}\n`);
    writeFileSync(join(folder, 'schemas.json'), `${JSON.stringify(schemas)}\n`);
  }
  expect(readdirSync(RELEASED), HOW_TO_RECORD).toContain(packageJson.version);
  for (const version of readdirSync(RELEASED)) {
    for (const [name, schema] of Object.entries<Schema>(jsonIn(join(RELEASED, version, 'schemas.json')))) {
      expect([version, name, faultsIn(files.get(name.replace('.schema', '')), schema)]).toEqual([version, name, []]);
    }
  }
});

test.each(readdirSync(RELEASED))('what version %s wrote is read', async (version) => {
  const read = (file: string) => jsonIn(join(RELEASED, version, file));
  for (const file of readdirSync(join(RELEASED, version))) {
    const schema = join(SCHEMAS_FOLDER, file.replace('.json', '.schema.json'));
    if (existsSync(schema)) expect([file, faultsIn(read(file), jsonIn(schema))]).toEqual([file, []]);
  }

  const messages = Object.keys(QUEUED_DETAILS).map((type) => onTheBus(type, read(fileOf(type))));
  const [changed = '', requested = ''] = messages.flatMap(({ detail }) => Object(detail).cluster ?? []);
  const clusters = [await around.enroll(changed, staleList()), await around.enroll(requested, staleList())];
  expect(await reapBatch(messages)).toEqual([]);
  expect([clusters.flatMap(hpasOf), around.output.counted('Heartbeats')]).toEqual([[], 1]);

  for (const file of ['backup', 'deletion-log', 'run-report', 'sweep-report', 'hpa-deleted-detail']) {
    const { found, faults } = findObjects(JSON.stringify(read(`${file}.json`)), savedHpaReader);
    const hpas = found.map(({ cluster, manifest: { metadata } }) => [typeof cluster, metadata.name]);
    expect([file, hpas, faults]).toEqual([file, [['string', STALE.split('/')[1]]], []]);
  }

  expect(isMarked(read('marked-hpa.json') as HorizontalPodAutoscaler)).toBe(true);
  const rest = without(staleList(), 'HorizontalPodAutoscaler');
  const restored = read('restored-hpa.json') as KubernetesObject;
  const cluster = await serve({ ...rest, items: [...rest.items, restored] });
  expect((await sweep(cluster)).hpas).toMatchObject([{ outcome: 'Kept', reason: 'Protected' }]);
});
