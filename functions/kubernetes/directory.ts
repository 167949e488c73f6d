import { ClusterSkippedError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import type { ClusterConnection } from './api-client.ts';
import type { ClusterApi } from './cluster-api.ts';

/** An EKS cluster with this tag set to `off` is never swept. */
export const OPT_OUT_TAG = 'envoy-hpa-reaper';

/** Facts about a cluster besides its API. Those of EKS are absent for a cluster of a kubeconfig. */
export interface ClusterDescription {
  readonly tags: Readonly<Record<string, string>>;
  /** Whether the audit log is on. */
  readonly auditLog?: boolean;
  /** Whether the API server has an endpoint outside of its VPC. */
  readonly publicEndpoint?: boolean;
  /** The addresses that may reach the public endpoint. */
  readonly publicAccessCidrs?: readonly string[];
  readonly arn?: string;
  /** The status in EKS, such as `ACTIVE`. */
  readonly status?: string;
  /** `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`; with the last, EKS has no access entries. */
  readonly authenticationMode?: string;
  /** The namespace of manifests that name none, from the context of a kubeconfig; absent for `default`. */
  readonly namespace?: string;
  /** The URL of the API server. */
  readonly server?: string;
}

/** The clusters of an account or a kubeconfig, by name. Every method throws {@link RetryableError} if EKS does not respond. */
export interface AccountDirectory {
  /**
   * The API of a cluster, cached for later calls.
   *
   * @throws {ClusterSkippedError} for a cluster that does not exist, is not running, or opted out
   */
  connect(cluster: string): Promise<ClusterApi>;
  /**
   * How to reach a cluster with another API client. The caller closes its agent.
   *
   * @throws what `connect` throws
   */
  connection(cluster: string): Promise<ClusterConnection>;
  /** Drops the cached endpoint, CA and token, and closes the connections. */
  forget(cluster: string): void;
  /** The names of all clusters, whatever their status. */
  list(): Promise<string[]>;
  /** @throws what `connect` throws, except for a cluster that is not running or opted out */
  describe(cluster: string): Promise<ClusterDescription>;
}

/** @returns whether EKS serves the API of a cluster with this status, as it also does during an update */
export const isRunning = (status: string): boolean => status === 'ACTIVE' || status === 'UPDATING';

/** @throws {ClusterSkippedError} for a cluster that opted out or is not running */
export function refuseUnavailable(
  cluster: string,
  { tags, status }: Pick<ClusterDescription, 'tags' | 'status'>,
): void {
  if (tags[OPT_OUT_TAG] === 'off') throw new ClusterSkippedError(problem('ClusterOptedOut', cluster, OPT_OUT_TAG));
  // A kubeconfig gives no status.
  if (status !== undefined && !isRunning(status)) {
    throw new ClusterSkippedError(problem('ClusterNotActive', cluster, status));
  }
}
