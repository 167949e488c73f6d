import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { adminToken, contractUsers, reaperRbac } from '../contract/server.ts';
import { TokenWebhookDouble } from '../doubles/token-webhook.ts';
import { install, type Packaging, packageWith } from '../infra/packaged.ts';
import { describeWholePath } from '../infra/whole-path.ts';
import { startControlPlane } from './control-plane/start.ts';
import { auditOf } from './server.ts';

let folder: string;
let bin: string;
let packaging: Packaging;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whole-path-'));
  [bin = ''] = await install('python');
  // What was written a moment ago would settle first.
  packaging = await packageWith(folder, 'unsettled', { settleHpaSeconds: 0, settleConfigSeconds: 0 });
});
afterAll(() => rm(folder, { recursive: true }));

/* A kube-apiserver of its own, which asks who a token is as on EKS. */
describeWholePath('a real kube-apiserver', () => ({
  bin,
  packaging,
  async startServer(userOf) {
    const webhook = new TokenWebhookDouble(userOf);
    const tokenWebhook = await webhook.start();
    const { controlPlane, stop } = await startControlPlane({
      ...{ users: contractUsers, rbac: await reaperRbac(), tokenWebhook },
    });
    const { url, caCertificate } = controlPlane;
    return {
      ...{ url, caCertificate, adminToken },
      audit: () => auditOf(controlPlane),
      async close() {
        await stop();
        await webhook.stop();
      },
    };
  },
}));
