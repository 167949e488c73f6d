import { readFileSync } from 'node:fs';

/** infra/kubernetes/rbac.yaml. infra/bundle.ts puts its text into the bundle, which is one file. */
export const RBAC_MANIFEST = readFileSync(new URL('../../infra/kubernetes/rbac.yaml', import.meta.url), 'utf8');
