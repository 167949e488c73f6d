import { inject } from 'vitest';
import { adminToken, reaperRbac } from '../contract/server.ts';
import { admin, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { describeWholePath, type WholePathOptions } from './whole-path.ts';

const options = (): WholePathOptions => {
  const packaging = inject('packagings').find(({ configuration }) => configuration === 'default');
  if (packaging === undefined) throw new Error('the default configuration was not packaged');
  return {
    bin: inject('tools').bin,
    packaging,
    async startServer(userOf) {
      const cluster = await startEmbeddedCluster({
        // What is written is old enough for nothing to settle.
        now: () => new Date(Date.now() - 3_600_000),
        users: (token) => (token === adminToken ? admin : userOf(token)),
        rbac: await reaperRbac(),
      });
      return { ...cluster, adminToken, audit: async () => cluster.audit };
    },
  };
};

describeWholePath('the embedded cluster', options, { isOld: true });
