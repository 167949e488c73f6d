import { expect, onTestFinished, test } from 'vitest';
import { describeKubeconfigs } from '../contract/kubeconfig.ts';
import { startRecorder } from '../contract/recording-server.ts';
import { EksDouble } from '../doubles/eks.ts';
import { awsEnvironment, run } from './cli-harness.ts';

// test/real/kubectl.test.ts runs the same with the real kubectl.
describeKubeconfigs({ run: ({ flags, env, home }) => run(['scan', ...flags], { env: { ...env, HOME: home } }) });

test('calls AWS through HTTP_PROXY', async () => {
  const recorder = await startRecorder();
  onTestFinished(() => recorder.stop());
  const env = { ...awsEnvironment({ EKS: 'http://eks.internal.invalid' }), HTTP_PROXY: recorder.proxy };
  await run(['scan', '--eks'], { env });
  expect(recorder.requests[0]).toMatchObject({ server: 'proxy', path: 'http://eks.internal.invalid/clusters' });
});

test('reaches a cluster of EKS through HTTP_PROXY', async () => {
  const recorder = await startRecorder();
  const eks = new EksDouble();
  onTestFinished(async () => void (await Promise.all([recorder.stop(), eks.stop()])));
  const endpoint = 'http://shop.internal.invalid';
  eks.clusters.set('shop', { status: 'ACTIVE', endpoint, ca: recorder.ca });
  const env = { ...awsEnvironment({ EKS: await eks.start() }), HTTP_PROXY: recorder.proxy };
  await run(['scan', '--eks', 'shop'], { env });
  expect(recorder.requests[0]).toMatchObject({
    server: 'proxy',
    path: `${endpoint}/apis/autoscaling/v2/horizontalpodautoscalers`,
  });
});
