import { inject } from 'vitest';
import { describeKubeApiserver } from '../contract/kube-apiserver.ts';
import { compact } from './control-plane/start.ts';
import { realServer } from './server.ts';

describeKubeApiserver('kube-apiserver', async () => {
  const { url, caCertificate, audit, close } = await realServer();
  return { url, caCertificate, audit, compact: () => compact(inject('controlPlane')), stop: close };
});
