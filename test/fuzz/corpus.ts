import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { List } from '../e2e/harness.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import { SECRET } from './mutate.ts';

const test = join(import.meta.dirname, '..');
const filesIn = (pattern: string) => globSync(join(test, pattern)).toSorted();
const read = (file: string) => readFileSync(file, 'utf8');
const jsonIn = <T>(pattern: string): T[] => filesIn(pattern).map((file) => JSON.parse(read(file)) as T);

/** Recorded audit events, with a secret where requests have one. */
export const auditEvents = jsonIn<Record<string, unknown>>('fixtures/audit-events/*.json').map((event) => ({
  ...event,
  annotations: { secret: SECRET },
  requestObject: { kind: 'Secret', data: { token: SECRET } },
}));

/** The formats that audit logs are saved in. */
export const auditLogs: readonly string[] = filesIn('fixtures/reports/audit-log-formats/*.json').map(read);
/** Those of one document. */
export const auditDocuments: readonly unknown[] = auditLogs.flatMap((text) => {
  try {
    return [JSON.parse(text) as unknown];
  } catch {
    return [];
  }
});

export const lists: readonly List[] = ['cases/*/cluster.json', 'fixtures/lists/*.json', 'fixtures/reports/*/*.json']
  .flatMap(filesIn)
  .filter((file) => !file.includes('audit-log-formats'))
  .map((file) => JSON.parse(read(file)) as List);

/** Recorded clusters in which no HPA is stale and none is missing: each is wanted, kept for a reason, or somebody else's. */
export const keptLists: readonly List[] = filesIn('cases/*/expected.json')
  .filter((file) => JSON.parse(read(file)).delete.length === 0)
  .map((file) => JSON.parse(read(join(file, '../cluster.json'))) as List);

export const objects: readonly KubernetesObject[] = lists.flatMap(({ items }) => items);
const hpas = objects.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');

/** Lines of a backup, which are also those of the log of the functions. */
export const backupLines: readonly object[] = hpas.map((manifest, index) => ({
  level: 'INFO',
  message: 'deleting HPA',
  timestamp: new Date(1_795_000_000_000 + index * 1_000).toISOString(),
  cluster: ['shop', 'arn:aws:eks:eu-west-1:123456789012:cluster/shop', 'prod'][index % 3],
  ...(index % 2 === 0 && { region: 'eu-west-1' }),
  sweepId: `sweep-${index}`,
  reason: 'AutoscalingRemoved',
  manifest,
}));

/** Reports of runs as `reaper reap -o json` prints them. */
export const runReports: readonly object[] = [0, 1, 2].map((index) => ({
  schemaVersion: 1,
  runId: 'run',
  mode: 'delete',
  startedAt: '2026-11-24T12:00:00.000Z',
  finishedAt: '2026-11-24T12:00:01.000Z',
  clusters: [
    {
      cluster: 'shop',
      result: 'swept',
      hpas: hpas.slice(index, index + 2).map((manifest) => ({
        namespace: manifest.metadata.namespace,
        name: manifest.metadata.name,
        outcome: 'Deleted',
        manifest,
      })),
    },
  ],
}));

const kubeconfigFiles = filesIn('fixtures/reports/*/*')
  .map(read)
  .filter((text) => text.startsWith('apiVersion: v1\nkind: Config'));
const withUser = (user: object, cluster: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:6443', ...cluster } }],
  users: [{ name: 'u', user }],
  contexts: [{ name: 'shop', context: { cluster: 'c', user: 'u', namespace: 'apps' } }],
  'current-context': 'shop',
});
const exec = (more: object = {}) => ({
  apiVersion: 'client.authentication.k8s.io/v1beta1',
  command: 'aws',
  args: ['eks', 'get-token', '--cluster-name', 'shop', '--region', 'eu-west-1'],
  env: [{ name: 'AWS_SECRET_ACCESS_KEY', value: SECRET }],
  interactiveMode: 'Never',
  ...more,
});

/** Kubeconfigs, with a secret wherever one has its place. */
export const kubeconfigs: readonly object[] = [
  ...kubeconfigFiles.map((text) => parse(text) as object),
  withUser({ token: SECRET }),
  withUser({ tokenFile: 'token' }),
  withUser({ token: SECRET, tokenFile: '/fuzz/token' }),
  withUser({ username: 'jane', password: SECRET }),
  withUser({ 'client-certificate-data': 'aGVsbG8=', 'client-key-data': Buffer.from(SECRET).toString('base64') }),
  withUser({ 'client-key-data': SECRET, 'client-certificate': 'nowhere' }),
  withUser({ exec: exec() }),
  withUser({ exec: exec({ provideClusterInfo: true, command: './bin/token', installHint: 'Install it.' }) }),
  withUser({ 'auth-provider': { name: 'oidc', config: { 'id-token': SECRET, 'client-secret': SECRET } } }),
  withUser({ token: SECRET, as: 'jane', 'as-groups': ['a'], 'as-uid': '1', 'as-user-extra': { a: ['b'] } }),
  withUser({ token: SECRET }, { 'proxy-url': `http://jane:${SECRET}@proxy:3128`, 'tls-server-name': 'x' }),
  withUser({ token: SECRET }, { server: `https://jane:${SECRET}@127.0.0.1:6443` }),
  withUser({ token: SECRET }, { server: 'http://127.0.0.1:1', 'insecure-skip-tls-verify': true }),
  withUser({ token: SECRET }, { 'certificate-authority-data': 'aGVsbG8=' }),
  withUser({ token: SECRET }, { 'certificate-authority': 'ca.crt' }),
];

export const execCredentials: readonly object[] = [
  { kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1beta1', status: { token: SECRET } },
  {
    kind: 'ExecCredential',
    apiVersion: 'client.authentication.k8s.io/v1beta1',
    status: {
      expirationTimestamp: '2020-01-01T00:00:00Z',
      clientCertificateData: `-----BEGIN CERTIFICATE-----\n${SECRET}`,
      clientKeyData: SECRET,
    },
  },
];

/** Values to put elsewhere. They contain no secret: where none belongs, printing one is no leak. */
export const splices: readonly unknown[] = JSON.parse(
  JSON.stringify([...lists, ...auditEvents, ...kubeconfigs]).replaceAll(SECRET, 'x'),
);

/** Objects that are no business of this program. */
export const secrets: readonly object[] = [
  { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x', namespace: 'shop' }, data: { token: SECRET } },
  { apiVersion: 'v1', kind: 'Config', users: [{ name: 'u', user: { token: SECRET } }] },
];
