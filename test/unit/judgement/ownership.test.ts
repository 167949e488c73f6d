import { describe, expect, test } from 'vitest';
import type { ManagedFieldsEntry } from '../../../functions/judgement/kubernetes-objects.ts';
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
const withSpec = (entry: ManagedFieldsEntry, spec: object): ManagedFieldsEntry => ({
  ...entry,
  fieldsV1: { ...entry.fieldsV1, 'f:spec': spec },
});
const marked = withSpec(apply, {
  'f:metrics': {},
  'f:minReplicas': {},
  'f:scaleTargetRef': { 'f:apiVersion': {}, 'f:kind': {}, 'f:name': {} },
});

describe('what is listed', () => {
  /** As the API server reads a selector of equality and of existence. */
  const matches = (selector: string, labels: Record<string, string>) =>
    selector.split(',').every((term) => {
      const [label, value] = term.split('=') as [string, string | undefined];
      return value === undefined ? label in labels : labels[label] === value;
    });
  const rateLimit = rateLimitHpa().metadata.labels as Record<string, string>;

  test.each<[string, Record<string, string>, number]>([
    ["a Gateway's", labelsOf('shop/web'), 1],
    ["a merging class's", labelsOf('eg'), 1],
    ["the rate limit service's", rateLimit, 1],
    ['labeled as everything', { ...labelsOf('shop/web'), ...labelsOf('eg'), ...rateLimit }, 3],
    ['without labels', {}, 0],
    ["with v1.5's general labels alone", { 'app.kubernetes.io/managed-by': 'envoy-gateway' }, 0],
    ['of a rate limit service of somebody else', { ...rateLimit, 'app.kubernetes.io/managed-by': 'Helm' }, 0],
    ['of another component of it', { ...rateLimit, 'app.kubernetes.io/component': 'redis' }, 0],
  ])('an HPA %s', (_, labels, selectors) => {
    expect(OWNING_SELECTORS.filter((selector) => matches(selector, labels))).toHaveLength(selectors);
    expect(carriesOwningLabels({ metadata: { labels } })).toBe(selectors > 0);
  });

  test('an object without labels carries none', () => {
    expect([{}, { metadata: {} }, { metadata: { labels: null } }].map(carriesOwningLabels)).toEqual([
      false,
      false,
      false,
    ]);
  });
});

describe('labeledOwner', () => {
  test('a Gateway', () => {
    expect(labeledOwner(envoyHpa('shop/web'))).toEqual({ kind: 'Gateway', namespace: 'shop', name: 'web' });
  });
  test('a merging class', () => {
    expect(labeledOwner(envoyHpa('eg'))).toEqual({ kind: 'GatewayClass', name: 'eg' });
  });
  test('the rate limit service: the ConfigMap in the namespace of the HPA', () => {
    const owner = { kind: 'ConfigMap', namespace: 'second', name: 'envoy-gateway-config' };
    expect(labeledOwner(rateLimitHpa({ namespace: 'second' }))).toEqual(owner);
  });
  const rateLimit = rateLimitHpa().metadata.labels;
  test.each([
    ['a Gateway and a class', { ...labelsOf('eg'), ...labelsOf('shop/web') }],
    ['a Gateway and the rate limit service', { ...labelsOf('shop/web'), ...rateLimit }],
    ['a class and the rate limit service', { ...labelsOf('eg'), ...rateLimit }],
    ['all three', { ...labelsOf('eg'), ...labelsOf('shop/web'), ...rateLimit }],
  ])('%s', (_, labels) => {
    expect(labeledOwner(envoyHpa('eg', { metadata: { labels } }))).toBe('ambiguous');
    const unnamed = { ...labels, 'gateway.envoyproxy.io/owning-gateway-name': '' };
    expect(labeledOwner(envoyHpa('eg', { metadata: { labels: unnamed } }))).toBe('ambiguous');
  });
});

test('sameOwner tells owners apart by kind, namespace and name', () => {
  const web = { kind: 'Gateway', namespace: 'shop', name: 'web' } as const;
  expect(sameOwner(web, { ...web })).toBe(true);
  expect(sameOwner(web, { ...web, name: 'api' })).toBe(false);
  expect(sameOwner(web, { ...web, namespace: 'other' })).toBe(false);
  expect(sameOwner(web, { kind: 'GatewayClass', name: 'web' })).toBe(false);
  expect(sameOwner(web, { ...web, kind: 'ConfigMap' })).toBe(false);
  expect(sameOwner({ kind: 'GatewayClass', name: 'eg' }, { kind: 'GatewayClass', name: 'eg' })).toBe(true);
});

