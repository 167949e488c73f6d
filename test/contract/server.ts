import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import type { RbacManifest, User } from '../embedded-cluster/authorization.ts';
import { admin, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';

/** An API server that lets the reaper in as `infra/kubernetes/rbac.yaml` says, and nobody more. */
export interface Server {
  url: string;
  caCertificate: string;
  adminToken: string;
  reaperToken: string;
  /** The audit log since the server started. */
  audit(): Promise<AuditEvent[]>;
  close(): Promise<void>;
}

export const adminToken = 'admin-token';
export const reaperToken = 'reaper-token';
export const reaper: User = { username: 'envoy-hpa-reaper', groups: ['envoy-hpa-reaper'] };

export async function reaperRbac(): Promise<RbacManifest[]> {
  const manifests = await readFile('infra/kubernetes/rbac.yaml', 'utf8');
  return parseAllDocuments(manifests).map((document) => document.toJS() as RbacManifest);
}

/** @param record false for very long runs, which then have no audit log */
export async function startEmbeddedServer({ record = true } = {}): Promise<Server> {
  const cluster = await startEmbeddedCluster({
    users: { [adminToken]: admin, [reaperToken]: reaper },
    rbac: await reaperRbac(),
    record,
  });
  return { ...cluster, adminToken, reaperToken, audit: async () => cluster.audit };
}

/** Asks again until it is so; an API server writes its audit log behind its answers. */
export async function waitFor(condition: () => Promise<boolean>, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not so after ${seconds} s`);
    await setTimeout(50);
  }
}
