import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Connection, connect } from '../../contract/connection.ts';
import type { RbacManifest, User } from '../../embedded-cluster/authorization.ts';
import { selfSignedCertificate } from '../../embedded-cluster/certificate.ts';

/** A running kube-apiserver with etcd; all plain data, so that vitest's global setup can hand it to the test files. */
export interface ControlPlane {
  url: string;
  /** PEM. */
  caCertificate: string;
  /** One audit event as JSON a line. */
  auditLog: string;
}

interface ControlPlaneOptions {
  /** The users by bearer token. One of them must be in `system:masters`. */
  users: Readonly<Record<string, User>>;
  /** Effective when the function returns. */
  rbac?: readonly RbacManifest[];
  /** The URL of a webhook that authenticates all other tokens (TokenReview), as aws-iam-authenticator does for EKS. */
  tokenWebhook?: string;
}

const here = import.meta.dirname;
const TIMEOUT = 90_000;

/**
 * Starts etcd and kube-apiserver on free ports of the loopback interface, with the CRDs of the Gateway API and of
 * EnvoyProxy, EKS's audit levels, and data in a temporary folder that `stop` removes. Builds them first if necessary.
 *
 * @throws with the end of the log of the process that did not start
 */
export async function startControlPlane(
  options: ControlPlaneOptions,
): Promise<{ controlPlane: ControlPlane; stop: () => Promise<void> }> {
  const { assets, crds } = await prepareControlPlane();
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(assets, crds, options);
    } catch (error) {
      // Between finding a port free and binding it, somebody else may have taken it.
      if (attempt === 3 || !/address already in use/.test(String(error))) throw error;
    }
  }
}

async function start(assets: string, crds: string, { users, rbac = [], tokenWebhook }: ControlPlaneOptions) {
  const folder = await mkdtemp(join(tmpdir(), 'control-plane-'));
  const processes: Service[] = [];
  const run = (binary: string, flags: string[]) => processes.push(new Service(join(assets, binary), flags, folder));
  const stop = async (): Promise<void> => {
    // The API server first: without etcd it would wait and complain.
    for (const service of processes.toReversed()) await service.stop();
    await rm(folder, { recursive: true, force: true });
  };
  /** Waits for a condition while the processes run. */
  const until: Until = async (what, condition) => {
    const deadline = Date.now() + TIMEOUT;
    let last: unknown;
    while (Date.now() < deadline) {
      for (const service of processes) service.assertRuns();
      try {
        if (await condition()) return;
        last = undefined;
      } catch (error) {
        last = error;
      }
      await delay(50);
    }
    throw new Error(`gave up after ${TIMEOUT / 1000} s waiting until ${what}`, { cause: last });
  };
  try {
    const [clientPort, peerPort, port] = await freePorts(3);
    const [etcdUrl, peerUrl] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`];
    run('etcd', [
      `--data-dir=${join(folder, 'etcd')}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      '--unsafe-no-fsync',
    ]);
    const caCertificate = await writeCredentials(folder, users);
    const url = `https://127.0.0.1:${port}`;
    run('kube-apiserver', [...apiServerFlags(folder, etcdUrl, port), ...(await webhookFlags(folder, tokenWebhook))]);

    const token = Object.entries(users).find(([, { groups }]) => groups.includes('system:masters'))?.[0] ?? '';
    const admin = connect({ url, caCertificate, token });
    try {
      await until(`kube-apiserver is ready (${url}/readyz)`, async () => (await admin.get('/readyz')).status === 200);
      await installCrds(admin, crds, until);
      await installRbac(admin, rbac, until);
      return { controlPlane: { url, caCertificate, auditLog: join(folder, 'audit.log') }, stop };
    } finally {
      admin.close();
    }
  } catch (error) {
    await stop();
    throw error;
  }
}

type Until = (what: string, condition: () => Promise<boolean>) => Promise<void>;

function apiServerFlags(folder: string, etcdUrl: string, port: number | undefined): string[] {
  return [
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    // A network namespace without a route has no address to find.
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${join(folder, 'certificates')}`,
    `--tls-cert-file=${join(folder, 'tls.crt')}`,
    `--tls-private-key-file=${join(folder, 'tls.key')}`,
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    // As on EKS since 1.32.
    '--anonymous-auth=false',
    '--authorization-mode=RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(folder, 'service-account.pub')}`,
    `--service-account-signing-key-file=${join(folder, 'service-account.key')}`,
    '--service-cluster-ip-range=10.0.0.0/16',
    `--audit-policy-file=${join(here, 'audit-policy.yaml')}`,
    `--audit-log-path=${join(folder, 'audit.log')}`,
    '--disable-admission-plugins=ServiceAccount',
    '--endpoint-reconciler-type=none',
  ];
}

async function webhookFlags(folder: string, server: string | undefined): Promise<string[]> {
  if (server === undefined) return [];
  const file = join(folder, 'token-webhook.json');
  const kubeconfig = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'webhook' },
    clusters: [{ name: 'webhook', cluster: { server } }],
    contexts: [{ name: 'webhook', context: { cluster: 'webhook' } }],
  };
  await writeFile(file, JSON.stringify(kubeconfig));
  return [`--authentication-token-webhook-config-file=${file}`, '--authentication-token-webhook-version=v1'];
}

