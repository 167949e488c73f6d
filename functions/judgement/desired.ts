import type { ClusterIndex, DeploymentReads, OwnerConfig } from './cluster-index.ts';
import { controllerOf, controllerVersion, isAtLeast, otherConfiguration } from './controller.ts';
import { appliedReplicas, effectiveProxy, expectedHpas, mergesGateways } from './effective-proxy.ts';
import type { EnvoyGatewayConfig, EnvoyGatewaySettings } from './envoy-gateway-config.ts';
import { type Gateway, type NamespacedName, objectKey } from './kubernetes-objects.ts';
import { describeOwner } from './ownership.ts';
import { isRejected } from './status.ts';

/** What one installation of Envoy Gateway wants for an owner, or why that is not known. */
export interface Desired {
  readonly state:
    | 'unreadable'
    | 'rejected'
    | 'merged'
    | 'not merged'
    | 'no Gateways'
    | 'no Deployment'
    | 'no autoscaling'
    | 'autoscaling';
  /** One clause. */
  readonly because: string;
  /** The names that the HPA can have; several while it is not known which of them is meant. Empty where none is wanted. */
  readonly names: readonly NamespacedName[];
  /** The levels that the effective EnvoyProxy is made of. */
  readonly levels: ReturnType<typeof effectiveProxy>['levels'];
  /** What Envoy Gateway writes into `spec.replicas` of the Deployment; `undefined` where it leaves that field alone. */
  readonly appliedReplicas?: number | 'unknown';
}

const withoutHpa = (state: Desired['state'], because: string): Desired => ({ state, because, names: [], levels: [] });

/**
 * Resolves what the owner is configured to get.
 *
 * @param installation one of those that may serve the owner; `undefined` where there is none
 * @param reads is asked for the controller only where its version decides
 */
export function resolve(
  config: OwnerConfig,
  installation: EnvoyGatewayConfig | undefined,
  cluster: ClusterIndex,
  reads: DeploymentReads,
): Desired {
  const { owner } = config;
  const name = describeOwner(owner);
  if (installation === undefined) {
    if (owner.kind === 'ConfigMap')
      return withoutHpa('unreadable', `${name} does not exist, or is not in a controller namespace`);
    const { controllerNamespaces = [] } = cluster.snapshot;
    const where = controllerNamespaces.length > 0 ? ` in ${controllerNamespaces.join(', ')}` : '';
    const controllerName = config.gatewayClass?.spec.controllerName;
    return withoutHpa('unreadable', `No ConfigMap of an Envoy Gateway${where} names controller ${controllerName}`);
  }
  const settings = knownSettings(installation, reads);
  if (settings.unreadable !== undefined) return withoutHpa('unreadable', settings.unreadable);
  const version = () => controllerVersion(reads.peek(controllerOf(installation)));

  if (owner.kind === 'ConfigMap') {
    if (settings.rateLimit === undefined) {
      return withoutHpa('no Deployment', `${name} configures no rate limit service`);
    }
    const { hpa, deployment } = settings.rateLimit;
    const state = hpa ? 'autoscaling' : 'no autoscaling';
    const asks = `${name} asks for ${state} of the rate limit service`;
    const because = hpa ? asks : `${asks}: it has no rateLimitHpa`;
    const names = hpa ? expectedHpas(config, hpa, installation, version()) : [];
    return { state, because, names, levels: [], appliedReplicas: appliedReplicas(deployment) };
  }

  const rejection = rejected(config, installation, settings, cluster, reads);
  if (rejection) return withoutHpa('rejected', rejection);
  const gatewayClass = `GatewayClass ${config.gatewayClassName}`;
  const merges = mergesGateways(config, settings);
  if (owner.kind === 'Gateway' && merges) return withoutHpa('merged', `${gatewayClass} merges its Gateways`);
  if (owner.kind === 'GatewayClass' && !merges) {
    return withoutHpa('not merged', `${gatewayClass} no longer merges its Gateways`);
  }
  if (config.gateways.length === 0) return withoutHpa('no Gateways', `${gatewayClass} has no Gateway`);

  const { spec, levels } = effectiveProxy(config, settings);
  const type = spec.provider?.type ?? 'Kubernetes';
  if (type !== 'Kubernetes') return withoutHpa('rejected', `The effective EnvoyProxy has provider ${type}`);
  const { ownProxy, classProxy } = config;
  const sources = {
    gateway: ownProxy && `EnvoyProxy ${objectKey(ownProxy.metadata)}`,
    class: classProxy && `EnvoyProxy ${objectKey(classProxy.metadata)}`,
    default: `the default in ConfigMap ${objectKey(installation.configMap.metadata)}`,
  };
  const source = levels.map((level) => sources[level]).join(' over ');
  const { envoyHpa, envoyDeployment, envoyDaemonSet } = spec.provider?.kubernetes ?? {};
  if (envoyDaemonSet && !envoyDeployment) {
    return withoutHpa('no Deployment', `${name} runs as a DaemonSet according to ${source}`);
  }
  return {
    ...(envoyHpa
      ? { state: 'autoscaling', because: `${name} asks for autoscaling in ${source}` }
      : { state: 'no autoscaling', because: `${name} asks for no autoscaling: no envoyHpa in ${source}` }),
    names: envoyHpa ? expectedHpas(config, envoyHpa, installation, version()) : [],
    levels,
    appliedReplicas: appliedReplicas(envoyDeployment),
  };
}

