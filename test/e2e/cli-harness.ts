import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import { spawn as spawnInTerminal } from '@lydell/node-pty';
import { afterAll, expect, inject } from 'vitest';
import './global-setup.ts';
import {
  type EmbeddedCluster,
  type EmbeddedClusterOptions,
  startEmbeddedCluster,
} from '../embedded-cluster/embedded-cluster.ts';
import { folder, save } from '../temporary-files.ts';
import { type List, writesTo } from './harness.ts';

export { folder, save };

// The command line as a process. Servers and files last until the end of the test file.

const reaper = inject('reaper');

/** The home directory of every process, without a kubeconfig and an AWS configuration. */
const home = join(folder, 'home');
/** Code that Node has compiled, for the next process. */
const compiled = join(folder, 'compiled');

/** A process is fast, but not on a busy machine. */
export const patience = { timeout: 60_000 };

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The result of a command that prints nothing on stdout. */
export const failure = (code: number, message: RegExp): Result => ({
  ...{ code, stdout: '', stderr: expect.stringMatching(message) },
});

export interface RunOptions {
  stdin?: string;
  env?: Record<string, string>;
  /** Working directory. */
  cwd?: string;
  /** Reads stdout, and may stop early, as `head` does. */
  reader?: (stdout: Readable) => Promise<string>;
}

const environment = (env: Record<string, string>) => ({
  PATH: process.env.PATH ?? '',
  HOME: home,
  // On an EC2 instance the SDK would find credentials.
  AWS_EC2_METADATA_DISABLED: 'true',
  // No request leaves the machine, also to a service without a double.
  AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
  NODE_COMPILE_CACHE: compiled,
  ...env,
});

/** Runs the command as a process without a terminal, with only the kubeconfig and credentials of the test. */
export async function run(
  args: readonly string[],
  { stdin = '', env = {}, cwd, reader = text }: RunOptions = {},
): Promise<Result> {
  const child = spawn(process.execPath, [reaper, ...args], { env: environment(env), cwd });
  // A process that has ended does not read its input.
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [code, stdout, stderr] = await Promise.all([exit, reader(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

interface TerminalOptions {
  env?: Record<string, string>;
  /** Working directory. */
  cwd?: string;
  columns?: number;
  rows?: number;
  /** Called with everything that the process has written so far, and the keyboard. */
  onOutput?: (written: string, type: (keys: string) => void) => void;
  /** What to type, once, when the process has written a question. */
  answer?: [question: string, keys: string];
}

/** Runs the command on a terminal, which is its stdin, stdout and stderr. */
export async function runInTerminal(
  args: readonly string[],
  { env = {}, cwd, columns = 80, rows = 50, onOutput, answer: [question, keys] = ['', ''] }: TerminalOptions = {},
): Promise<{ code: number; written: string; screen: string[] }> {
  const terminal = spawnInTerminal(process.execPath, [reaper, ...args], {
    name: 'xterm-256color',
    cols: columns,
    rows,
    cwd,
    env: { ...environment(env), TERM: 'xterm-256color' },
  });
  let written = '';
  let isAnswered = question === '';
  terminal.onData((data) => {
    written += data;
    onOutput?.(written, (keys) => terminal.write(keys));
    if (!isAnswered && written.includes(question)) terminal.write(keys);
    isAnswered ||= written.includes(question);
  });
  const { exitCode } = await new Promise<{ exitCode: number }>((ended) => terminal.onExit(ended));
  return { code: exitCode, written, screen: screenOf(written) };
}

const ESCAPE = String.fromCharCode(27);

/** The lines on a terminal at the end, without colors and without what was cleared. */
function screenOf(written: string): string[] {
  return written.split('\r\n').map((line) => {
    // Two ways to return to the start of a line. The process clears what was there.
    const visible = line.split(new RegExp(`\\r|${ESCAPE}\\[1?G`)).at(-1) ?? '';
    return stripVTControlCharacters(visible);
  });
}

const clusters: EmbeddedCluster[] = [];
afterAll(async () => void (await Promise.all(clusters.map((cluster) => cluster.close()))));

/** A server with these objects. */
export async function serveUntilEnd(list: List, options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  const cluster = await startEmbeddedCluster(options);
  clusters.push(cluster);
  cluster.load(list);
  return cluster;
}

/** A server, and a kubeconfig with it as the context `production`. */
export async function serveLive(list: List, options: EmbeddedClusterOptions = {}) {
  const cluster = await serveUntilEnd(list, options);
  return { cluster, kubeconfig: kubeconfigOf({ production: cluster }) };
}

/** An address where nothing listens. */
export const LOST = { url: 'https://127.0.0.1:1', caCertificate: '' };

type Reached = Pick<EmbeddedCluster, 'url' | 'caCertificate'>;

/** A kubeconfig with a context for each cluster, the first being the current one. */
export function kubeconfigFor(clusters: Readonly<Record<string, Reached>>, token = 'admin-token') {
  const names = Object.keys(clusters);
  return {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': names[0] },
    clusters: Object.entries(clusters).map(([name, { url: server, caCertificate }]) => ({
      ...{ name, cluster: { server, 'certificate-authority-data': Buffer.from(caCertificate).toString('base64') } },
    })),
    users: [{ name: 'jane', user: { token } }],
    contexts: names.map((name) => ({ name, context: { cluster: name, user: 'jane' } })),
  };
}

/** The same as a file. */
export const kubeconfigOf = (...config: Parameters<typeof kubeconfigFor>) => save(kubeconfigFor(...config));

/** Credentials, a Region, and the addresses of services: `{ EKS: 'http://127.0.0.1:1234' }`. */
export function awsEnvironment(endpoints: Record<string, string>): Record<string, string> {
  return {
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    ...Object.fromEntries(Object.entries(endpoints).map(([service, url]) => [`AWS_ENDPOINT_URL_${service}`, url])),
  };
}

// For the commands that write.

/** The processes use the real clock, and everything without a date in the list was created long ago. */
export async function serveSettled(list: List, options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  const items = structuredClone(list.items);
  for (const { metadata } of items) Reflect.deleteProperty(metadata, 'creationTimestamp');
  return await serveUntilEnd({ ...list, items }, { now: () => new Date('2026-01-01T00:00:00Z'), ...options });
}

/** A new directory for backups, and what a run has left there. */
export function backupDirectory() {
  const path = mkdtempSync(join(folder, 'backups-'));
  const named = (pattern: RegExp) =>
    readdirSync(path)
      .filter((name) => pattern.test(name))
      .map((name) => join(path, name));
  const backups = () => named(/^reaper-backup-.*\.jsonl$/);
  return {
    path,
    files: () => readdirSync(path),
    backups,
    reports: () => named(/^reaper-report-.*\.json$/),
    /** Every line of the one backup. */
    lines: () => {
      const [file = '', ...others] = backups();
      if (others.length > 0) throw new Error('several backups');
      const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
      return lines.map((line) => JSON.parse(line));
    },
  };
}

/** `method name` of each writing request, in the order of arrival. */
export const writes = (cluster: EmbeddedCluster) =>
  writesTo(cluster).map(({ method, path }) => `${method} ${path.split('/').at(-1)}`);
