import { hashedName } from '../../functions/domain/effective-proxy.ts';
import type { Connection } from './connection.ts';

export const SYSTEM = 'envoy-gateway-system';
const GATEWAY_API = 'gateway.networking.k8s.io/v1';
const ENVOY_API = 'gateway.envoyproxy.io/v1alpha1';

/**
 * A Gateway `web` of its own class in a namespace, its EnvoyProxy, and what a person and Envoy Gateway do to them. Every
 * write is a request to the API server, as kubectl and Envoy Gateway send them.
 */
export class Installation {
  readonly #admin: Connection;
  readonly #namespace: string;
  readonly hpaName: string;
  readonly hpa: string;
  readonly gatewayClass: string;
  readonly proxy: string;
  readonly deployment: string;
  #replicas = 2;

  constructor(admin: Connection, namespace: string) {
    this.#admin = admin;
    this.#namespace = namespace;
    this.hpaName = hashedName(`${namespace}/web`);
    this.hpa = `/apis/autoscaling/v2/namespaces/${SYSTEM}/horizontalpodautoscalers/${this.hpaName}`;
    this.gatewayClass = `/apis/${GATEWAY_API}/gatewayclasses/${namespace}`;
    this.proxy = `/apis/${ENVOY_API}/namespaces/${namespace}/envoyproxies/web`;
    this.deployment = `/apis/apps/v1/namespaces/${SYSTEM}/deployments/${this.hpaName}`;
  }

  async setUp(): Promise<void> {
    for (const name of [this.#namespace, SYSTEM]) {
      await this.#apply(`/api/v1/namespaces/${name}`, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    await this.#apply(this.gatewayClass, {
      apiVersion: GATEWAY_API,
      kind: 'GatewayClass',
      metadata: { name: this.#namespace },
      spec: { controllerName: 'gateway.envoyproxy.io/gatewayclass-controller' },
    });
    await this.#apply(`/apis/${GATEWAY_API}/namespaces/${this.#namespace}/gateways/web`, {
      apiVersion: GATEWAY_API,
      kind: 'Gateway',
      metadata: { name: 'web', namespace: this.#namespace },
      spec: {
        gatewayClassName: this.#namespace,
        infrastructure: { parametersRef: { group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name: 'web' } },
        listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }],
      },
    });
    await this.#apply(`/api/v1/namespaces/${SYSTEM}/configmaps/envoy-gateway-config`, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'envoy-gateway-config', namespace: SYSTEM },
      data: { 'envoy-gateway.yaml': `apiVersion: ${ENVOY_API}\nkind: EnvoyGateway\n` },
    });
    await this.#apply(this.proxy, {
      apiVersion: ENVOY_API,
      kind: 'EnvoyProxy',
      metadata: { name: 'web', namespace: this.#namespace },
      spec: { provider: { type: 'Kubernetes', kubernetes: {} } },
    });
    await this.#apply(this.deployment, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: this.hpaName, namespace: SYSTEM },
      spec: {
        selector: { matchLabels: { app: this.hpaName } },
        template: {
          metadata: { labels: { app: this.hpaName } },
          spec: { containers: [{ name: 'envoy', image: 'envoy' }] },
        },
      },
    });
  }

  /** What kubectl patch sends. */
  async setAutoscaling(autoscaling: 'on' | 'off'): Promise<void> {
    const envoyHpa = autoscaling === 'on' ? { minReplicas: 2, maxReplicas: 5 } : null;
    const patch = { spec: { provider: { kubernetes: { envoyHpa } } } };
    mustSucceed(await this.#admin.merge(`${this.proxy}?fieldManager=kubectl-patch`, patch));
  }

  /** As Envoy Gateway applies its HPA: always the same fields. */
  async applyHpa(): Promise<void> {
    const manifest = {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: {
        name: this.hpaName,
        namespace: SYSTEM,
        labels: {
          'gateway.envoyproxy.io/owning-gateway-name': 'web',
          'gateway.envoyproxy.io/owning-gateway-namespace': this.#namespace,
        },
      },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: this.hpaName },
        minReplicas: 2,
        maxReplicas: 5,
        metrics: [
          { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } },
        ],
      },
    };
    mustSucceed(await this.#admin.apply(`${this.hpa}?fieldManager=envoy-gateway&force=true`, manifest));
  }

  /** What the HPA controller writes every 15 seconds, if there is an HPA. */
  async writeStatus(): Promise<void> {
    this.#replicas += 1;
    const patch = { status: { currentReplicas: this.#replicas, desiredReplicas: 2 } };
    const reply = await this.#admin.merge(`${this.hpa}/status?fieldManager=kube-controller-manager`, patch);
    if (reply.status !== 404) mustSucceed(reply);
  }

  async deleteHpa(): Promise<void> {
    const reply = await this.#admin.delete(this.hpa);
    if (reply.status !== 404) mustSucceed(reply);
  }

  async hpaExists(): Promise<boolean> {
    const { status, text } = await this.#admin.get(this.hpa);
    if (status !== 200 && status !== 404) throw new Error(text);
    return status === 200;
  }

  async #apply(path: string, manifest: object): Promise<void> {
    mustSucceed(await this.#admin.apply(`${path}?fieldManager=setup&force=true`, manifest));
  }
}

function mustSucceed({ status, text }: { status: number; text: string }): void {
  if (status > 299) throw new Error(`${status}: ${text}`);
}