describe('adoptedBy', () => {
  test('says who controls it', () => {
    const ownerReferences = [{ apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', name: 'so', controller: true }];
    expect(adoptedBy(envoyHpa('shop/web', { metadata: { ownerReferences } }))).toBe('ScaledObject so controls it');
  });
  test('says who owns its scaleTargetRef, named or not', () => {
    const fieldsV1 = { 'f:spec': { 'f:scaleTargetRef': {} } };
    expect(adoptedBy(hpaWith(apply, { manager: 'argocd', fieldsV1 }))).toBe(
      'field manager argocd owns its scaleTargetRef',
    );
    expect(adoptedBy(hpaWith(apply, { fieldsV1 }))).toBe('field manager (unnamed) owns its scaleTargetRef');
  });
  describe('a mark of a tool that applies it', () => {
    const marks = [
      ['annotation', 'kubectl.kubernetes.io/last-applied-configuration'],
      ['annotation', 'meta.helm.sh/release-name'],
      ['annotation', 'argocd.argoproj.io/tracking-id'],
      ['label', 'kapp.k14s.io/app'],
    ] as const;
    const fieldsOf = (kind: 'annotation' | 'label', name: string) => ({
      'f:metadata': { [`f:${kind}s`]: { [`f:${name}`]: {} } },
    });
    const marked = (kind: 'annotation' | 'label', name: string, managedFields: ManagedFieldsEntry[]) =>
      envoyHpa('shop/web', {
        metadata: {
          managedFields,
          ...(kind === 'annotation'
            ? { annotations: { [name]: '' } }
            : { labels: { ...labelsOf('shop/web'), [name]: '' } }),
        },
      });

    describe.each(marks)('%s %s', (kind, name) => {
      const says = `${kind} ${name} shows that somebody applies it`;
      test.each<[string, ManagedFieldsEntry[], string | undefined]>([
        ['counts', [apply], says],
        ['counts whoever else wrote it', [apply, { manager: 'argocd', fieldsV1: fieldsOf(kind, name) }], says],
        [
          'counts where Envoy Gateway updated it',
          [apply, { ...apply, operation: 'Update', fieldsV1: fieldsOf(kind, name) }],
          says,
        ],
        ['counts where Envoy Gateway applies another', [{ ...apply, fieldsV1: fieldsOf(kind, `${name}.other`) }], says],
        [
          'counts where Envoy Gateway applies the other kind of that name',
          [{ ...apply, fieldsV1: fieldsOf(kind === 'label' ? 'annotation' : 'label', name) }],
          says,
        ],
        [
          'is copied from the Gateway where Envoy Gateway applies it',
          [apply, { ...apply, fieldsV1: fieldsOf(kind, name) }],
          undefined,
        ],
      ])('%s', (_, managedFields, expected) => {
        expect(adoptedBy(marked(kind, name, managedFields))).toBe(expected);
      });
    });
  });
  test('nobody', () => {
    expect(adoptedBy(envoyHpa())).toBeUndefined();
    expect(adoptedBy(envoyHpa('shop/web', { metadata: { managedFields: null } }))).toBeUndefined();
    expect(adoptedBy(hpaWith(apply, { manager: 'nothing' }))).toBeUndefined();
  });
});

describe('the mark', () => {
  const foreign = { ...apply, manager: 'argocd' };
  const update = { ...apply, operation: 'Update' };
  const status = { ...apply, subresource: 'status' };

  test.each<[string, ManagedFieldsEntry[], boolean, boolean]>([
    ['a fresh HPA', [apply], true, false],
    ['marked', [marked], true, true],
    ['marked, and others own the field', [marked, foreign, update, status], true, true],
    ['applied in two versions, one of them marked', [marked, { ...apply, apiVersion: 'autoscaling/v1' }], true, false],
    ['applied without any spec', [{ manager: 'envoy-gateway', operation: 'Apply' }], true, true],
    ['never applied by Envoy Gateway', [foreign, update, status], false, false],
    ['no managedFields', [], false, false],
  ])('%s', (_, entries, applied, intact) => {
    expect(appliedByEnvoyGateway(hpaWith(...entries))).toBe(applied);
    expect(isMarked(hpaWith(...entries))).toBe(intact);
  });

  test('takes one field of one entry, and changes nothing else', () => {
    const hpa = hpaWith(foreign, apply, update, status);
    const before = structuredClone(hpa);
    expect(markedManagedFields(hpa)).toEqual([foreign, marked, update, status]);
    expect(hpa).toEqual(before);
    expect(isMarked(hpaWith(...markedManagedFields(hpa)))).toBe(true);
  });

  test('covers every entry of Envoy Gateway', () => {
    const older = { ...apply, apiVersion: 'autoscaling/v1' };
    expect(markedManagedFields(hpaWith(apply, older))).toEqual([marked, { ...marked, apiVersion: 'autoscaling/v1' }]);
  });

  test('is the same when made twice', () => {
    expect(markedManagedFields(hpaWith(marked))).toEqual([marked]);
    expect(markedManagedFields(envoyHpa('shop/web', { metadata: { managedFields: null } }))).toEqual([]);
  });
});
