import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EmbeddedCluster, EmbeddedClusterOptions, ReceivedRequest } from '../embedded-cluster/embedded-cluster.ts';
import { folder, kubeconfigFor, save, serveUntilEnd } from './cli-harness.ts';
import { type List, writesTo } from './harness.ts';

// For the commands that write: servers whose HPAs have settled, kubeconfigs of several contexts, and what was written.

/** The processes use the real clock, and everything without a date in the list was created long ago. */
export async function serveSettled(list: List, options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  const items = structuredClone(list.items);
  for (const { metadata } of items) Reflect.deleteProperty(metadata, 'creationTimestamp');
  return await serveUntilEnd({ ...list, items }, { now: () => new Date('2026-01-01T00:00:00Z'), ...options });
}

/** A kubeconfig with a context for each cluster, the first being the current one. */
export function kubeconfigOf(clusters: Readonly<Record<string, EmbeddedCluster>>): string {
  const parts = Object.entries(clusters).map(([context, cluster]) => {
    const [{ cluster: reached } = {}] = kubeconfigFor(cluster, 'admin-token').clusters;
    return { context, cluster: reached };
  });
  return save({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': parts[0]?.context },
    clusters: parts.map(({ context, cluster }) => ({ name: `of ${context}`, cluster })),
    users: [{ name: 'jane', user: { token: 'admin-token' } }],
    contexts: parts.map(({ context }) => ({ name: context, context: { cluster: `of ${context}`, user: 'jane' } })),
  });
}

/** @returns the path of a new file */
export function saveBytes(bytes: Uint8Array): string {
  const file = save('');
  writeFileSync(file, bytes);
  return file;
}

/** A new directory for backups, and what a run has left there. */
export function backupDirectory() {
  const path = mkdtempSync(join(folder, 'backups-'));
  const named = (pattern: RegExp) =>
    readdirSync(path)
      .filter((name) => pattern.test(name))
      .map((name) => join(path, name));
  return {
    path,
    files: () => readdirSync(path),
    backups: () => named(/^reaper-backup-.*\.jsonl$/),
    reports: () => named(/^reaper-report-.*\.json$/),
    /** Every line of the one backup. */
    lines: () => {
      const [file = '', ...others] = named(/^reaper-backup-/);
      if (others.length > 0) throw new Error('several backups');
      return readFileSync(file, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    },
  };
}

/** `method name` of each writing request, in the order of arrival. */
export const writes = (cluster: EmbeddedCluster) => writesTo(cluster).map(describe);
export const describe = ({ method, path }: ReceivedRequest) => `${method} ${path.split('/').at(-1)}`;
