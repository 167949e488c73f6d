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
import type { ClusterDescription, LiveDirectory } from '../kubernetes/directory.ts';
import { refuseUnavailable } from '../kubernetes/directory.ts';
import { ClusterSkippedError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import { awsError } from './access-error.ts';
import { awsClient } from './client-options.ts';
import { eksToken } from './eks-token.ts';

/** Milliseconds that the description of a cluster is cached: an opt-out takes effect, and EKS is not asked every time. */
const DESCRIBE_CACHE_TTL_MS = 60_000;
/** Maximum concurrent connections to one API server. */
const MAX_CONNECTIONS = 50;

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
      authenticationMode: accessConfig?.authenticationMode,
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
      headers: async (renew) => ({ authorization: `Bearer ${await token(renew)}` }),
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
        throw new ClusterSkippedError(problem('ClusterNotFound', name, this.#region), { cause: error });
      }
      throw awsError(`EKS could not describe cluster ${name}`, error);
    }
  }
}

/** @throws {ClusterSkippedError} for a cluster that opted out or is not running */
function runningEndpoint(
  name: string,
  { status, endpoint, certificateAuthority, tags = {} }: Cluster,
): { endpoint: string; ca: string } {
  refuseUnavailable(name, { tags, status });
  if (status === undefined || !endpoint || !certificateAuthority?.data) {
    throw new ClusterSkippedError(problem('ClusterNotActive', name, status));
  }
  return { endpoint, ca: Buffer.from(certificateAuthority.data, 'base64').toString('utf8') };
}
