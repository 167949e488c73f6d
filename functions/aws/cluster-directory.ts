import { Agent } from 'node:https';
import {
  type Cluster,
  DescribeClusterCommand,
  EKSClient,
  paginateListClusters,
  ResourceNotFoundException,
} from '@aws-sdk/client-eks';
import type { ClusterConnection } from '../kubernetes/api-client.ts';
import { type ClusterApi, clusterApi } from '../kubernetes/cluster-api.ts';
import { ClusterSkippedError } from '../platform/errors.ts';
import { awsError } from './access-error.ts';
import { awsClient } from './client-options.ts';
import { eksToken } from './eks-token.ts';

/** An EKS cluster with this tag set to `off` is left alone. */
export const OPT_OUT_TAG = 'envoy-hpa-reaper';

/** So long, in milliseconds, what EKS said of a cluster is believed: an opt-out is heard, and EKS is not asked every time. */
const DESCRIBE_CACHE_TTL_MS = 60_000;
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
  /** Forgets endpoint, CA and token, and ends the connection: the next `connect` asks EKS again. */
  forget(cluster: string): void;
}

/** What a run over many clusters has to know of one beside its API. */
export interface ClusterDescription {
  readonly tags: Readonly<Record<string, string>>;
  /** Whether the audit log is switched on; absent where that is not known (a kubeconfig does not say). */
  readonly auditLog?: boolean;
  /** Whether the API server has an endpoint outside of its VPC; absent where that is not known. */
  readonly publicEndpoint?: boolean;
  /** Who may reach the public endpoint; absent where that is not known. */
  readonly publicAccessCidrs?: readonly string[];
  readonly arn?: string;
  /** As EKS says it, such as `ACTIVE`; absent where that is not known. */
  readonly status?: string;
  /** As EKS says it: `CONFIG_MAP` knows no access entries; absent where that is not known. */
  readonly authenticationMode?: string;
  /** Where a manifest belongs that names no namespace, as the context of a kubeconfig says; absent for `default`. */
  readonly namespace?: string;
}

/** A directory that can also be asked which clusters there are. */
export interface AccountDirectory extends ClusterDirectory {
  /**
   * The names of all clusters, whatever their status.
   *
   * @throws {RetryableError} when EKS cannot be asked
   */
  list(): Promise<string[]>;
  /** @throws what `connect` throws, but for a cluster that is not running or opted out */
  describe(cluster: string): Promise<ClusterDescription>;
}

/** A directory of clusters that a client of its own may be connected to. */
export interface LiveDirectory extends AccountDirectory {
  /**
   * How to reach a cluster; whoever asks for it closes its agent.
   *
   * @throws what `connect` throws
   */
  connection(cluster: string): Promise<ClusterConnection>;
}

export interface EksClusterDirectoryOptions {
  now?: () => Date;
  /** Milliseconds that one request to a cluster may take. */
  timeout?: number;
  /** A profile of the AWS configuration files, in place of what the SDK finds by itself. */
  profile?: string;
}

/** The clusters of one Region, as EKS describes them. */
export class EksClusterDirectory implements LiveDirectory {
  readonly #eks: EKSClient;
  readonly #region: string;
  readonly #now: () => Date;
  readonly #timeout: number;
  readonly #described = new Map<string, { cluster: Cluster; at: number }>();
  readonly #connected = new Map<string, { api: ClusterApi; endpoint: string; ca: string }>();

  constructor(region: string, { now = () => new Date(), timeout = 10_000, profile }: EksClusterDirectoryOptions = {}) {
    this.#region = region;
    this.#now = now;
    this.#timeout = timeout;
    this.#eks = new EKSClient(awsClient({ region, profile }));
  }

