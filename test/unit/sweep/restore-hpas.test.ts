import { expect, test, vi } from 'vitest';
import type { HorizontalPodAutoscaler } from '../../../functions/judgement/kubernetes-objects.ts';
import { OWN_MANAGER } from '../../../functions/judgement/ownership.ts';
import type { ApiClient } from '../../../functions/kubernetes/api-client.ts';
import type { ClusterApi } from '../../../functions/kubernetes/cluster-api.ts';
import { restoreHpas } from '../../../functions/sweep/restore-hpas.ts';
import { envoyHpa, gateway, gatewayClass } from '../../builders/cluster.ts';
import { apiOf } from '../../builders/cluster-api.ts';
import { config } from '../../builders/verdicts.ts';

const installed = [gatewayClass(), gateway(), config];
const created = envoyHpa('shop/web', { metadata: { uid: 'new', managedFields: [{ manager: OWN_MANAGER }] } });

/** Restores HPAs; the requests that no sweep sends are answered by `client`, by default as if they were done. */
async function restore(
  manifests: HorizontalPodAutoscaler[],
  { api = apiOf(installed), ...client }: { api?: ClusterApi } & Partial<Record<'read' | 'writeHpa', unknown>> = {},
) {
  const writeHpa = vi.fn(async () => ({ result: 'done', hpa: created }));
  const requests = { writeHpa, ...client } as unknown as ApiClient;
  const restored = await restoreHpas(manifests, { api, client: requests, force: true, dryRun: false });
  return { restored, written: vi.mocked(requests.writeHpa).mock.calls.map(([request]) => request) };
}

test('restores 20 HPAs at a time', async () => {
  const get = vi.fn(() => new Promise<never>(() => {}));
  void restore(
    Array.from({ length: 21 }, (_, number) => envoyHpa(`shop/web-${number}`)),
    { api: apiOf([], { get }) },
  );
  await vi.waitFor(() => expect(get).toHaveBeenCalled());
  expect(get).toHaveBeenCalledTimes(20);
});

test('creates an HPA without what the API server sets, and then gives its fields back, once', async () => {
  const manifest = envoyHpa('shop/web', { metadata: { annotations: { note: 'x' }, finalizers: ['example.com/wait'] } });
  const { restored, written } = await restore([manifest]);
  const { name, labels, annotations, finalizers, managedFields } = manifest.metadata;
  expect(restored).toMatchObject([{ outcome: 'Restored' }]);
  expect(written).toMatchObject([{ method: 'POST' }, { method: 'PATCH' }]);
  expect(written[0]?.body).toEqual({
    ...{ ...manifest, status: undefined },
    metadata: { name, labels, annotations, finalizers, ownerReferences: [] },
  });
  expect(written[1]?.body).toContainEqual({
    ...{ op: 'replace', path: '/metadata/managedFields' },
    value: managedFields?.filter(({ subresource }) => subresource !== 'status'),
  });
});

test('does not change an HPA of the same name without managedFields', async () => {
  const api = apiOf([...installed, envoyHpa('shop/web', { metadata: { managedFields: undefined } })]);
  const { restored, written } = await restore([envoyHpa()], { api });
  expect([restored, written]).toMatchObject([[{ outcome: 'AlreadyThere' }], []]);
});

test('gives no fields back to an HPA that was deleted after somebody changed it', async () => {
  const writeHpa = vi.fn().mockResolvedValueOnce({ result: 'done', hpa: created });
  const { restored, written } = await restore([envoyHpa()], {
    writeHpa: writeHpa.mockResolvedValue({ result: 'conflict' }),
  });
  expect(restored).toMatchObject([{ outcome: 'Failed', why: expect.stringContaining('somebody deleted it') }]);
  expect(written).toHaveLength(2);
});

test('omits an owner that the API server describes without metadata', async () => {
  const owner = { apiVersion: 'example.com/v1', kind: 'Widget', name: 'w', uid: '1' };
  const { restored } = await restore([envoyHpa('shop/web', { metadata: { ownerReferences: [owner] } })], {
    read: async () => ({}),
  });
  expect(restored[0]?.why).toContain('Its owner Widget w no longer exists and was omitted.');
});
