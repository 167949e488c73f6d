import { expect, test } from 'vitest';
import type { SweptHpa } from '../../../functions/events/report.ts';
import type { AccountDirectory, ClusterDescription } from '../../../functions/kubernetes/directory.ts';
import { runOverClusters } from '../../../functions/sweep/sweep-account.ts';
import { sweptHpa } from '../../builders/outcomes.ts';

/** A run over these clusters of a kubeconfig, which finds these HPAs. */
async function run(clusters: Record<string, { description?: Partial<ClusterDescription>; hpas: SweptHpa[] }>) {
  const directory = {
    list: async () => Object.keys(clusters),
    describe: async (name: string) => ({ tags: {}, ...clusters[name]?.description }),
    forget: () => {},
  } as unknown as AccountDirectory;
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  return await runOverClusters(
    { scopes: [{ directory }], mode: 'delete', concurrency: 1, runId: 'run-1', now: () => new Date(), log },
    async ({ cluster }) => ({ result: 'swept', warnings: [], hpas: clusters[cluster]?.hpas ?? [], missing: [] }),
  );
}

test('a cluster remains once that was stopped after its first deletion', async () => {
  const hpas = [sweptHpa('shop/a', 'Deleted'), sweptHpa('shop/b', 'Stopped')];
  expect((await run({ shop: { hpas }, bank: { hpas: hpas.slice(0, 1) } })).remaining).toEqual([{ cluster: 'shop' }]);
});

test('counts a cluster once that has two names, although an HPA was created between its sweeps', async () => {
  const [description, hpas] = [{ server: 'https://a.example.com' }, [sweptHpa('shop/a', 'Kept')]];
  const later = [sweptHpa('shop/b', 'Kept'), ...hpas];
  const { clusters } = await run({ a: { description, hpas }, b: { description, hpas: later } });
  expect(clusters.map(({ cluster }) => cluster)).toEqual(['a']);
});

test('tells how to turn on an audit log that is off', async () => {
  const { clusters } = await run({ shop: { description: { auditLog: false }, hpas: [] } });
  expect(clusters[0]?.warnings[0]?.remedy).toMatch(/ that it stores: aws eks update-cluster-config --name shop /);
});