  async list(): Promise<string[]> {
    try {
      const names: string[] = [];
      for await (const { clusters = [] } of paginateListClusters({ client: this.#eks }, {})) names.push(...clusters);
      return names;
    } catch (error) {
      throw awsError(`EKS could not list the clusters of ${this.#region}`, error);
    }
  }

  async describe(name: string): Promise<ClusterDescription> {
    const { arn, tags = {}, status, logging, resourcesVpcConfig, accessConfig } = await this.#describe(name);
    return {
      tags,
      auditLog: logging?.clusterLogging?.some(({ enabled, types }) => enabled && types?.includes('audit')) ?? false,
      publicEndpoint: resourcesVpcConfig?.endpointPublicAccess ?? true,
      publicAccessCidrs: resourcesVpcConfig?.publicAccessCidrs ?? [],
      arn,
      status,
      ...(accessConfig?.authenticationMode !== undefined && { authenticationMode: accessConfig.authenticationMode }),
    };
  }

  async connect(cluster: string): Promise<ClusterApi> {
    const { endpoint, ca } = runningEndpoint(cluster, await this.#describe(cluster));
    const connected = this.#connected.get(cluster);
    if (connected?.endpoint === endpoint && connected.ca === ca) return connected.api;
    connected?.api.close();
    const api = clusterApi(this.#connectionTo(cluster, endpoint, ca), this.#timeout);
    this.#connected.set(cluster, { api, endpoint, ca });
    return api;
  }

  async connection(cluster: string): Promise<ClusterConnection> {
    const { endpoint, ca } = runningEndpoint(cluster, await this.#describe(cluster));
    return this.#connectionTo(cluster, endpoint, ca);
  }

  #connectionTo(cluster: string, endpoint: string, ca: string): ClusterConnection {
    const token = eksToken(this.#eks, cluster, this.#region, this.#now);
    return {
      server: endpoint,
      agent: new Agent({ ca, keepAlive: true, maxSockets: MAX_CONNECTIONS }),
      headers: async () => ({ authorization: `Bearer ${await token()}` }),
    };
  }

  forget(cluster: string): void {
    this.#connected.get(cluster)?.api.close();
    this.#connected.delete(cluster);
    this.#described.delete(cluster);
  }

  async #describe(name: string): Promise<Cluster> {
    const known = this.#described.get(name);
    const at = this.#now().getTime();
    if (known && at - known.at < DESCRIBE_CACHE_TTL_MS) return known.cluster;
    const cluster = await this.#ask(name);
    this.#described.set(name, { cluster, at });
    return cluster;
  }

  async #ask(name: string): Promise<Cluster> {
    try {
      const { cluster } = await this.#eks.send(new DescribeClusterCommand({ name }));
      return cluster ?? {};
    } catch (error) {
      if (error instanceof ResourceNotFoundException) {
        throw new ClusterSkippedError(
          'ClusterNotFound',
          `there is no cluster ${name} in this account and Region`,
          'Nothing to do if it was deleted.',
          { cause: error },
        );
      }
      throw awsError(`EKS could not describe cluster ${name}`, error);
    }
  }
}

/** @throws {ClusterSkippedError} for a cluster that opted out or is not running */
function runningEndpoint(
  name: string,
  { status, endpoint, certificateAuthority, tags }: Cluster,
): { endpoint: string; ca: string } {
  if (tags?.[OPT_OUT_TAG] === 'off') {
    throw new ClusterSkippedError(
      'ClusterOptedOut',
      `cluster ${name} is tagged ${OPT_OUT_TAG}=off`,
      `Take the tag ${OPT_OUT_TAG} off the cluster to let it be swept.`,
    );
  }
  // A cluster that is being updated goes on serving its API.
  if ((status !== 'ACTIVE' && status !== 'UPDATING') || !endpoint || !certificateAuthority?.data) {
    throw new ClusterSkippedError(
      'ClusterNotActive',
      `cluster ${name} is ${status ?? 'without a status'}`,
      'Once it is ACTIVE, the next scheduled sweep or any write to an EnvoyProxy or Gateway has it looked at.',
    );
  }
  return { endpoint, ca: Buffer.from(certificateAuthority.data, 'base64').toString('utf8') };
}
