import { readFile } from 'node:fs/promises';
import { inject } from 'vitest';
import { adminToken, reaperToken, type Server } from '../contract/server.ts';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import type { ControlPlane } from './control-plane/start.ts';

/** The kube-apiserver that global-setup.ts has started for all files. */
export async function realServer(): Promise<Server> {
  const controlPlane = inject('controlPlane');
  const { url, caCertificate } = controlPlane;
  return {
    url,
    caCertificate,
    adminToken,
    reaperToken,
    audit: () => auditOf(controlPlane),
    close: async () => {},
  };
}

export async function auditOf({ auditLog }: ControlPlane): Promise<AuditEvent[]> {
  const lines = (await readFile(auditLog, 'utf8')).split('\n');
  // The last line is empty or still being written.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as AuditEvent);
}
