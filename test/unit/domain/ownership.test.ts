import { describe, expect, test } from 'vitest';
import type { ManagedFieldsEntry } from '../../../functions/domain/kubernetes-objects.ts';
import {
  adoptedBy,
  appliedByEnvoyGateway,
  isMarked,
  labelledOwner,
  markedManagedFields,
  OWNING_LABELS,
  sameOwner,
} from '../../../functions/domain/ownership.ts';
import { appliedFields, envoyHpa, labelsOf } from '../../builders/cluster.ts';

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

test('every whole owning label is found by one of the two that are listed by', () => {
  for (const owner of ['shop/web', 'eg']) {
    expect(Object.keys(labelsOf(owner)).some((label) => (OWNING_LABELS as readonly string[]).includes(label))).toBe(
      true,
    );
  }
});

describe('labelledOwner', () => {
  test('a Gateway', () => {
    expect(labelledOwner(envoyHpa('shop/web'))).toEqual({ kind: 'Gateway', namespace: 'shop', name: 'web' });
  });
  test('a merging class', () => {
    expect(labelledOwner(envoyHpa('eg'))).toEqual({ kind: 'GatewayClass', name: 'eg' });
  });
  test('both', () => {
    const labels = { ...labelsOf('eg'), ...labelsOf('shop/web') };
    expect(labelledOwner(envoyHpa('eg', { metadata: { labels } }))).toBe('ambiguous');
  });
});

test('sameOwner tells owners apart by kind, namespace and name', () => {
  const web = { kind: 'Gateway', namespace: 'shop', name: 'web' } as const;
  expect(sameOwner(web, { ...web })).toBe(true);
  expect(sameOwner(web, { ...web, name: 'api' })).toBe(false);
  expect(sameOwner(web, { ...web, namespace: 'other' })).toBe(false);
  expect(sameOwner(web, { kind: 'GatewayClass', name: 'web' })).toBe(false);
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
  test('says by which annotation', () => {
    const annotations = { 'meta.helm.sh/release-name': '' };
    expect(adoptedBy(envoyHpa('shop/web', { metadata: { annotations } }))).toBe(
      'annotation meta.helm.sh/release-name says that somebody applies it',
    );
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