/** The settings of an installation, or why they are not known: one clause. */
function knownSettings(installation: EnvoyGatewayConfig, reads: DeploymentReads): EnvoyGatewayConfig['settings'] {
  const { settings, configMap } = installation;
  const { metadata } = configMap;
  if (settings.unreadable !== undefined) {
    return { unreadable: `ConfigMap ${objectKey(metadata)} cannot be read (${settings.unreadable})` };
  }
  const controller = reads.peek(controllerOf(installation));
  const other = controller ? otherConfiguration(controller) : undefined;
  if (other === undefined) return settings;
  reads.read(controllerOf(installation)); // So that the verdict rests on it.
  return { unreadable: `Envoy Gateway in ${metadata.namespace} reads ${other} and not ${metadata.name}` };
}

/** Why Envoy Gateway rejects what the owner asks for, or what it refers to cannot be found: one clause. */
function rejected(
  config: OwnerConfig,
  installation: EnvoyGatewayConfig,
  settings: EnvoyGatewaySettings,
  cluster: ClusterIndex,
  reads: DeploymentReads,
): string | undefined {
  const { owner, gateways, gatewayClass, ownProxy, classProxy } = config;
  const name = `GatewayClass ${config.gatewayClassName}`;
  const merges = mergesGateways(config, settings);
  const fault =
    gatewayClass && isRejected(gatewayClass)
      ? `${name} is not accepted`
      : gatewayClass?.spec.parametersRef && classProxy === undefined
        ? `The parametersRef of ${name} does not resolve to an EnvoyProxy`
        : undefined;
  if (fault) {
    // From v1.7 on such a Gateway is served in full. In v1.4 a class can be rejected while its EnvoyProxy is effective.
    const isReplaced =
      gatewayClass?.spec.parametersRef && ownProxy && !merges && (ownProxy.spec?.mergeType ?? 'Replace') === 'Replace';
    const isServed = isReplaced && isAtLeast(controllerVersion(reads.read(controllerOf(installation))), 7);
    if (!isServed) return fault;
  }
  if (merges === 'refused') {
    return `${name} merges its Gateways by its own EnvoyProxy, which GatewayNamespace mode rejects`;
  }
  const refusalOf = (gateway: Gateway): string | undefined => {
    const key = objectKey(gateway.metadata);
    const reference = gateway.spec.infrastructure?.parametersRef;
    if (isRejected(gateway)) return `Gateway ${key} is not accepted`;
    if (reference && classProxy?.spec?.mergeGateways) {
      return `Gateway ${key} has a parametersRef although its class merges Gateways`;
    }
    if (reference && !merges && cluster.proxyOf(gateway) === undefined) {
      return `The parametersRef of Gateway ${key} does not resolve to an EnvoyProxy`;
    }
    return undefined;
  };
  const refusals = gateways.map(refusalOf);
  if (refusals.length > 0 && refusals.every((refusal) => refusal !== undefined)) {
    return owner.kind === 'Gateway' ? refusals[0] : `Every Gateway of ${name} is rejected (${refusals[0]})`;
  }
  const { conflict } = effectiveProxy(config, settings);
  return conflict && `Envoy Gateway cannot merge the EnvoyProxies of ${describeOwner(owner)} (${conflict})`;
}
