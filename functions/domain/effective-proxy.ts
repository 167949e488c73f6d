import { createHash } from 'node:crypto';
import type { EnvoyGatewayConfig, EnvoyGatewaySettings } from './envoy-gateway-config.ts';
import type { EnvoyProxySpec, Gateway } from './kubernetes-objects.ts';

/** Where a setting can come from, most specific first. */
export type Level = 'gateway' | 'class' | 'default';

export interface EffectiveProxy {
  readonly spec: EnvoyProxySpec;
  /** The levels that the spec is made of; never empty: where nothing is configured, it is the (empty) default. */
  readonly levels: readonly Level[];
}

/**
 * The EnvoyProxy spec that is in force, worked out as Envoy Gateway does: the Gateway's over its class's with the Gateway
 * proxy's mergeType, that over the default with the class proxy's mergeType or else the Gateway proxy's. Without a
 * mergeType (all there was before v1.8) the most specific replaces the rest.
 *
 * Source: `internal/gatewayapi/envoyproxy_merge.go` of Envoy Gateway v1.9.1.
 */
export function effectiveProxy(
  gatewayProxy: EnvoyProxySpec | undefined,
  classProxy: EnvoyProxySpec | undefined,
  defaultProxy: EnvoyProxySpec | undefined,
): EffectiveProxy {
  const own = layer('gateway', gatewayProxy);
  const merged = lay(own, layer('class', classProxy), gatewayProxy?.mergeType);
  const mergeType = classProxy?.mergeType ?? gatewayProxy?.mergeType;
  return lay(merged, layer('default', defaultProxy), mergeType) ?? { spec: {}, levels: ['default'] };
}

const layer = (level: Level, spec: EnvoyProxySpec | undefined): EffectiveProxy | undefined =>
  spec && { spec, levels: [level] };

function lay(
  override: EffectiveProxy | undefined,
  base: EffectiveProxy | undefined,
  mergeType: EnvoyProxySpec['mergeType'],
): EffectiveProxy | undefined {
  if (override === undefined || base === undefined) return override ?? base;
  if (mergeType === undefined || mergeType === null || mergeType === 'Replace') return override;
  return {
    spec: mergeObjects(base.spec, override.spec) as EnvoyProxySpec,
    levels: [...override.levels, ...base.levels],
  };
}

/**
 * Both StrategicMerge and JSONMerge lay objects over each other field by field; they differ in lists only, and nothing
 * that is read here lies in a list. Envoy Gateway leaves out empty pointers before it merges, so `null` overrides nothing;
 * only the `value` of a patch is raw JSON, in which `null` takes away what lies below.
 */
function mergeObjects(
  base: Record<string, unknown>,
  override: Record<string, unknown>,
  isRaw = false,
): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(override)) {
    const below = merged[key];
    if (isObject(value)) merged[key] = mergeObjects(isObject(below) ? below : {}, value, isRaw || key === 'value');
    else if (value !== null) merged[key] = value;
    else if (isRaw) delete merged[key];
  }
  return merged;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isTextIfAny = (value: unknown): value is string | undefined => value === undefined || typeof value === 'string';

/** The class proxy's `mergeGateways` if it says anything, else the default's, whatever the mergeType. */
export function mergesGateways(
  classProxy: EnvoyProxySpec | undefined,
  defaultProxy: EnvoyProxySpec | undefined,
): boolean {
  return classProxy?.mergeGateways ?? defaultProxy?.mergeGateways ?? false;
}

/**
 * Where Envoy Gateway puts the HPA that this spec asks for. In GatewayNamespace mode there are two names, since v1.4 hashes
 * the name there too and v1.5 no longer does, and the cluster does not say which of them runs. Empty when the spec's patch
 * has a shape from which no name can be read.
 *
 * Source: `Name()` and `HorizontalPodAutoscaler()` of `internal/infrastructure/kubernetes/proxy/resource_provider.go`.
 */
export function expectedHpas(
  owner: { gateway: Gateway } | { className: string },
  spec: EnvoyProxySpec,
  config: EnvoyGatewayConfig,
  settings: EnvoyGatewaySettings,
): { namespace: string; name: string }[] {
  const envoyHpa = spec.provider?.kubernetes?.envoyHpa;
  const patched = envoyHpa?.patch?.value?.metadata;
  if (patched !== undefined && !isObject(patched)) return [];
  const { name: patchedName, namespace: patchedNamespace } = patched ?? {};
  if (!isTextIfAny(patchedName) || !isTextIfAny(patchedNamespace)) return [];
  const inGatewayNamespace = settings.gatewayNamespaceMode && 'gateway' in owner;
  const namespace = inGatewayNamespace ? owner.gateway.metadata.namespace : config.configMap.metadata.namespace;
  const hashed = hashedName(
    'gateway' in owner ? `${owner.gateway.metadata.namespace}/${owner.gateway.metadata.name}` : owner.className,
  );
  const names = envoyHpa?.name
    ? [envoyHpa.name]
    : inGatewayNamespace
      ? [owner.gateway.metadata.name, hashed]
      : [hashed];
  return (patchedName === undefined ? names : [patchedName]).map((name) => ({
    namespace: patchedNamespace ?? namespace,
    name,
  }));
}

/**
 * `envoy-<readable>-<hash8>`: the readable part of `<namespace>/<gateway>` or `<class>` is cut to 48 characters and then
 * loses a hyphen at its end.
 *
 * Source: `GetHashedName` in `internal/utils/misc.go`, `ExpectedResourceHashedName` in `.../proxy/resource.go`.
 */
export function hashedName(identity: string): string {
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, 8);
  const readable = identity.replaceAll('/', '-');
  return `envoy-${readable.length > 48 ? readable.slice(0, 48).replace(/-$/, '') : readable}-${hash}`;
}
