import { CONFIG_MAP_NAME, readEnvoyGatewayConfig } from '../domain/envoy-gateway-config.ts';
import {
  configMapSchema,
  envoyProxySchema,
  gatewayClassSchema,
  gatewaySchema,
  horizontalPodAutoscalerSchema,
  objectKey,
} from '../domain/kubernetes-objects.ts';
import { OWNING_LABELS } from '../domain/ownership.ts';
import type { Snapshot } from '../domain/snapshot.ts';
import { MalformedInputError } from '../platform/errors.ts';
import { parseObjects, projectObjects } from './parse-objects.ts';

type KubernetesObject = {
  kind?: unknown;
  metadata?: { namespace?: string; name?: string; labels?: Record<string, string> };
};

/**
 * A snapshot from a saved List, as `kubectl get gatewayclasses,gateways,envoyproxies,hpa,deployments,configmaps -A -o json
 * --show-managed-fields` prints it. The List counts as the whole cluster: a Deployment that is not in it does not exist.
 *
 * @throws {MalformedInputError} when it is no List; {@link parseObjects}' error when an object in it has another shape
 */
export function snapshotOfList(list: unknown): Snapshot {
  const { kind, items } = (list ?? {}) as { kind?: unknown; items?: unknown };
  if (kind !== 'List' || !Array.isArray(items)) {
    const found = typeof kind === 'string' ? `a ${kind}` : 'no kind';
    throw new MalformedInputError(
      `expected a List, as \`kubectl get … -o json\` prints it (kind: List, items: […]), found ${found}`,
    );
  }
  const ofKind = (wanted: string) =>
    items.filter((item: KubernetesObject) => item?.kind === wanted) as KubernetesObject[];
  const hpas = parseObjects(
    'HorizontalPodAutoscaler',
    horizontalPodAutoscalerSchema,
    ofKind('HorizontalPodAutoscaler').filter(carriesOwningLabel),
  );
  const existing = new Set(
    ofKind('Deployment').map(({ metadata }) =>
      objectKey({ namespace: metadata?.namespace, name: metadata?.name ?? '' }),
    ),
  );
  const targets = hpas.map((hpa) =>
    objectKey({ namespace: hpa.metadata.namespace, name: hpa.spec.scaleTargetRef.name }),
  );
  return {
    hpas,
    gatewayClasses: projectObjects('GatewayClass', gatewayClassSchema, ofKind('GatewayClass')),
    gateways: projectObjects('Gateway', gatewaySchema, ofKind('Gateway')),
    envoyProxies: projectObjects('EnvoyProxy', envoyProxySchema, ofKind('EnvoyProxy')),
    envoyGatewayConfigs: parseObjects(
      'ConfigMap',
      configMapSchema,
      ofKind('ConfigMap').filter(({ metadata }) => metadata?.name === CONFIG_MAP_NAME),
    ).map(readEnvoyGatewayConfig),
    deployments: new Map(targets.map((target) => [target, existing.has(target)])),
  };
}

const carriesOwningLabel = ({ metadata }: KubernetesObject): boolean =>
  OWNING_LABELS.some((label) => metadata?.labels?.[label] !== undefined);
