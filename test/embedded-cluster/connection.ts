import { Agent } from 'node:https';
import type { ClusterConnection } from '../../functions/kubernetes/api-client.ts';
import type { EmbeddedCluster } from './embedded-cluster.ts';

/** How a client reaches an embedded cluster, as the holder of a bearer token. */
export function connectionTo(
  { url, caCertificate }: Pick<EmbeddedCluster, 'url' | 'caCertificate'>,
  token = 'admin-token',
): ClusterConnection {
  return {
    server: url,
    agent: new Agent({ ca: caCertificate, keepAlive: true, maxSockets: 50 }),
    headers: async () => ({ authorization: `Bearer ${token}` }),
  };
}
