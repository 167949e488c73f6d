import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Connection } from '../contract/connection.ts';
import { controllerDeployment } from '../contract/objects.ts';
import { waitFor } from '../contract/server.ts';
import { runScript, Service } from '../real/control-plane/start.ts';

export const SYSTEM = 'envoy-gateway-system';

/** An EnvoyGateway configuration without apiVersion and kind. */
export type Configuration = Record<string, unknown> & {
  provider: { type: 'Kubernetes'; kubernetes: Record<string, unknown> };
};

interface ApiServer {
  readonly url: string;
  readonly caCertificate: string;
  readonly adminToken: string;
}

/**
 * One real Envoy Gateway, and in the cluster what its Helm chart creates. Its ports and the folder of its certificates are fixed, so
 * it needs a network and a mount namespace of its own ({@link file://./run.ts} makes them).
 */
export class EnvoyGatewayProcess {
  readonly #admin: Connection;
  readonly #server: ApiServer;
  /** For the configuration, the kubeconfig and the log. */
  readonly #folder: string;
  #service: Service | undefined;
  #version = '';

  constructor(admin: Connection, server: ApiServer, folder: string) {
    this.#admin = admin;
    this.#server = server;
    this.#folder = folder;
  }

  get version(): string {
    return this.#version;
  }

  /** Installs the CRDs and the chart's objects of a version, as an upgrade does. Envoy Gateway must not run. */
  async install(version: string, configuration: Configuration): Promise<void> {
    this.#version = version;
    await this.#put(`/api/v1/namespaces/${SYSTEM}`, { apiVersion: 'v1', kind: 'Namespace' });
    await this.#installCrds();
    await this.configure(configuration);
    const path = `/api/v1/namespaces/${SYSTEM}`;
    await this.#put(`${path}/serviceaccounts/envoy-gateway`, { apiVersion: 'v1', kind: 'ServiceAccount' });
    const ports = [{ name: 'grpc', port: 18_000 }];
    const selector = { 'control-plane': 'envoy-gateway' };
    await this.#put(`${path}/services/envoy-gateway`, { apiVersion: 'v1', kind: 'Service', spec: { selector, ports } });
    await this.#put(
      `/apis/apps/v1/namespaces/${SYSTEM}/deployments/envoy-gateway`,
      controllerDeployment(this.#version),
    );
    await this.#createCertificates();
  }

  /** Writes the ConfigMap, and the file that the kubelet would write. A running Envoy Gateway reads it again. */
  async configure(configuration: Configuration): Promise<void> {
    const text = JSON.stringify({
      apiVersion: 'gateway.envoyproxy.io/v1alpha1',
      kind: 'EnvoyGateway',
      gateway: { controllerName: 'gateway.envoyproxy.io/gatewayclass-controller' },
      ...configuration,
    });
    await this.#put(`/api/v1/namespaces/${SYSTEM}/configmaps/envoy-gateway-config`, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      data: { 'envoy-gateway.yaml': text },
    });
    await mkdir(join(this.#folder, 'config'), { recursive: true });
    await writeFile(join(this.#folder, 'config/.new'), text);
    await rename(join(this.#folder, 'config/.new'), this.#configFile);
  }

  get #configFile(): string {
    return join(this.#folder, 'config/envoy-gateway.yaml');
  }

  /** @throws with the end of its log if it is not ready within a minute */
  async start(): Promise<void> {
    const binary = join(await built(this.#version), 'envoy-gateway');
    const service = new Service(binary, ['server', '-c', this.#configFile], this.#folder, this.#environment());
    this.#service = service;
    await waitFor(async () => {
      service.assertRuns();
      return await fetch('http://127.0.0.1:8081/readyz').then(
        ({ ok }) => ok,
        () => false,
      );
    }, 60).catch((cause) => {
      const log = service.endOfLog;
      throw new Error(`Envoy Gateway ${this.#version} is not ready; the end of its log:\n${log}`, { cause });
    });
  }

  async stop(): Promise<void> {
    this.resume();
    await this.#service?.stop();
    this.#service = undefined;
  }

  get isRunning(): boolean {
    return this.#service !== undefined;
  }

  pause(): void {
    this.#service?.signal('SIGSTOP');
  }

  resume(): void {
    this.#service?.signal('SIGCONT');
  }

  #environment(): NodeJS.ProcessEnv {
    const { hostname, port } = new URL(this.#server.url);
    return {
      ...process.env,
      KUBECONFIG: join(this.#folder, 'kubeconfig'),
      ENVOY_GATEWAY_NAMESPACE: SYSTEM,
      KUBERNETES_CLUSTER_DOMAIN: 'cluster.local',
      // GatewayNamespace mode reads the API server and its own identity as in a Pod.
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
    };
  }

  async #createCertificates(): Promise<void> {
    const { url, caCertificate, adminToken } = this.#server;
    const certificate = Buffer.from(caCertificate).toString('base64');
    const cluster = { name: 'here', cluster: { server: url, 'certificate-authority-data': certificate } };
    const kubeconfig = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'here' },
      clusters: [cluster],
      users: [{ name: 'here', user: { token: adminToken } }],
      contexts: [{ name: 'here', context: { cluster: 'here', user: 'here' } }],
    };
    await writeFile(join(this.#folder, 'kubeconfig'), JSON.stringify(kubeconfig));
    const identity = '/var/run/secrets/kubernetes.io/serviceaccount';
    await mkdir(identity, { recursive: true });
    await writeFile(join(identity, 'token'), adminToken);
    await writeFile(join(identity, 'ca.crt'), caCertificate);
    await writeFile(join(identity, 'namespace'), SYSTEM);

    const binary = join(await built(this.#version), 'envoy-gateway');
    const options = { env: this.#environment(), cwd: this.#folder };
    const { stdout: help } = await promisify(execFile)(binary, ['certgen', '--help'], options);
    const flags = help.includes('disable-topology-injector') ? ['--disable-topology-injector'] : [];
    await promisify(execFile)(binary, ['certgen', ...flags], options);
    const { data } = (await this.#admin.get(`/api/v1/namespaces/${SYSTEM}/secrets/envoy-gateway`)).body;
    for (const file of ['ca.crt', 'tls.crt', 'tls.key']) {
      await writeFile(join('/certs', file), Buffer.from(data[file], 'base64'));
    }
  }

  async #installCrds(): Promise<void> {
    const folder = join(await built(this.#version), 'crds');
    const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.yaml'));
    const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
    const isCrd = (text: string) => /^kind: CustomResourceDefinition$/m.test(text);
    const names: string[] = [];
    for (const crd of texts.flatMap((text) => text.split('\n---\n')).filter(isCrd)) {
      const name = /^ {2}name: (\S+)$/m.exec(crd)?.[1] as string;
      names.push(name);
      await this.#put(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`, crd);
    }
    for (const name of names) {
      await waitFor(async () => {
        const { body } = await this.#admin.get(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`);
        const conditions: { type: string; status: string }[] = body.status?.conditions ?? [];
        return conditions.some(({ type, status }) => type === 'Established' && status === 'True');
      });
    }
  }

  async #put(path: string, manifest: object | string): Promise<void> {
    const named = typeof manifest === 'string' ? manifest : { metadata: { name: path.split('/').at(-1) }, ...manifest };
    const { status, text } = await this.#admin.apply(`${path}?fieldManager=helm&force=true`, named);
    if (status >= 300) throw new Error(`the API server refused ${path}: ${text}`);
  }
}

/** The folder with the binary and the CRDs of a version, which is built first if necessary. */
export const built = (version: string): Promise<string> => runScript(join(import.meta.dirname, 'build.sh'), version);
