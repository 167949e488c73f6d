import { Agent } from 'node:https';
import { type Cluster, DescribeClusterCommand, EKSClient, paginateListClusters } from '@aws-sdk/client-eks';
import type { ClusterConnection } from '../kubernetes/api-client.ts';
import { type ClusterApi, clusterApi } from '../kubernetes/cluster-api.ts';
import { type AccountDirectory, type ClusterDescription, refuseUnavailable } from '../kubernetes/directory.ts';
import { ClusterSkippedError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import { allPages, awsClient, callAws, findInAws } from './client.ts';
import { eksToken } from './eks-token.ts';

/** Milliseconds that the description of a cluster is cached: an opt-out takes effect, and EKS gets few calls. */
const DESCRIBE_CACHE_TTL_MS = 60_000;
/** Maximum concurrent connections to one API server. */
const MAX_CONNECTIONS = 50;

interface EksClusterDirectoryOptions {
  now?: () => Date;
  /** Milliseconds for one request to a cluster. */
  timeout?: number;
  /** A profile of the AWS configuration files, in place of the SDK's default. */
  profile?: string;
}

/** The EKS clusters of one Region. */
export class EksClusterDirectory implements AccountDirectory {
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
    const pages = allPages(paginateListClusters({ client: this.#eks }, {}));
    const listed = await callAws(`EKS could not list the clusters of ${this.#region}`, pages);
    return listed.flatMap(({ clusters = [] }) => clusters);
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
    const { endpoint, ca } = await this.#endpointOf(cluster);
    const connected = this.#connected.get(cluster);
    if (connected?.endpoint === endpoint && connected.ca === ca) return connected.api;
    connected?.api.close();
    const api = clusterApi(this.#connectionTo(cluster, endpoint, ca), this.#timeout);
    this.#connected.set(cluster, { api, endpoint, ca });
    return api;
  }

  async connection(cluster: string): Promise<ClusterConnection> {
    const { endpoint, ca } = await this.#endpointOf(cluster);
    return this.#connectionTo(cluster, endpoint, ca);
  }

  forget(cluster: string): void {
    this.#connected.get(cluster)?.api.close();
    this.#connected.delete(cluster);
    this.#described.delete(cluster);
  }

  #connectionTo(cluster: string, endpoint: string, ca: string): ClusterConnection {
    const token = eksToken(this.#eks, cluster, this.#region, this.#now);
    return {
      server: endpoint,
      agent: new Agent({ ca, keepAlive: true, maxSockets: MAX_CONNECTIONS }),
      headers: async (renew) => ({ authorization: `Bearer ${await token(renew)}` }),
    };
  }

  /** @throws {ClusterSkippedError} for a cluster that opted out or is not running */
  async #endpointOf(name: string): Promise<{ endpoint: string; ca: string }> {
    const { status, endpoint, certificateAuthority, tags = {} } = await this.#describe(name);
    refuseUnavailable(name, { tags, status });
    if (status === undefined || !endpoint || !certificateAuthority?.data) {
      throw new ClusterSkippedError(problem('ClusterNotActive', name, status));
    }
    return { endpoint, ca: Buffer.from(certificateAuthority.data, 'base64').toString('utf8') };
  }

  async #describe(name: string): Promise<Cluster> {
    const known = this.#described.get(name);
    const at = this.#now().getTime();
    if (known && at - known.at < DESCRIBE_CACHE_TTL_MS) return known.cluster;
    const call = this.#eks.send(new DescribeClusterCommand({ name }));
    const found = await findInAws(`EKS could not describe cluster ${name}`, call);
    if (found === undefined) throw new ClusterSkippedError(problem('ClusterNotFound', name, this.#region));
    const { cluster = {} } = found;
    this.#described.set(name, { cluster, at });
    return cluster;
  }
}
