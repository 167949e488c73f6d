import { Agent } from 'node:https';
import { type Cluster, DescribeClusterCommand, EKSClient, paginateListClusters } from '@aws-sdk/client-eks';
import type { ClusterConnection } from '../kubernetes/api-client.ts';
import { type ClusterApi, clusterApi } from '../kubernetes/cluster-api.ts';
import { type AccountDirectory, refuseUnavailable } from '../kubernetes/directory.ts';
import { ClusterSkippedError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import { allPages, awsClient, callAws, findInAws, network } from './client.ts';
import { eksToken } from './eks-token.ts';

/**
 * Milliseconds that the description of a cluster is cached: short enough for an opt-out to take effect, long enough to spare
 * EKS.
 */
const DESCRIBE_CACHE_TTL_MS = 60_000;
/** Maximum concurrent connections to one API server. */
const MAX_CONNECTIONS = 50;

/**
 * The EKS clusters of one Region.
 *
 * @param timeout milliseconds for one request to a cluster; for a List, between two parts of the response
 * @param profile of the AWS configuration files, in place of the SDK's default
 */
export function eksClusterDirectory(
  region: string,
  { timeout = 10_000, profile }: { timeout?: number; profile?: string } = {},
): AccountDirectory {
  const eks = new EKSClient(awsClient({ region, profile }));
  const described = new Map<string, { cluster: Cluster; at: number }>();
  const connected = new Map<string, { api: ClusterApi; endpoint: string; ca: string }>();

  async function describe(name: string): Promise<Cluster> {
    const known = described.get(name);
    const at = Date.now();
    if (known && at - known.at < DESCRIBE_CACHE_TTL_MS) return known.cluster;
    const found = await findInAws(
      `EKS could not describe cluster ${name}`,
      eks.send(new DescribeClusterCommand({ name })),
    );
    if (found === undefined) throw new ClusterSkippedError(problem('ClusterNotFound', name, region));
    const { cluster = {} } = found;
    described.set(name, { cluster, at });
    return cluster;
  }

  /** @throws {ClusterSkippedError} for a cluster that opted out or is not running */
  async function endpointOf(name: string): Promise<{ endpoint: string; ca: string }> {
    const { status, endpoint, certificateAuthority, tags = {} } = await describe(name);
    refuseUnavailable(name, { tags, status });
    if (status === undefined || !endpoint || !certificateAuthority?.data) {
      throw new ClusterSkippedError(problem('ClusterNotActive', name, status));
    }
    return { endpoint, ca: Buffer.from(certificateAuthority.data, 'base64').toString('utf8') };
  }

  function connectionTo(cluster: string, { endpoint, ca }: Awaited<ReturnType<typeof endpointOf>>): ClusterConnection {
    const token = eksToken(eks, cluster, region);
    return {
      server: endpoint,
      agent: network.createAgent?.({ ca }) ?? new Agent({ ca, keepAlive: true, maxSockets: MAX_CONNECTIONS }),
      headers: async (renew) => ({ authorization: `Bearer ${await token(renew)}` }),
    };
  }

  return {
    async list() {
      const pages = allPages(paginateListClusters({ client: eks }, {}));
      const listed = await callAws(`EKS could not list the clusters of ${region}`, pages);
      return listed.flatMap(({ clusters = [] }) => clusters);
    },

    async describe(name) {
      const { arn, endpoint, tags = {}, status, logging, resourcesVpcConfig, accessConfig } = await describe(name);
      return {
        tags,
        auditLog: logging?.clusterLogging?.some(({ enabled, types }) => enabled && types?.includes('audit')) ?? false,
        publicEndpoint: resourcesVpcConfig?.endpointPublicAccess ?? true,
        publicAccessCidrs: resourcesVpcConfig?.publicAccessCidrs ?? [],
        arn,
        server: endpoint,
        status,
        authenticationMode: accessConfig?.authenticationMode,
      };
    },

    async connect(cluster) {
      const found = await endpointOf(cluster);
      const known = connected.get(cluster);
      if (known?.endpoint === found.endpoint && known.ca === found.ca) return known.api;
      known?.api.close();
      const api = clusterApi(connectionTo(cluster, found), timeout);
      connected.set(cluster, { api, ...found });
      return api;
    },

    connection: async (cluster) => connectionTo(cluster, await endpointOf(cluster)),

    forget(cluster) {
      connected.get(cluster)?.api.close();
      connected.delete(cluster);
      described.delete(cluster);
    },
  };
}
