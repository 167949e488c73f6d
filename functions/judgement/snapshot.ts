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

/**
 * An object that a verdict rests on, as it was read; without uid it does not exist. The scale target of an HPA is identified by
 * its uid alone, the Deployment of Envoy Gateway by uid and generation.
 */
export interface ObjectRead {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
}

/** @param object the metadata of an object that exists, or the name alone of one that does not */
export const objectRead = (
  kind: string,
  { namespace, name, uid, resourceVersion }: Omit<ObjectRead, 'kind' | 'generation'>,
): ObjectRead => ({ kind, namespace, name, uid, resourceVersion });
