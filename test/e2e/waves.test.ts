import { describe, expect, test } from 'vitest';
import { DEFAULT_GUARDS } from '../../functions/judgement/guards.ts';
import { waves } from '../doubles/kube-apiserver.ts';
import type { EmbeddedCluster, ReceivedRequest } from '../embedded-cluster/embedded-cluster.ts';
import {
  hpasOf,
  type List,
  listOf,
  missingList,
  serve,
  staleList,
  sweep,
  the,
  times,
  wantedList,
  without,
} from './harness.ts';

const guards = { ...DEFAULT_GUARDS, raisedLimit: 20 };

/** The requests of a wave, such as `LIST horizontalpodautoscalers`, with their number. */
type Wave = Partial<Record<string, number>>;

/**
 * A sweep makes these waves of requests. The server answers none before the last of its wave has arrived, so that a busy
 * machine draws no wave apart; and only a moment later, so that a request that comes too early is seen in the wave before.
 */
async function makesWaves(
  expected: Wave[],
  list: List,
  options?: Parameters<typeof sweep>[1],
): Promise<EmbeddedCluster> {
  const sizes = expected.map((wave) => Object.values(wave).reduce((sum, count) => (sum ?? 0) + (count ?? 0)));
  let held: (() => void)[] = [];
  const onRequest = () =>
    new Promise<undefined>((resolve) => {
      held.push(() => resolve(undefined));
      if (held.length < (sizes[0] ?? 0)) return;
      sizes.shift();
      for (const release of held) release();
      held = [];
    });
  const cluster = await serve(list, { latency: 30, onRequest });
  await sweep(cluster, options);
  expect(waves(cluster.requests).map(contentsOf)).toEqual(expected);
  return cluster;
}

function contentsOf(wave: readonly ReceivedRequest[]): Wave {
  const counts: Wave = {};
  for (const kind of wave.map(kindOf)) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function kindOf({ method, path }: ReceivedRequest): string {
  const [, resource, name] = /\/(?:v1|v2|v1alpha1)\/(?:namespaces\/[^/]+\/)?([^/]+)(\/.+)?$/.exec(path) ?? [];
  return `${method === 'GET' && name === undefined ? 'LIST' : method} ${resource}`;
}

const hpas = { 'LIST horizontalpodautoscalers': 3 };
const classes = { 'LIST gatewayclasses': 1 };
const others = {
  'LIST gateways': 1,
  'LIST envoyproxies': 1,
  'LIST configmaps': 1,
};
const configuration = { ...classes, ...others };
/** Envoy Gateway's own. */
const controller = { 'GET deployments': 1 };
/** All HPAs of one namespace. */
const scalers = { 'LIST horizontalpodautoscalers': 1 };

describe('the waves of requests of a sweep', () => {
  test('are two without an HPA of Envoy Gateway and a GatewayClass', async () => {
    const list = without(wantedList(), 'GatewayClass', 'Gateway', 'EnvoyProxy');
    the('HorizontalPodAutoscaler', list).metadata.labels = { app: 'shop' };
    await makesWaves([hpas, classes], list);
  });

  test('are three without an HPA of Envoy Gateway, when none is wanted', async () => {
    await makesWaves([hpas, classes, others], without(staleList(), 'HorizontalPodAutoscaler'));
  });

  test('are two more for a missing HPA, and one for the Event', async () => {
    const waves = [hpas, classes, others, controller, scalers];
    await makesWaves(waves, missingList(), { mode: 'report' });
    await makesWaves([...waves, { 'POST events': 1 }], missingList());
    const beside = wantedList();
    const other = structuredClone(the('Gateway', beside));
    Object.assign(other.metadata, { name: 'api', uid: 'api' });
    beside.items.push(other);
    await makesWaves([hpas, configuration, controller, scalers], beside, { mode: 'report' });
  });

  test('are two when nothing is stale', async () => {
    await makesWaves([hpas, configuration], wantedList());
  });

  test.each([1, 20])(
    'are two more for what is stale, and one each of marks, reads, deletions, and Events, for %i deletions',
    async (count) => {
      const waves = [
        ...[hpas, configuration, controller, scalers],
        { 'PATCH horizontalpodautoscalers': count },
        { ...hpas, ...configuration, ...controller },
        { 'DELETE horizontalpodautoscalers': count },
        { 'POST events': count },
      ];
      const cluster = await makesWaves(waves, times(count, staleList()), { guards });
      expect(hpasOf(cluster)).toEqual([]);
    },
  );

  test('read all Deployments in one wave, and again at the second assessment', async () => {
    const list = times(3, listOf('gateway-deleted-v1.3.0'), ['HorizontalPodAutoscaler']);
    for (const hpa of list.items.filter(({ kind }) => kind === 'HorizontalPodAutoscaler')) {
      hpa.spec.scaleTargetRef.name = hpa.metadata.name;
    }
    const waves = [
      hpas,
      configuration,
      { 'GET deployments': 3 },
      scalers,
      { 'PATCH horizontalpodautoscalers': 3 },
      { ...hpas, ...configuration, 'GET deployments': 3 },
      { 'DELETE horizontalpodautoscalers': 3 },
    ];
    const cluster = await makesWaves(waves, list);
    expect(hpasOf(cluster)).toEqual([]);
  });
});
