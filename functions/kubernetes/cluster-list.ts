import { grouped } from '../judgement/cluster-index.ts';
import { controllerOf } from '../judgement/controller.ts';
import { CONFIG_MAP_NAME, readEnvoyGatewayConfig } from '../judgement/envoy-gateway-config.ts';
import { deploymentOf } from '../judgement/judge.ts';
import {
  configMapSchema,
  type Deployment,
  deploymentSchema,
  envoyProxySchema,
  gatewayClassSchema,
  gatewaySchema,
  horizontalPodAutoscalerSchema,
  objectKey,
  scalerSchema,
} from '../judgement/kubernetes-objects.ts';
import { carriesOwningLabels } from '../judgement/ownership.ts';
import type { Snapshot } from '../judgement/snapshot.ts';
import { MalformedInputError } from '../platform/errors.ts';
import { parseObjects, projectObjects } from './parse-objects.ts';

interface ListedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly namespace?: string;
    readonly name: string;
    readonly labels?: Record<string, string> | null;
  };
}

/** The kinds that a judgement needs, by the resource that kubectl lists them with, and their group. */
const KINDS = {
  GatewayClass: { group: 'gateway.networking.k8s.io', resource: 'gatewayclasses.gateway.networking.k8s.io' },
  Gateway: { group: 'gateway.networking.k8s.io', resource: 'gateways.gateway.networking.k8s.io' },
  EnvoyProxy: { group: 'gateway.envoyproxy.io', resource: 'envoyproxies.gateway.envoyproxy.io' },
  HorizontalPodAutoscaler: { group: 'autoscaling', resource: 'horizontalpodautoscalers.autoscaling' },
  Deployment: { group: 'apps', resource: 'deployments.apps' },
  ConfigMap: { group: '', resource: 'configmaps' },
} as const;
type ListedKind = keyof typeof KINDS;

/** What makes a List that {@link snapshotOfList} understands. */
export const LIST_COMMAND = `kubectl get -A -o json --show-managed-fields ${Object.values(KINDS)
  .map(({ resource }) => resource)
  .join(',')}`;

/**
 * A snapshot from a saved List, as {@link LIST_COMMAND} prints it. The List counts as the whole cluster: a Deployment that is
 * not in it does not exist. Objects of other groups and kinds may be in it.
 *
 * @param incomplete whether a kind that is missing altogether is meant to be
 * @throws {MalformedInputError} when it is no List, or lacks what a judgement needs; {@link parseObjects}' error when an object
 * in it has another shape
 */
export function snapshotOfList(list: unknown, incomplete = false): Snapshot {
  const { kind, items } = (list ?? {}) as { kind?: unknown; items?: unknown };
  if (kind !== 'List' || !Array.isArray(items)) {
    const found = typeof kind === 'string' ? `a ${kind}` : 'no kind';
    throw new MalformedInputError(
      `expected a List, as \`kubectl get … -o json\` prints it (kind: List, items: […]), found ${found}`,
    );
  }
  const byKind = new Map<string, ListedObject[]>(Object.keys(KINDS).map((known) => [known, []]));
  for (const item of items as ListedObject[]) {
    const known = KINDS[item?.kind as ListedKind];
    if (known !== undefined && known.group === groupOf(item)) byKind.get(item.kind)?.push(item);
  }
  const ofKind = (wanted: ListedKind): ListedObject[] => byKind.get(wanted) ?? [];
  const missing = Object.keys(KINDS).filter((known) => ofKind(known as ListedKind).length === 0);
  if (missing.length > 0 && !incomplete) {
    throw new MalformedInputError(
      `it has no ${missing.join(', no ')}, and what is not in it counts as gone. List them too (\`${LIST_COMMAND}\`), or say with --incomplete that the cluster has none`,
    );
  }

  const all = ofKind('HorizontalPodAutoscaler');
  const hpas = parseObjects('HorizontalPodAutoscaler', horizontalPodAutoscalerSchema, all.filter(carriesOwningLabels));
  if (hpas.length > 0 && hpas.every(({ metadata }) => metadata.managedFields == null)) {
    throw new MalformedInputError(
      'its HPAs have no managedFields, so nothing shows which of them Envoy Gateway made: save it with --show-managed-fields',
    );
  }
  const configs = parseObjects(
    'ConfigMap',
    configMapSchema,
    ofKind('ConfigMap').filter(({ metadata }) => metadata?.name === CONFIG_MAP_NAME),
  ).map(readEnvoyGatewayConfig);
  const deployments = projectObjects('Deployment', deploymentSchema, ofKind('Deployment'));
  return {
    hpas,
    gatewayClasses: projectObjects('GatewayClass', gatewayClassSchema, ofKind('GatewayClass')),
    gateways: projectObjects('Gateway', gatewaySchema, ofKind('Gateway')),
    envoyProxies: projectObjects('EnvoyProxy', envoyProxySchema, ofKind('EnvoyProxy')),
    envoyGatewayConfigs: configs,
    deployments: new Map<string, Deployment | null>([
      ...[...hpas.map(deploymentOf), ...configs.map(controllerOf)].map((place) => [objectKey(place), null] as const),
      ...deployments.map((deployment) => [objectKey(deployment.metadata), deployment] as const),
    ]),
    scalers: grouped(
      projectObjects('HorizontalPodAutoscaler', scalerSchema, all).map((one) => [one.metadata.namespace, one]),
    ),
  };
}

/** The API group of an object in JSON; empty for the core group. */
export const groupOf = ({ apiVersion }: { readonly apiVersion?: unknown }): string =>
  /^([^/]*)\//.exec(String(apiVersion))?.[1] ?? '';
