import { spawn } from 'node:child_process';
import process from 'node:process';
import { describeKubeconfigs } from '../contract/kubeconfig.ts';
import { kubectl } from './kubectl.ts';

// test/e2e/cli-kubeconfig.test.ts runs the same with `reaper scan`.
describeKubeconfigs({
  run({ flags, env, home }) {
    const args = [...flags, 'get', '--raw', '/apis/autoscaling/v2/horizontalpodautoscalers'];
    const child = spawn(kubectl, args, { env: { PATH: process.env.PATH, HOME: home, ...env }, stdio: 'ignore' });
    return new Promise((resolve) => child.once('close', (code) => resolve({ code })));
  },
});
