import { describe, expect, test, vi } from 'vitest';
import { judge } from '../../../functions/judgement/judge.ts';
import { type HorizontalPodAutoscaler, KEEP_ANNOTATION } from '../../../functions/judgement/kubernetes-objects.ts';
import type { ClusterApi } from '../../../functions/kubernetes/cluster-api.ts';
import { NoAnswerError, OverloadedError } from '../../../functions/platform/errors.ts';
import { SILENT } from '../../../functions/platform/logger.ts';
import { type RemoveOptions, remove } from '../../../functions/sweep/remove.ts';
import {
  autoscaling,
  type ClusterObject,
  envoyHpa,
  gateway,
  gatewayClass,
  snapshotOf,
} from '../../builders/cluster.ts';
import { apiOf, nextVersion } from '../../builders/cluster-api.ts';
import { byDefault, config } from '../../builders/verdicts.ts';

/** Removes `count` stale HPAs, of Gateways that ask for none. */
function removal(
  count: number,
  over: Partial<ClusterApi['hpas']> = {},
  options: Partial<Omit<RemoveOptions, 'api'>> = {},
) {
  const names = Array.from({ length: count }, (_, number) => `shop/web-${number}`);
  const objects = [gatewayClass(), config, ...names.flatMap((name) => [gateway(name), envoyHpa(name)])];
  const api = apiOf(objects, over);
  const ended: string[] = [];
  const removed = remove(
    judge(snapshotOf(objects)),
    { cluster: 'shop', sweepId: 'sweep-1', api, log: SILENT, ...options },
    (_, outcome, { message } = {}) => void ended.push(message === undefined ? outcome : `${outcome}: ${message}`),
  );
  return { api, ended, removed };
}
const never = () => new Promise<never>(() => {});

test('sends 20 writes at a time', async () => {
  const { api } = removal(21, { mark: vi.fn(never) });
  await vi.waitFor(() => expect(api.hpas.mark).toHaveBeenCalled());
  expect(api.hpas.mark).toHaveBeenCalledTimes(20);
});

test('throws a fault that is not expected of a write once no other write is under way', async () => {
  const slow = Promise.withResolvers<{ result: 'gone' }>();
  const mark = vi.fn().mockRejectedValueOnce(new TypeError('bug')).mockReturnValueOnce(slow.promise);
  const { ended, removed } = removal(2, { mark });
  setTimeout(() => slow.resolve({ result: 'gone' }), 5);
  await expect(removed).rejects.toThrow('bug');
  expect(ended).toEqual(['AlreadyGone']);
});

test('reads nothing again if nothing is marked', async () => {
  const { api, ended, removed } = removal(1, { mark: async () => ({ result: 'refused', message: 'no' }) });
  expect(await removed).toEqual([]);
  expect(ended).toEqual(['MarkRefused: no']);
  expect(api.hpas.list).not.toHaveBeenCalled();
});

test('keeps an HPA whose manifest could not be saved, and deletes the others', async () => {
  const beforeDeletion = vi.fn(async () => {}).mockRejectedValueOnce(new Error('disk full'));
  const { api, ended, removed } = removal(2, {}, { beforeDeletion });
  expect(await removed).toEqual([]);
  expect(ended.toSorted()).toEqual(['Deleted', 'Failed: not deleted: disk full']);
  expect(api.hpas.delete).toHaveBeenCalledTimes(1);
});

test.each([
  ['before the marks', 0, 0],
  ['after the marks', 1, 0],
  ['while its manifest is saved', 1, 1],
])('writes and saves nothing more once it is stopped %s', async (_, marks, saves) => {
  const stop = new AbortController();
  if (marks === 0) stop.abort();
  const beforeDeletion = vi.fn(async () => stop.abort());
  const { api, ended, removed } = removal(1, {}, { drainSignal: stop.signal, beforeDeletion });
  const { list } = api.hpas;
  api.hpas.list = () => {
    if (saves === 0) stop.abort();
    return list();
  };
  expect(await removed).toEqual([]);
  expect(ended).toEqual(['Stopped']);
  expect(api.hpas.mark).toHaveBeenCalledTimes(marks);
  expect(beforeDeletion).toHaveBeenCalledTimes(saves);
  expect(api.hpas.delete).not.toHaveBeenCalled();
});

test('gives up after five deletions of an HPA whose status is written before each, and it starts again', async () => {
  const get = vi.fn(async (hpa: HorizontalPodAutoscaler) => nextVersion(hpa));
  const { api, ended, removed } = removal(1, { delete: vi.fn(async () => ({ result: 'conflict' as const })), get });
  expect(await removed).toMatchObject([{ action: 'delete' }]);
  expect(ended).toEqual([]);
  const versions = vi.mocked(api.hpas.delete).mock.calls.map(([hpa]) => hpa.metadata.resourceVersion);
  expect(versions).toEqual(['2', '3', '4', '5', '6']);
});

