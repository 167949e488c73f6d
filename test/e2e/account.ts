import type { Context } from 'aws-lambda';
import { describe, expect, test, vi } from 'vitest';
import { type RunReport, runReportSchema } from '../../functions/events/report.ts';
import { waitFor } from '../contract/server.ts';
import type { DescribedCluster } from '../doubles/eks.ts';
import type { EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { lambdaContext } from '../embedded-cluster/event-path.ts';
import { hpasOf, STALE, staleList, wantedList, writesTo } from './harness.ts';
import { type Surroundings, surroundings } from './reap-harness.ts';

type Handler = (event: unknown, context: Context) => Promise<RunReport>;

/** The surroundings of a test of `backfill`. */
export function backfillSurroundings() {
  /** The function exactly as Lambda loads it into a new process. */
  const loadBackfill = async (): Promise<Handler> => {
    vi.resetModules();
    return (await import('../../functions/backfill/handler.ts')).handler as unknown as Handler;
  };
  return {
    around: surroundings(),
    loadBackfill,
    /** One invocation of a new process. */
    backfill: async (payload: unknown) => await (await loadBackfill())(payload, lambdaContext('backfill', 900_000)),
  };
}

/** An endpoint where nothing listens: no server of a test ever gets this port. */
export const NOWHERE = 'https://127.0.0.1:1';

/** Clusters of the account that are not embedded ones. */
export interface FurtherClusters {
  clusters: Readonly<Record<string, { described: DescribedCluster; expected: Expected }>>;
  /** Every HPA of theirs as it is, by `namespace/name`, and which of them are stale. */
  hpas(): Promise<Record<string, unknown>>;
  stale: readonly string[];
  /** How many writing requests they have received from the function. An API server writes its audit log late. */
  writes(): Promise<number>;
}

/** What the report must say of a cluster. */
interface Expected {
  result: 'swept' | 'skipped' | 'failed';
  reason?: string;
  /** Of the remedy. */
  remedy?: RegExp;
  /** Of its HPAs, in mode report and in mode delete. */
  outcomes?: [report: string[], afterwards: string[]];
  warnings?: string[];
}

const WANTED: Expected = { result: 'swept', outcomes: [['Kept'], ['Kept']] };
const LEFT_BEHIND: Expected = { result: 'swept', outcomes: [['Reported'], ['Deleted']] };

/** The kinds of clusters in the account, and how many of each. */
type Enroll = NonNullable<Parameters<Surroundings['enroll']>[2]>;
const KINDS: Record<string, { count: number; list: typeof staleList; enroll?: () => Enroll; expected: Expected }> = {
  stale: { count: 40, list: staleList, expected: LEFT_BEHIND },
  wanted: { count: 70, list: wantedList, expected: WANTED },
  updating: { count: 4, list: staleList, enroll: () => ({ described: { status: 'UPDATING' } }), expected: LEFT_BEHIND },
  unaudited: {
    ...{ count: 6, list: staleList, enroll: () => ({ described: { auditLog: false } }) },
    expected: { ...LEFT_BEHIND, warnings: ['AuditLogOff'] },
  },
  unreachable: {
    ...{ count: 10, list: staleList },
    expected: { result: 'failed', reason: 'ClusterUnreachable', remedy: /publicAccessCidrs/ },
  },
  private: {
    ...{ count: 10, list: staleList, enroll: () => ({ described: { publicAccess: false } }) },
    expected: { result: 'failed', reason: 'ClusterEndpointPrivate', remedy: /within the VPC/ },
  },
  forbidden: {
    ...{ count: 10, list: staleList, enroll: () => ({ user: { username: 'reap', groups: [] } }) },
    expected: { result: 'skipped', reason: 'ClusterForbidden', remedy: /applies the RBAC/ },
  },
  unauthorized: {
    ...{ count: 10, list: staleList, enroll: () => ({ users: () => undefined }) },
    expected: { result: 'skipped', reason: 'ClusterUnauthorized', remedy: /creates the access entries/ },
  },
  'without-crds': {
    ...{ count: 10, list: staleList, enroll: () => ({ customResources: false }) },
    expected: { result: 'skipped', reason: 'CustomResourcesNotInstalled', remedy: /install the CRDs/ },
  },
  deleted: {
    ...{ count: 10, list: staleList },
    expected: { result: 'skipped', reason: 'ClusterNotFound', remedy: /nothing to do/ },
  },
  'opted-out': {
    ...{ count: 10, list: staleList, enroll: () => ({ described: { tags: { 'envoy-hpa-reaper': 'off' } } }) },
    expected: { result: 'skipped', reason: 'ClusterOptedOut', remedy: /Remove the tag/ },
  },
  creating: {
    ...{ count: 10, list: staleList, enroll: () => ({ described: { status: 'CREATING' } }) },
    expected: { result: 'skipped', reason: 'ClusterNotActive', remedy: /next scheduled sweep/ },
  },
};

/** An account of 200 clusters, and with them those that `start` gives. */
export function describeAccount(name: string, start?: () => Promise<FurtherClusters>): void {
  describe(`an account of 200 clusters, ${name}`, () => {
    const self = backfillSurroundings();
    const { around } = self;

    test('each that can be reached is swept, each other is in the report with its reason and remedy', async () => {
      vi.stubEnv('SETTLE_HPA_SECONDS', '0');
      vi.stubEnv('SETTLE_CONFIG_SECONDS', '0');
      // All servers are in this process: on a busy machine a request to EKS may have to be sent again, as the SDK does.
      vi.stubEnv('AWS_MAX_ATTEMPTS', '5');
      const further = await start?.();
      const served = new Map<string, EmbeddedCluster>();
      const expected = new Map<string, Expected>();
      const total = 200 - Object.keys(further?.clusters ?? {}).length;
      for (const [kind, { count, list, enroll, expected: what }] of Object.entries(KINDS)) {
        for (let number = 1; number <= count && expected.size < total; number += 1) {
          const cluster = `${kind}-${String(number).padStart(3, '0')}`;
          served.set(cluster, await around.enroll(cluster, list(), enroll?.()));
          expected.set(cluster, what);
        }
      }
      for (const [cluster, { described, expected: what }] of Object.entries(further?.clusters ?? {})) {
        around.eks.clusters.set(cluster, described);
        expected.set(cluster, what);
      }
      expect(around.eks.clusters.size).toBe(200);
      for (const [cluster, described] of around.eks.clusters) {
        if (/^(unreachable|private)-/.test(cluster))
          around.eks.clusters.set(cluster, { ...described, endpoint: NOWHERE });
      }
      const known = new Map(around.eks.clusters);
      around.eks.onDescribe = (cluster) => void (cluster.startsWith('deleted-') && around.eks.clusters.delete(cluster));
      const before = (await further?.hpas()) ?? {};
      const handler = await self.loadBackfill();

      const reported = await handler({}, lambdaContext('backfill', 900_000));

      expectReport(reported, 'report', expected);
      expect(around.eks.listed).toEqual(['eu-central-1', 'eu-central-1']);
      expect([...served.values()].flatMap(writesTo)).toEqual([]);
      expect((await further?.hpas()) ?? {}).toEqual(before);

      for (const [cluster, described] of known) around.eks.clusters.set(cluster, described);
      const deleted = await handler({ mode: 'delete', concurrency: 20 }, lambdaContext('backfill', 900_000));

      expectReport(deleted, 'delete', expected);
      for (const [cluster, at] of served) {
        const isSwept = expected.get(cluster)?.result === 'swept';
        const isStale = isSwept && !cluster.startsWith('wanted');
        expect([cluster, hpasOf(at).includes(STALE)]).toEqual([cluster, !isStale && !cluster.startsWith('wanted')]);
        expect([cluster, hpasOf(at).length, writesTo(at).length]).toEqual([cluster, isStale ? 0 : 1, isStale ? 3 : 0]);
      }
      const kept = Object.entries(before).filter(([hpa]) => !further?.stale.includes(hpa));
      expect((await further?.hpas()) ?? {}).toEqual(Object.fromEntries(kept));
      if (further) {
        // A mark and a deletion for each, in both runs together. EKS logs no writes of Events.
        await waitFor(async () => (await further.writes()) >= 2 * further.stale.length);
        expect(await further.writes()).toBe(2 * further.stale.length);
      }
      const counted = (metric: string) => around.output.counted(metric);
      const withResult = (result: string) => [...expected.values()].filter((one) => one.result === result).length;
      expect([counted('ClustersSwept'), counted('ClustersSkipped'), counted('ClustersFailed')]).toEqual(
        ['swept', 'skipped', 'failed'].map((result) => 2 * withResult(result)),
      );
      expect(counted('HpasDeleted')).toBe(deleted.totals.outcomes.Deleted);
    }, 120_000);
  });

  function expectReport(report: RunReport, mode: 'report' | 'delete', expected: Map<string, Expected>): void {
    expect(runReportSchema.safeParse(report).error).toBeUndefined();
    expect(report).toMatchObject({ mode, regions: [], remaining: [] });
    expect(report.clusters.map(({ cluster }) => cluster)).toEqual([...expected.keys()].toSorted());
    const said = report.clusters.map(({ cluster, region, result, problem, warnings, hpas }) => ({
      ...{ cluster, region, result, reason: problem?.reason, hasMessage: !!problem?.message },
      hasRemedy: expected.get(cluster)?.remedy?.test(problem?.remedy ?? '') ?? true,
      outcomes: hpas.map(({ outcome }) => outcome).toSorted(),
      warnings: warnings.map(({ reason }) => reason),
    }));
    expect(said).toEqual(
      [...expected]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([cluster, { result, reason, outcomes, warnings }]) => ({
          ...{ cluster, region: 'eu-central-1', result, reason, hasMessage: reason !== undefined, hasRemedy: true },
          outcomes: outcomes?.[mode === 'report' ? 0 : 1] ?? [],
          warnings: warnings ?? [],
        })),
    );
    const withResult = (result: string) => [...expected.values()].filter((one) => one.result === result).length;
    expect(report.totals).toMatchObject({
      ...{ clusters: 200, swept: withResult('swept'), skipped: withResult('skipped'), failed: withResult('failed') },
    });
  }
}
