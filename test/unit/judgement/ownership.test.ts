import { describe, expect, test } from 'vitest';
import type { ManagedFieldsEntry, Metadata } from '../../../functions/judgement/kubernetes-objects.ts';
import {
  adoptedBy,
  appliedByEnvoyGateway,
  carriesOwningLabels,
  isMarked,
  labeledOwner,
  markedManagedFields,
  OWNING_SELECTORS,
  sameOwner,
} from '../../../functions/judgement/ownership.ts';
import { appliedFields, envoyHpa, labelsOf, rateLimitHpa } from '../../builders/cluster.ts';

const apply = appliedFields(labelsOf('shop/web'));
const hpaWith = (...managedFields: ManagedFieldsEntry[]) => envoyHpa('shop/web', { metadata: { managedFields } });
const marked = {
  ...apply,
  fieldsV1: {
    ...apply.fieldsV1,
    'f:spec': {
      'f:metrics': {},
      'f:minReplicas': {},
      'f:scaleTargetRef': { 'f:apiVersion': {}, 'f:kind': {}, 'f:name': {} },
    },
  },
};
const rateLimit = rateLimitHpa().metadata.labels as Record<string, string>;
const general = { 'app.kubernetes.io/managed-by': 'envoy-gateway' };

test.each<[string, Record<string, string>, number]>([
  ["a Gateway's HPA", labelsOf('shop/web'), 1],
  ["a merging class's HPA", labelsOf('eg'), 1],
  ["the rate limit service's HPA", rateLimit, 1],
  ['an HPA labeled as everything', { ...labelsOf('shop/web'), ...labelsOf('eg'), ...rateLimit }, 3],
  ['an HPA without labels', {}, 0],
  ["an HPA with v1.5's general labels alone", general, 0],
  ["somebody else's rate limit service", { ...rateLimit, 'app.kubernetes.io/managed-by': 'Helm' }, 0],
  ['another component of the rate limit service', { ...rateLimit, 'app.kubernetes.io/component': 'redis' }, 0],
])('%s is selected by its owning labels alone', (_, labels, selectors) => {
  /** As the API server reads a selector of equality and of existence. */
  const matches = (selector: string) =>
    selector.split(',').every((term) => {
      const [label, value] = term.split('=') as [string, string | undefined];
      return value === undefined ? label in labels : labels[label] === value;
    });
  expect(OWNING_SELECTORS.filter(matches)).toHaveLength(selectors);
  expect(carriesOwningLabels({ metadata: { labels } })).toBe(selectors > 0);
});

test('an object without labels has no owning labels', () => {
  expect([{}, { metadata: {} }, { metadata: { labels: null } }].some(carriesOwningLabels)).toBe(false);
});

const GATEWAY_NAME = 'gateway.envoyproxy.io/owning-gateway-name';
const GATEWAY_NAMESPACE = 'gateway.envoyproxy.io/owning-gateway-namespace';
const web = { kind: 'Gateway', namespace: 'shop', name: 'web' } as const;
const ofNamespace = { kind: 'ConfigMap', namespace: 'envoy-gateway-system', name: 'envoy-gateway-config' };
test.each<[string, Metadata['labels'], ReturnType<typeof labeledOwner>]>([
  ['a Gateway', labelsOf('shop/web'), web],
  ['a merging class', labelsOf('eg'), { kind: 'GatewayClass', name: 'eg' }],
  ['the ConfigMap in the namespace of a rate limit HPA', rateLimit, ofNamespace as never],
  ['nobody without labels', null, undefined],
  ['nobody without a namespace', { [GATEWAY_NAME]: 'web' }, undefined],
  ['nobody without a name', { [GATEWAY_NAMESPACE]: 'shop' }, undefined],
  ['nobody with an empty name', { ...labelsOf('shop/web'), [GATEWAY_NAME]: '' }, undefined],
  ['a Gateway and a class', { ...labelsOf('eg'), ...labelsOf('shop/web') }, 'ambiguous'],
  ['the namespace of a Gateway and a class', { ...labelsOf('eg'), [GATEWAY_NAMESPACE]: 'shop' }, 'ambiguous'],
  ['a Gateway and the rate limit service', { ...labelsOf('shop/web'), ...rateLimit }, 'ambiguous'],
  ['half a Gateway and the rate limit service', { ...rateLimit, [GATEWAY_NAMESPACE]: 'shop' }, 'ambiguous'],
])('the labels name %s', (_, labels, expected) => {
  expect(labeledOwner(envoyHpa('eg', { metadata: { labels } }))).toEqual(expected);
});