/** Writes the keys, certificates and tokens of the API server. Returns the certificate that its clients trust. */
async function writeCredentials(folder: string, users: Readonly<Record<string, User>>): Promise<string> {
  const { key, certificate } = selfSignedCertificate(new Date());
  const serviceAccounts = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const tokens = Object.entries(users).map(
    ([token, { username, uid, groups }]) => `${token},${username},${uid ?? username},"${groups.join(',')}"`,
  );
  await mkdir(join(folder, 'certificates'));
  await Promise.all([
    writeFile(join(folder, 'tls.crt'), certificate),
    writeFile(join(folder, 'tls.key'), key),
    writeFile(join(folder, 'tokens.csv'), tokens.join('\n')),
    writeFile(join(folder, 'service-account.key'), serviceAccounts.privateKey.export({ type: 'sec1', format: 'pem' })),
    writeFile(join(folder, 'service-account.pub'), serviceAccounts.publicKey.export({ type: 'spki', format: 'pem' })),
  ]);
  return certificate;
}

async function installCrds(admin: Connection, folder: string, until: Until): Promise<void> {
  const files = ['gatewayapi-crds.yaml', 'gateway.envoyproxy.io_envoyproxies.yaml'];
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  const documents = texts.flatMap((text) => text.split('\n---\n'));
  const crds = [
    ['gatewayclasses', 'gateway.networking.k8s.io', 'v1'],
    ['gateways', 'gateway.networking.k8s.io', 'v1'],
    ['envoyproxies', 'gateway.envoyproxy.io', 'v1alpha1'],
  ];
  for (const [plural, group] of crds) {
    const name = `${plural}.${group}`;
    const definition = documents.find(
      (text) => text.includes('\nkind: CustomResourceDefinition\n') && text.includes(`\n  name: ${name}\n`),
    );
    if (!definition) throw new Error(`${folder} has no CRD ${name}; remove the folder to fetch it again`);
    await apply(admin, `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`, definition);
  }
  for (const [plural, group, version] of crds) {
    const path = `/apis/${group}/${version}/${plural}`;
    await until(`${plural} are served`, async () => (await admin.get(path)).status === 200);
  }
}

async function installRbac(admin: Connection, manifests: readonly RbacManifest[], until: Until): Promise<void> {
  for (const { kind, metadata, ...rest } of manifests) {
    const path = `/apis/rbac.authorization.k8s.io/v1/${kind.toLowerCase()}s/${metadata.name}`;
    const manifest = { apiVersion: 'rbac.authorization.k8s.io/v1', kind, metadata, ...rest };
    await apply(admin, path, JSON.stringify(manifest));
  }
  // The authorizer learns of roles and bindings by watching them.
  for (const { roleRef, subjects = [] } of manifests) {
    const role = manifests.find(({ kind, metadata: { name } }) => kind === roleRef?.kind && name === roleRef.name);
    const { verbs, apiGroups, resources, resourceNames } = role?.rules?.at(-1) ?? { verbs: [] };
    const resourceAttributes = {
      group: apiGroups?.[0],
      resource: resources?.[0],
      name: resourceNames?.[0],
      verb: verbs[0],
    };
    for (const { name } of role ? subjects : []) {
      await until(`group ${name} has its permissions`, async () => {
        const spec = { groups: [name], resourceAttributes };
        const { body } = await admin.post('/apis/authorization.k8s.io/v1/subjectaccessreviews', { spec });
        return body.status?.allowed === true;
      });
    }
  }
}

async function apply(admin: Connection, path: string, manifest: string): Promise<void> {
  const { status, text } = await admin.apply(`${path}?fieldManager=test-real&force=true`, manifest);
  if (status >= 300) throw new Error(`kube-apiserver refused ${path}: ${text}`);
}

/** A process that runs until it is stopped. */
export class Service {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #name: string;
  endOfLog = '';

  /** @param folder for its log, which is named after the binary */
  constructor(binary: string, flags: string[], folder: string, env = process.env) {
    this.#name = binary.split('/').at(-1) ?? binary;
    this.#child = spawn(binary, flags, { stdio: ['ignore', 'pipe', 'pipe'], env });
    const log = createWriteStream(join(folder, `${this.#name}.log`), { flags: 'a' });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        log.write(chunk);
        this.endOfLog = (this.endOfLog + chunk.toString()).slice(-4000);
      });
    }
    this.#exited = new Promise((resolve) => {
      this.#child.once('close', () => log.end(resolve));
      this.#child.once('error', (error) => {
        this.endOfLog += String(error);
        log.end(resolve);
      });
    });
  }

  /** @throws with the end of its log */
  assertRuns(): void {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null && this.#child.pid !== undefined) return;
    throw new Error(`${this.#name} ended (${exitCode ?? signalCode}); the end of its log:\n${this.endOfLog}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async stop(): Promise<void> {
    this.signal('SIGTERM');
    const deadlineSignal = setTimeout(() => this.signal('SIGKILL'), 10_000);
    await this.#exited;
    clearTimeout(deadlineSignal);
  }
}

/** Builds or fetches what a control plane consists of, unless that was done before. */
export const prepareControlPlane = async () => ({
  assets: await runScript(join(here, 'build.sh')),
  crds: await runScript(join(here, 'crds.sh')),
});

/** Runs a script of bash that may take long: it reports progress on stderr. Returns what it prints on stdout. */
export async function runScript(...command: string[]): Promise<string> {
  const running = promisify(execFile)('bash', command);
  running.child.stderr?.pipe(process.stderr);
  return (await running).stdout.trim();
}

/** Ports that are free now. All stay in use until the last is found, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
