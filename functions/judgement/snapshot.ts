import type { EnvoyGatewayConfig } from './envoy-gateway-config.ts';
import type {
  Deployment,
  EnvoyProxy,
  Gateway,
  GatewayClass,
  HorizontalPodAutoscaler,
  Scaler,
} from './kubernetes-objects.ts';

/** The state of one cluster, as far as the judgement needs it: whole lists, and the Deployments that were asked for. */
export interface Snapshot {
  /** Every HPA that carries an owning label. */
  readonly hpas: readonly HorizontalPodAutoscaler[];
  readonly gatewayClasses: readonly GatewayClass[];
  readonly gateways: readonly Gateway[];
  readonly envoyProxies: readonly EnvoyProxy[];
  readonly envoyGatewayConfigs: readonly EnvoyGatewayConfig[];
  /** The namespaces whose ConfigMaps alone may lead to a deletion; absent or empty: every namespace. */
  readonly controllerNamespaces?: readonly string[];
  /** By `namespace/name`: a Deployment as it was read, `null` where there is none. One that nobody asked for is not in it. */
  readonly deployments: ReadonlyMap<string, Deployment | null>;
  /** By namespace: every HPA there, also those without an owning label. A namespace that nobody asked for is not in it. */
  readonly scalers?: ReadonlyMap<string, readonly Scaler[]> | undefined;
}

/**
 * An object that a verdict rests on, as it was read; without uid it was read as absent. Of the Deployment that an HPA scales
 * only that much is read, of Envoy Gateway's own also the generation.
 */
export interface ObjectRead {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
}
