import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import type { RbacManifest, User } from '../embedded-cluster/authorization.ts';
import { admin, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';

/** An API server with the users and permissions of this file. */
export interface Server {
  url: string;
  caCertificate: string;
  adminToken: string;
  reaperToken: string;
  /** The audit log since the server started. */
  audit(): Promise<AuditEvent[]>;
  /** Makes all continue tokens expire. */
  compact(): Promise<void>;
  close(): Promise<void>;
}

export const adminToken = 'admin-token';
export const reaperToken = 'reaper-token';
export const READER_TOKEN = 'contract-reader-token';
export const reaper: User = { username: 'envoy-hpa-reaper', groups: ['envoy-hpa-reaper'] };

/** The users by token: an administrator, the reaper, and a reader with the permissions of {@link contractRbac}. */
export const contractUsers: Readonly<Record<string, User>> = {
  [adminToken]: admin,
  [reaperToken]: reaper,
  [READER_TOKEN]: { username: 'reader', uid: 'reader', groups: ['contract-readers'] },
};

export async function reaperRbac(): Promise<RbacManifest[]> {
  const manifests = await readFile('infra/kubernetes/rbac.yaml', 'utf8');
  return parseAllDocuments(manifests).map((document) => document.toJS() as RbacManifest);
}

/** The RBAC of the reaper; and readers may list HPAs, read two ConfigMaps, and get the Deployments of one namespace. */
export async function contractRbac(): Promise<RbacManifest[]> {
  const [name, subjects] = ['contract-readers', [{ kind: 'Group', name: 'contract-readers' }]];
  return [
    ...(await reaperRbac()),
    {
      kind: 'ClusterRole',
      metadata: { name },
      rules: [
        { apiGroups: ['autoscaling'], resources: ['horizontalpodautoscalers'], verbs: ['list'] },
        { apiGroups: [''], resources: ['configmaps'], resourceNames: ['one', 'two'], verbs: ['get', 'list'] },
      ],
    },
    { kind: 'ClusterRoleBinding', metadata: { name }, roleRef: { kind: 'ClusterRole', name }, subjects },
    {
      kind: 'Role',
      metadata: { name, namespace: 'default' },
      rules: [{ apiGroups: ['apps'], resources: ['deployments'], verbs: ['get'] }],
    },
    { kind: 'RoleBinding', metadata: { name, namespace: 'default' }, roleRef: { kind: 'Role', name }, subjects },
  ];
}

/** @param record false for very long runs, which then have no audit log */
export async function startEmbeddedServer({ record = true } = {}): Promise<Server> {
  const cluster = await startEmbeddedCluster({ users: contractUsers, rbac: await contractRbac(), record });
  const audit = async () => cluster.audit;
  return { ...cluster, adminToken, reaperToken, audit, compact: async () => cluster.compact() };
}

/** Waits until a condition is true; an API server writes its audit log after its response. */
export async function waitFor(condition: () => Promise<boolean>, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`the condition is not true after ${seconds} s`);
    await setTimeout(20);
  }
}
