import type { TestProject } from 'vitest/node';
import { contractUsers, reaperRbac } from '../contract/server.ts';
import { type ControlPlane, startControlPlane } from './control-plane/start.ts';

declare module 'vitest' {
  interface ProvidedContext {
    controlPlane: ControlPlane;
  }
}

/** One kube-apiserver for all files: `inject('controlPlane')`. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { controlPlane, stop } = await startControlPlane({ users: contractUsers, rbac: await reaperRbac() });
  project.provide('controlPlane', controlPlane);
  return stop;
}