test('needs no other attempt for an HPA that somebody changed and then deleted', async () => {
  const { ended, removed } = removal(1, { delete: async () => ({ result: 'conflict' }), get: async () => undefined });
  expect([await removed, ended]).toEqual([[], ['AlreadyGone']]);
});

describe('what somebody writes after the mark makes the HPA start again, undeleted:', () => {
  const fields = { operation: 'Apply', apiVersion: 'autoscaling/v2', fieldsType: 'FieldsV1' } as const;
  const scaleTarget = { 'f:spec': { 'f:scaleTargetRef': { 'f:name': {} } } };

  test.each<[string, (hpa: HorizontalPodAutoscaler) => unknown]>([
    ['a label', ({ metadata }) => Object.assign(metadata.labels ?? {}, { team: 'a' })],
    ['the bounds', ({ spec }) => Object.assign(spec, { maxReplicas: 50 })],
    [
      'a protecting annotation',
      ({ metadata }) => Object.assign(metadata, { annotations: { [KEEP_ANNOTATION]: 'true' } }),
    ],
    [
      'the same scale target, by another manager',
      ({ metadata }) => metadata.managedFields?.push({ manager: 'argocd', ...fields, fieldsV1: scaleTarget }),
    ],
    [
      'that Envoy Gateway no longer owns a field',
      ({ metadata }) =>
        Reflect.deleteProperty(metadata.managedFields?.[0]?.fieldsV1?.['f:spec'] as object, 'f:minReplicas'),
    ],
    [
      'an apply of Envoy Gateway',
      ({ metadata }) => Object.assign(metadata, { managedFields: envoyHpa('shop/web-0').metadata.managedFields }),
    ],
    ['another HPA of its name', ({ metadata }) => Object.assign(metadata, { uid: 'another' })],
  ])('%s', async (_, write) => {
    const written = (hpa: HorizontalPodAutoscaler) => {
      const next = nextVersion(structuredClone(hpa));
      write(next);
      return next;
    };
    const [early, get] = [removal(1), async (hpa: HorizontalPodAutoscaler) => written(hpa)];
    const { list } = early.api.hpas;
    early.api.hpas.list = async () => (await list()).map(written);
    const late = removal(1, { delete: vi.fn(async () => ({ result: 'conflict' as const })), get });
    for (const { removed, ended } of [early, late]) {
      expect(await removed).toMatchObject([{ action: 'delete' }]);
      expect(ended).toEqual([]);
    }
    expect(early.api.hpas.delete).not.toHaveBeenCalled();
    expect(late.api.hpas.delete).toHaveBeenCalledOnce();
  });

  test.each<[string, ClusterObject[]]>([
    ['the same configuration', [gatewayClass(), config, gateway('shop/web-0', { metadata: { resourceVersion: '2' } })]],
    ['a configuration that asks for autoscaling', [gatewayClass(), byDefault(autoscaling()), gateway('shop/web-0')]],
  ])('%s', async (_, objects) => {
    const { api, ended, removed } = removal(1);
    api.config.read = apiOf(objects).config.read;
    expect(await removed).toMatchObject([{ action: 'delete' }]);
    expect(ended).toEqual([]);
    expect(api.hpas.delete).not.toHaveBeenCalled();
  });
});

describe('a deletion without an answer', () => {
  const lost = new NoAnswerError('reset');
  const none = async () => undefined;
  const another = async () => envoyHpa('shop/web-0', { metadata: { uid: 'another' } });

  test.each<[string, string, Error, Partial<ClusterApi['hpas']>, (() => boolean)?]>([
    ['is done if the HPA is gone', 'Deleted', lost, { get: none }],
    ['is done if another HPA has its name', 'Deleted', lost, { get: another }],
    ['has failed if the HPA is still there', 'Failed: reset', lost, {}],
    ['has failed if nobody says whether it is there', 'Failed: reset', lost, { get: () => Promise.reject(lost) }],
    ['has failed if there is no time to ask', 'Failed: reset', lost, { get: none }, () => false],
    ['has failed if it was not taken up', 'Failed: busy', new OverloadedError('busy'), { get: none }],
  ])('%s', async (_, outcome, error, over, hasTimeLeft) => {
    const { ended, removed } = removal(1, { delete: () => Promise.reject(error), ...over }, { hasTimeLeft });
    expect([await removed, ended]).toEqual([[], [outcome]]);
  });
});
