import { afterAll, beforeAll, expect } from 'vitest';
import { type Connection, connect } from '../contract/connection.ts';
import { Installation, SYSTEM } from '../contract/envoy-gateway.ts';
import { adminToken, contractUsers, reaper, reaperRbac } from '../contract/server.ts';
import { readEksToken } from '../doubles/eks.ts';
import { TokenWebhookDouble } from '../doubles/token-webhook.ts';
import { describeAccount } from '../e2e/account.ts';
import { SECRET_ACCESS_KEY } from '../e2e/reap-harness.ts';
import type { User } from '../embedded-cluster/authorization.ts';
import { type ControlPlane, startControlPlane } from './control-plane/start.ts';
import { auditOf } from './server.ts';

/*
 * A kube-apiserver of its own: whole clusters are swept, and who comes in is found out as on EKS, from the token. One API
 * server is three clusters of the account, which differ in what their access entries say.
 */
const users = new Map<string, User>([
  ['real-swept', reaper],
  ['real-forbidden', { username: 'envoy-hpa-reaper', groups: [] }],
]);
/** The clusters whose tokens were let in. */
const letIn = new Set<string>();
const webhook = new TokenWebhookDouble((token) => {
  const read = readEksToken(token);
  // A token is good for the cluster that it was signed for.
  const [cluster = '', user] = [...users].find(([name]) => read?.isGoodFor(name, SECRET_ACCESS_KEY)) ?? [];
  if (user) letIn.add(cluster);
  return user;
});
let controlPlane: ControlPlane;
let stop: (() => Promise<void>) | undefined;
let admin: Connection;
let leaking: Installation;

beforeAll(async () => {
  const tokenWebhook = await webhook.start();
  ({ controlPlane, stop } = await startControlPlane({ users: contractUsers, rbac: await reaperRbac(), tokenWebhook }));
  admin = connect({ ...controlPlane, token: adminToken });
  leaking = await Installation.withHpa(admin, 'leaking');
  await Installation.withHpa(admin, 'healthy');
  await leaking.setAutoscaling('off');
});
afterAll(async () => {
  admin?.close();
  await stop?.();
  await webhook.stop();
  // With its own token, and not that of another cluster.
  expect(letIn).toEqual(new Set(['real-swept', 'real-forbidden']));
});

type Named = { metadata: { name: string } };

describeAccount('three of them on a real kube-apiserver', async () => {
  const { url, caCertificate } = controlPlane;
  const described = { status: 'ACTIVE', endpoint: url, ca: caCertificate };
  const hpas = async () => {
    const { body } = await admin.get(`/apis/autoscaling/v2/namespaces/${SYSTEM}/horizontalpodautoscalers`);
    return Object.fromEntries(body.items.map((hpa: Named) => [`${SYSTEM}/${hpa.metadata.name}`, hpa]));
  };
  expect(Object.keys(await hpas())).toHaveLength(2);
  return {
    clusters: {
      'real-swept': {
        described,
        expected: {
          result: 'swept',
          outcomes: [
            ['Kept', 'Reported'],
            ['Deleted', 'Kept'],
          ],
        },
      },
      'real-forbidden': {
        described,
        expected: { result: 'skipped', reason: 'ClusterForbidden', remedy: /applies the RBAC/ },
      },
      'real-unauthorized': {
        described,
        expected: { result: 'skipped', reason: 'ClusterUnauthorized', remedy: /creates the access entries/ },
      },
    },
    hpas,
    stale: [`${SYSTEM}/${leaking.hpaName}`],
    writes: async () => {
      const events = await auditOf(controlPlane);
      return events.filter(({ user, verb }) => user.username === reaper.username && !['get', 'list'].includes(verb))
        .length;
    },
  };
});
