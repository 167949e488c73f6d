import type { EnrollmentClients } from '../aws/enrollment-clients.ts';
import { clusterApi } from '../kubernetes/cluster-api.ts';
import { clusterInspection } from '../kubernetes/cluster-inspection.ts';
import type { ClusterDescription } from '../kubernetes/directory.ts';
import { assess } from '../sweep/assess.ts';
import {
  type ClusterProblem,
  forEachCluster,
  type LoopOptions,
  type Scope,
  type Target,
} from '../sweep/for-each-cluster.ts';
import { CLUSTER_CHECKS, type ClusterContext } from './cluster-checks.ts';
import { EKS_CHECKS } from './eks-checks.ts';
import { type Check, countStates, type DoctorReport } from './report.ts';
import { broken, runChecks, unreadable, type Verdict } from './run-checks.ts';

/** A kubeconfig, or a Region of the account with the clients for the checks of EKS. */
interface DoctorScope extends Scope {
  readonly eks?: EnrollmentClients;
  /** How a person reaches a cluster: the flags for `reaper`, and the beginning of a `kubectl` command. */
  readonly commands: (cluster: string) => Pick<ClusterContext, 'flags' | 'kubectl'>;
}

interface DoctorOptions extends LoopOptions<DoctorScope> {
  readonly controllerNamespaces?: readonly string[];
  /** Milliseconds that one request to a cluster may take. */
  readonly timeout: number;
  readonly now: () => Date;
}

/**
 * Runs every check on every cluster, in parallel, and changes nothing. What cannot be read is reported as unknown and stops
 * nothing else.
 *
 * @throws {AwsAccessError} without credentials, with expired ones, or when no Region's clusters can be listed
 */
export async function diagnoseClusters(options: DoctorOptions): Promise<DoctorReport> {
  const { now } = options;
  const startedAt = now().toISOString();
  const run = await forEachCluster(options, (target, description = { tags: {} }) =>
    diagnose(target, description, options),
  );
  const clusters = run.clusters.map(({ cluster, region, ...outcome }) => ({
    ...{ cluster, region },
    checks: 'value' in outcome ? outcome.value : [{ id: 'eks-cluster' as const, ...undescribed(outcome) }],
  }));
  const totals = countStates(clusters);
  return { schemaVersion: 1, startedAt, finishedAt: now().toISOString(), totals, clusters, regions: run.regions };
}

/** @throws the error of the cluster if it is a fault of this program, or concerns every call to AWS */
function undescribed({ problem: { reason, message, remedy }, error }: ClusterProblem): Verdict {
  return reason === 'ClusterNotFound' ? broken(message, remedy) : unreadable(error);
}

async function diagnose(
  { cluster, region, directory, eks, commands }: Target<DoctorScope>,
  description: ClusterDescription,
  { controllerNamespaces, timeout, now }: DoctorOptions,
): Promise<Check[]> {
  const connection = once(() => directory.connection(cluster));
  const connect = once(async () => clusterInspection(await connection(), timeout));
  const api = once(async () => clusterApi(await connection(), timeout));
  const assessment = once(async () => await assess(await api(), { now: now(), controllerNamespaces }));
  const context: ClusterContext = {
    ...{ cluster, region, description, controllerNamespaces, connect, assessment, ...commands(cluster) },
    controllers: once(async () => await (await connect()).controllers()),
    config: once(async () => {
      // Without an HPA and a class the assessment reads no configuration.
      const snapshot = (await assessment().catch(() => undefined))?.snapshot;
      const isRead = snapshot && snapshot.hpas.length + snapshot.gatewayClasses.length > 0;
      return isRead ? snapshot : await (await api()).config.read();
    }),
  };
  try {
    if (eks === undefined) return await runChecks(CLUSTER_CHECKS, context);
    const eksContext = {
      ...{ ...context, ...eks, region: region ?? '' },
      logGroupClass: async () => (await eks.filters.logGroups(cluster)).get(cluster),
      filters: once(() => eks.filters.list(cluster)),
    };
    return await runChecks([...EKS_CHECKS, ...CLUSTER_CHECKS], eksContext);
  } finally {
    const opened = await connection().catch(() => undefined);
    opened?.agent.destroy();
  }
}

/** Calls a function at most once, and returns the same result to every caller. */
function once<T>(read: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= read();
    return result;
  };
}
