import type { EnvoyGatewayConfig } from './envoy-gateway-config.ts';
import type { EnvoyProxy, Gateway, GatewayClass, HorizontalPodAutoscaler } from './kubernetes-objects.ts';

/** The state of one cluster, as far as the judgement needs it: whole lists, and the Deployments that were asked for. */
export interface Snapshot {
  /** Every HPA that carries an owning label. */
  readonly hpas: readonly HorizontalPodAutoscaler[];
  readonly gatewayClasses: readonly GatewayClass[];
  readonly gateways: readonly Gateway[];
  readonly envoyProxies: readonly EnvoyProxy[];
  readonly envoyGatewayConfigs: readonly EnvoyGatewayConfig[];
  /** The namespaces whose ConfigMaps alone may lead to a deletion; absent or empty: every namespace. */
  readonly controllerNamespaces?: readonly string[] | undefined;
  /** By `namespace/name`: whether this Deployment exists. A Deployment that nobody asked for is not in it. */
  readonly deployments: ReadonlyMap<string, boolean>;
}
