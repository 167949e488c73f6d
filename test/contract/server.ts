import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import type { RbacManifest, User } from '../embedded-cluster/authorization.ts';
import { admin, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { type Connection, connect } from './connection.ts';

/** An API server that authorizes the reaper as `infra/kubernetes/rbac.yaml` says, and nobody else except an administrator. */
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
export const contractUsers: Readonly<Record<string, User>> = { [adminToken]: admin, [reaperToken]: reaper };

export async function reaperRbac(): Promise<RbacManifest[]> {
  const manifests = await readFile('infra/kubernetes/rbac.yaml', 'utf8');
  return parseAllDocuments(manifests).map((document) => document.toJS() as RbacManifest);
}

/** @param record false for very long runs, which then have no audit log */
export async function startEmbeddedServer({ record = true } = {}): Promise<Server> {
  const cluster = await startEmbeddedCluster({ users: contractUsers, rbac: await reaperRbac(), record });
  return { ...cluster, adminToken, reaperToken, audit: async () => cluster.audit };
}

/** The server of a suite: started before its tests, and closed with every connection to it after them. */
export function useServer(start: () => Promise<Server>) {
  const opened: { close(): unknown }[] = [];
  function closeAtEnd<Closable extends { close(): unknown }>(closable: Closable): Closable {
    opened.unshift(closable);
    return closable;
  }
  const used = {
    server: undefined as unknown as Server,
    admin: undefined as unknown as Connection,
    connect: (token: string | undefined) => closeAtEnd(connect({ ...used.server, token })),
    closeAtEnd,
  };
  beforeAll(async () => {
    used.server = closeAtEnd(await start());
    used.admin = used.connect(adminToken);
  });
  afterAll(async () => {
    for (const closable of opened) await closable.close();
  });
  return used;
}

/** Checks a condition until it is true: an API server writes its audit log after it responds. */
export async function waitFor(condition: () => Promise<boolean>, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`the condition is still false after ${seconds} s`);
    await setTimeout(50);
  }
}