test('sameOwner compares kind, namespace and name', () => {
  expect(sameOwner(web, { ...web })).toBe(true);
  expect(sameOwner(web, { ...web, name: 'api' })).toBe(false);
  expect(sameOwner(web, { ...web, namespace: 'other' })).toBe(false);
  expect(sameOwner(web, { kind: 'GatewayClass', name: 'web' })).toBe(false);
  expect(sameOwner(web, { ...web, kind: 'ConfigMap' })).toBe(false);
  expect(sameOwner({ kind: 'GatewayClass', name: 'eg' }, { kind: 'GatewayClass', name: 'eg' })).toBe(true);
});

describe('adoptedBy', () => {
  const reference = (kind: string, apiVersion: string, controller?: boolean | null) => ({
    ownerReferences: [{ apiVersion, kind, name: 'x', controller }],
  });
  const owns = (manager: string | undefined, field: string, operation = 'Update') => ({
    managedFields: [apply, { manager, operation, fieldsV1: { 'f:spec': { [field]: {} } } }],
  });
  const API = 'gateway.networking.k8s.io/v1';
  test.each<[string, Partial<Metadata>, string | undefined]>([
    ['a ScaledObject that controls it', reference('ScaledObject', 'keda.sh/v1', true), 'ScaledObject x controls it'],
    ['a Gateway of another group', reference('Gateway', 'networking.istio.io/v1', true), 'Gateway x controls it'],
    ['another kind of the Gateway API', reference('HTTPRoute', API, true), 'HTTPRoute x controls it'],
    ['not a Gateway that controls it', reference('Gateway', API, true), undefined],
    ['not a GatewayClass that controls it', reference('GatewayClass', API, true), undefined],
    ['not an owner that does not control it', reference('ScaledObject', 'keda.sh/v1', false), undefined],
    ['a manager that applied scaleTargetRef', owns('argocd', 'f:scaleTargetRef', 'Apply'), 'field manager argocd owns'],
    ['a manager that updated scaleTargetRef', owns('kubectl-edit', 'f:scaleTargetRef'), 'field manager kubectl-edit'],
    ['a manager without a name', owns(undefined, 'f:scaleTargetRef'), 'field manager (unnamed) owns its scaleTarget'],
    ['not Envoy Gateway itself', owns('envoy-gateway', 'f:scaleTargetRef'), undefined],
    ['not a manager of other fields', owns('kubectl-edit', 'f:maxReplicas'), undefined],
    ['not a manager of nothing', { managedFields: [apply, { manager: 'nothing' }] }, undefined],
    ['nobody without managedFields', { managedFields: null }, undefined],
    ['nobody without labels and annotations', { labels: null, annotations: null }, undefined],
    ['not another annotation', { annotations: { 'example.com/release-name': 'x' } }, undefined],
  ])('finds %s', (_, metadata, expected) => {
    const found = adoptedBy(envoyHpa('shop/web', { metadata }));
    if (expected === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(expected);
  });

  const fieldsOf = (kind: string, ...names: string[]) => ({
    'f:metadata': { [`f:${kind}s`]: Object.fromEntries(names.map((name) => [`f:${name}`, {}])) },
  });
  const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
  const TRACKING_ID = 'argocd.argoproj.io/tracking-id';

  describe.each([
    ['annotation', LAST_APPLIED],
    ['annotation', 'meta.helm.sh/release-name'],
    ['annotation', TRACKING_ID],
    ['label', 'kapp.k14s.io/app'],
  ])('%s %s', (kind, name) => {
    const says = `${kind} ${name} shows that somebody applies it`;
    const otherKind = kind === 'label' ? 'annotation' : 'label';
    test.each<[string, ManagedFieldsEntry[], string | undefined]>([
      ['counts', [apply], says],
      ['counts beside an entry without fields', [{ ...apply, fieldsV1: undefined }], says],
      ['counts whoever else wrote it', [apply, { manager: 'argocd', fieldsV1: fieldsOf(kind, name) }], says],
      ['counts if updated', [apply, { ...apply, operation: 'Update', fieldsV1: fieldsOf(kind, name) }], says],
      ['counts beside another one', [{ ...apply, fieldsV1: fieldsOf(kind, `${name}.other`) }], says],
      ['counts beside the other kind', [{ ...apply, fieldsV1: fieldsOf(otherKind, name) }], says],
      ['does not count if Envoy Gateway applies it', [apply, { ...apply, fieldsV1: fieldsOf(kind, name) }], undefined],
    ])('%s', (_, managedFields, expected) => {
      const labels = labelsOf('shop/web');
      const mark = kind === 'label' ? { labels: { ...labels, [name]: '' } } : { annotations: { [name]: '' } };
      expect(adoptedBy(envoyHpa('shop/web', { metadata: { managedFields, ...mark } }))).toBe(expected);
    });
  });

  test('of two annotations, each must be applied by Envoy Gateway', () => {
    const annotations = { [LAST_APPLIED]: '', [TRACKING_ID]: '' };
    const copied = (...names: string[]) => {
      const managedFields = [{ ...apply, fieldsV1: fieldsOf('annotation', ...names) }];
      return envoyHpa('shop/web', { metadata: { annotations, managedFields } });
    };
    expect(adoptedBy(copied(LAST_APPLIED, TRACKING_ID))).toBeUndefined();
    expect(adoptedBy(copied(TRACKING_ID))).toContain(LAST_APPLIED);
  });
});

describe('the mark', () => {
  const foreign = { ...apply, manager: 'argocd' };
  const update = { ...apply, operation: 'Update' };
  const status = { ...apply, subresource: 'status' };
  const older = { ...apply, apiVersion: 'autoscaling/v1' };

  test.each<[string, ManagedFieldsEntry[], boolean, boolean]>([
    ['is not on a fresh HPA', [apply], true, false],
    ['is on a marked HPA', [marked], true, true],
    ['is intact if others own the field', [marked, foreign, update, status], true, true],
    ['is not intact if one of two entries is marked', [marked, older], true, false],
    ['is intact on an entry without a spec', [{ manager: 'envoy-gateway', operation: 'Apply' }], true, true],
    ['is not on an HPA that Envoy Gateway never applied', [foreign, update, status], false, false],
    ['is not on an HPA without managedFields', [], false, false],
  ])('%s', (_, entries, applied, intact) => {
    expect(appliedByEnvoyGateway(hpaWith(...entries))).toBe(applied);
    expect(isMarked(hpaWith(...entries))).toBe(intact);
  });

  test('removes one field of every entry that Envoy Gateway applied, and changes nothing else', () => {
    const specless = { ...apply, fieldsV1: { 'f:metadata': {} } };
    const hpa = hpaWith(foreign, apply, update, status, older, specless);
    const before = structuredClone(hpa);
    const after = [foreign, marked, update, status, { ...marked, apiVersion: 'autoscaling/v1' }, specless];
    expect(markedManagedFields(hpa)).toEqual(after);
    expect(hpa).toEqual(before);
    expect(isMarked(hpaWith(...after))).toBe(true);
    expect(markedManagedFields(hpaWith(...after))).toEqual(after);
    expect(markedManagedFields(envoyHpa('shop/web', { metadata: { managedFields: null } }))).toEqual([]);
  });
});
