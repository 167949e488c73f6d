import { readFileSync } from 'node:fs';

/** infra/kubernetes/rbac.yaml. In the bundle, which is one file, infra/bundle.ts puts its text here. */
export const RBAC_MANIFEST = readFileSync(new URL('../../infra/kubernetes/rbac.yaml', import.meta.url), 'utf8');
