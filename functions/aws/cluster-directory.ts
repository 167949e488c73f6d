import { Agent } from 'node:https';
import { DescribeClusterCommand, EKSClient, ResourceNotFoundException } from '@aws-sdk/client-eks';
import { type ClusterApi, clusterApi } from '../kubernetes/cluster-api.ts';
import { ClusterSkippedError, RetryableError } from '../platform/errors.ts';
import { eksToken } from './eks-token.ts';

/** An EKS cluster with this tag set to `off` is left alone. */
export const OPT_OUT_TAG = 'envoy-hpa-reaper';

/** So long, in milliseconds, what EKS said of a cluster is believed: an opt-out is heard, and EKS is not asked every time. */
const BELIEVED_FOR = 60_000;
/** To one API server, at a time. */
const MAX_CONNECTIONS = 50;

export interface ClusterDirectory {
  /**
   * The API of a cluster, by the cluster's name; remembered for later calls, and asked for anew after a minute.
   *
   * @throws {ClusterSkippedError} when there is no such cluster, it is not running, or it opted out
   * @throws {RetryableError} when EKS cannot be asked
   */
  connect(cluster: string): Promise<ClusterApi>;
  /** Forgets endpoint, CA and token: the next `connect` asks EKS again. */
  forget(cluster: string): void;
}

/**
 * The clusters of one Region, as EKS describes them.
 *
 * @param timeout milliseconds that one request to a cluster may take
 */
export class EksClusterDirectory implements ClusterDirectory {
  readonly #eks: EKSClient;
  readonly #region: string;
  readonly #now: () => Date;
  readonly #timeout: number;
  readonly #connected = new Map<string, { api: ClusterApi; endpoint: string; ca: string; describedAt: number }>();

  constructor(region: string, { now = () => new Date(), timeout = 10_000 } = {}) {
    this.#region = region;
    this.#now = now;
    this.#timeout = timeout;
    this.#eks = new EKSClient({
      region,
      // Without these a connection that is swallowed holds the function until its timeout.
      requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
    });
  }

  async connect(cluster: string): Promise<ClusterApi> {
    const connected = this.#connected.get(cluster);
    const describedAt = this.#now().getTime();
    if (connected && describedAt - connected.describedAt < BELIEVED_FOR) return connected.api;
    const { endpoint, ca } = await this.#describe(cluster);
    if (connected?.endpoint === endpoint && connected.ca === ca) {
      connected.describedAt = describedAt;
      return connected.api;
    }
    connected?.api.close();
    const token = eksToken(this.#eks, cluster, this.#region, this.#now);
    const api = clusterApi(
      {
        server: endpoint,
        agent: new Agent({ ca, keepAlive: true, maxSockets: MAX_CONNECTIONS }),
        headers: async () => ({ authorization: `Bearer ${await token()}` }),
      },
      this.#timeout,
    );
    this.#connected.set(cluster, { api, endpoint, ca, describedAt });
    return api;
  }

  forget(cluster: string): void {
    this.#connected.get(cluster)?.api.close();
    this.#connected.delete(cluster);
  }

  async #describe(name: string): Promise<{ endpoint: string; ca: string }> {
    const cluster = await this.#ask(name);
    if (cluster?.tags?.[OPT_OUT_TAG] === 'off') {
      throw new ClusterSkippedError(
        'ClusterOptedOut',
        `cluster ${name} is tagged ${OPT_OUT_TAG}=off`,
        `Take the tag ${OPT_OUT_TAG} off the cluster to let it be swept.`,
      );
    }
    const { status, endpoint, certificateAuthority } = cluster ?? {};
    // A cluster that is being updated goes on serving its API.
    if ((status !== 'ACTIVE' && status !== 'UPDATING') || !endpoint || !certificateAuthority?.data) {
      throw new ClusterSkippedError(
        'ClusterNotActive',
        `cluster ${name} is ${status ?? 'without a status'}`,
        'Once it is ACTIVE, any write to an EnvoyProxy or Gateway has it looked at.',
      );
    }
    return { endpoint, ca: Buffer.from(certificateAuthority.data, 'base64').toString('utf8') };
  }

  async #ask(name: string) {
    try {
      return (await this.#eks.send(new DescribeClusterCommand({ name }))).cluster;
    } catch (error) {
      if (error instanceof ResourceNotFoundException) {
        throw new ClusterSkippedError(
          'ClusterNotFound',
          `there is no cluster ${name} in this account and Region`,
          'Nothing to do if it was deleted.',
          { cause: error },
        );
      }
      throw new RetryableError(`EKS could not describe cluster ${name}`, { cause: error });
    }
  }
}
