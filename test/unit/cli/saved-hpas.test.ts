import { expect, test } from 'vitest';
import { findObjects } from '../../../functions/cli/input/find-objects.ts';
import { newestOfEach, type SavedHpa, savedHpaReader } from '../../../functions/cli/input/saved-hpas.ts';

const hpa = (name = 'envoy-shop-web') => ({
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name, namespace: 'envoy-gateway-system', uid: 'uid-1', resourceVersion: '7' },
  spec: { scaleTargetRef: { kind: 'Deployment', name }, maxReplicas: 5 },
});
const read = (content: object) => findObjects(JSON.stringify(content), savedHpaReader);

const time = Date.parse('2026-11-24T12:00:00Z');
const timestamp = new Date(time).toISOString();
const ARN = 'arn:aws:eks:eu-central-1:123456789012:cluster/shop';
const shop = { cluster: 'shop', savedAs: 'shop' };
const line = { cluster: 'shop', timestamp, manifest: hpa() };
const [region, other] = ['us-east-1', 'eu-west-1'];
/** A report of reap also lists what it kept. */
const entries = [
  { outcome: 'Kept', manifest: hpa('kept') },
  { outcome: 'Deleted', restsOn: [{ kind: 'HorizontalPodAutoscaler', name: 'other' }], manifest: hpa() },
];

test.each<[string, object, Omit<SavedHpa, 'manifest'>]>([
  ['a manifest', hpa(), {}],
  ['a line of a backup', line, { ...shop, time }],
  ['a line of a log', { ...line, message: 'deleting HPA', region }, { ...shop, region, time }],
  ['a report of a sweep', { cluster: 'shop', finishedAt: timestamp, hpas: entries }, { ...shop, time }],
  [
    'a report of a run',
    { finishedAt: timestamp, clusters: [{ cluster: 'shop', region, hpas: entries }] },
    { ...shop, region, time },
  ],
  [
    'an event HPA Deleted',
    { time: timestamp, account: '1', region: other, detail: { cluster: 'shop', region, manifest: hpa() } },
    { ...shop, region, account: '1', time },
  ],
  [
    'a context with the name that aws eks update-kubeconfig gives it',
    { cluster: ARN, manifest: hpa() },
    { cluster: 'shop', savedAs: ARN, region: 'eu-central-1', account: '123456789012' },
  ],
])('reads the HPA and its cluster from %s', (_, content, origin) => {
  const { found, faults } = read(content);
  expect(faults).toEqual([]);
  expect(found).toEqual([{ ...origin, manifest: hpa() }]);
});

test('fills in the fields that the API server sets', () => {
  const { uid: _, resourceVersion: __, ...metadata } = hpa().metadata;
  const { found } = read({ ...hpa(), metadata });
  expect(found[0]?.manifest.metadata).toEqual({ ...metadata, uid: '', resourceVersion: '' });
});

test.each([
  [{ apiVersion: 'autoscaling/v1' }, 'apiVersion: expected autoscaling/v2'],
  [{ spec: { maxReplicas: 5 } }, 'spec.scaleTargetRef: '],
  [{ metadata: { name: 'web' } }, 'metadata.namespace: '],
])('reports an HPA with %j, and what is wrong', (wrong, fault) => {
  expect(read({ ...hpa(), ...wrong })).toEqual({
    found: [],
    faults: [expect.stringContaining(`line 1: not an HPA: ${fault}`)],
  });
});

test.each<[string, (number | undefined)[], number]>([
  ['the newest, when it comes first', [2, 1], 0],
  ['the newest, when it comes last', [1, 2], 1],
  ['the last without times', [undefined, undefined], 1],
])('uses of several manifests of one HPA %s', (_, times, index) => {
  const saved = times.map((at) => ({ time: at, manifest: hpa() }));
  expect(newestOfEach([...saved, { time: 0, manifest: hpa('other') }])[0]).toBe(saved[index]);
});
