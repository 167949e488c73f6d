import type { EnvoyGatewayConfig } from './envoy-gateway-config.ts';
import type {
  Deployment,
  EnvoyProxy,
  Gateway,
  GatewayClass,
  HorizontalPodAutoscaler,
  Scaler,
} from './kubernetes-objects.ts';

/** The state of one cluster, as far as the judgement needs it: whole lists, and the Deployments that it asked for. */
export interface Snapshot {
  /** Every HPA that has an owning label. */
  readonly hpas: readonly HorizontalPodAutoscaler[];
  readonly gatewayClasses: readonly GatewayClass[];
  readonly gateways: readonly Gateway[];
  readonly envoyProxies: readonly EnvoyProxy[];
  readonly envoyGatewayConfigs: readonly EnvoyGatewayConfig[];
  /** The only namespaces whose ConfigMaps may lead to a deletion; absent or empty: every namespace. */
  readonly controllerNamespaces?: readonly string[];
  /** Deployments by `namespace/name`; `null` where there is none. One that was not read is not in the map. */
  readonly deployments: ReadonlyMap<string, Deployment | null>;
  /** All HPAs by namespace, also those without an owning label. A namespace that was not listed is not in the map. */
  readonly scalers?: ReadonlyMap<string, readonly Scaler[]>;
}
