import { createHash } from 'node:crypto';
import { type controllerVersion, isAtLeast } from './controller.ts';
import type { EnvoyGatewayConfig, EnvoyGatewaySettings } from './envoy-gateway-config.ts';
import {
  type ComponentSettings,
  type EnvoyProxy,
  type EnvoyProxySpec,
  type Gateway,
  NAMESPACE_PATTERN,
  type NamespacedName,
  objectKey,
} from './kubernetes-objects.ts';
import type { Owner } from './ownership.ts';

/** The sources of a setting, most specific first. */
type Level = 'gateway' | 'class' | 'default';

interface Proxies {
  readonly ownProxy?: Pick<EnvoyProxy, 'spec'>;
  readonly classProxy?: Pick<EnvoyProxy, 'spec'>;
}

interface EffectiveProxy {
  readonly spec: EnvoyProxySpec;
  /** The levels that contribute; never empty: if nothing is configured, it is the (empty) default. */
  readonly levels: readonly Level[];
  /** Why Envoy Gateway fails to merge the levels, one clause: the Gateway then gets no EnvoyProxy at all. */
  readonly conflict?: string;
}

/**
 * The effective EnvoyProxy spec: the Gateway's over its class's with the Gateway proxy's mergeType, that over the default with
 * the class proxy's mergeType or else the Gateway proxy's. Without a mergeType (as before v1.8) the most specific replaces the
 * rest.
 *
 * Source: `internal/gatewayapi/envoyproxy_merge.go` of Envoy Gateway v1.9.1.
 */
export function effectiveProxy(
  { ownProxy, classProxy }: Proxies,
  { defaultProxy }: Partial<Pick<EnvoyGatewaySettings, 'defaultProxy'>>,
): EffectiveProxy {
  const own = layer('gateway', ownProxy);
  const merged = mergeOver(own, layer('class', classProxy), ownProxy?.spec?.mergeType);
  const base = layer('default', defaultProxy && { spec: defaultProxy });
  const mergeType = classProxy?.spec?.mergeType ?? ownProxy?.spec?.mergeType;
  return mergeOver(merged, base, mergeType) ?? { spec: {}, levels: ['default'] };
}

/** An EnvoyProxy without a spec has an empty one. */
const layer = (level: Level, proxy: Pick<EnvoyProxy, 'spec'> | undefined): EffectiveProxy | undefined =>
  proxy && { spec: proxy.spec ?? {}, levels: [level] };

function mergeOver(
  override: EffectiveProxy | undefined,
  base: EffectiveProxy | undefined,
  mergeType: EnvoyProxySpec['mergeType'],
): EffectiveProxy | undefined {
  if (override === undefined || base === undefined) return override ?? base;
  if (mergeType === undefined || mergeType === null || mergeType === 'Replace') return override;
  return {
    spec: mergeObjects(base.spec, override.spec) as EnvoyProxySpec,
    levels: [...override.levels, ...base.levels],
    conflict:
      override.conflict ??
      base.conflict ??
      (mergeType === 'StrategicMerge' ? conflict(base.spec, override.spec) : undefined),
  };
}

/**
 * The strategic merge looks for the fields of a patch's `value` in the Go type of raw JSON, which has none: it fails if both
 * levels have an object or a list there. Measured on v1.9.1.
 */
function conflict(base: EnvoyProxySpec, override: EnvoyProxySpec): string | undefined {
  const lower = new Map(Object.entries(base.provider?.kubernetes ?? {}));
  for (const [component, settings] of Object.entries(override.provider?.kubernetes ?? {})) {
    const value = settings?.patch?.value;
    const below = lower.get(component)?.patch?.value;
    if (Array.isArray(value) && Array.isArray(below)) return `both have a list as ${component}.patch.value`;
    if (!isObject(value) || !isObject(below)) continue;
    const key = Object.keys(value).find(
      (name) =>
        (isObject(value[name]) && isObject(below[name])) || (Array.isArray(value[name]) && Array.isArray(below[name])),
    );
    if (key !== undefined) return `both have ${component}.patch.value.${key}`;
  }
  return undefined;
}

/** Nothing below is read; the API server stores a patch of 9,900 levels, which would fill the stack. */
const MERGED_LEVELS = 20;

/**
 * StrategicMerge and JSONMerge both merge objects field by field; they differ in lists only, and nothing that is read here is in
 * a list. Envoy Gateway leaves out empty pointers before it merges, so `null` overrides nothing; only the `value` of a patch is
 * raw JSON, in which `null` removes what is below.
 */
function mergeObjects(
  base: Record<string, unknown>,
  override: Record<string, unknown>,
  isRaw = false,
  level = 1,
): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(override)) {
    const below = isObject(merged[key]) ? merged[key] : {};
    if (isObject(value) && level < MERGED_LEVELS)
      merged[key] = mergeObjects(below, value, isRaw || key === 'value', level + 1);
    else if (value !== null) merged[key] = value;
    else if (isRaw) delete merged[key];
  }
  return merged;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The number that Envoy Gateway writes into `spec.replicas` of the Deployment.
 *
 * @returns `undefined` if it leaves that field alone, `unknown` for a patch of another shape
 */
export function appliedReplicas(deployment: ComponentSettings | null | undefined): number | 'unknown' | undefined {
  const value = deployment?.patch?.value ?? {};
  if (!isObject(value)) return 'unknown';
  const patched = isObject(value.spec) ? value.spec.replicas : undefined;
  if (patched === null) return undefined;
  if (patched !== undefined) return typeof patched === 'number' ? patched : 'unknown';
  return deployment?.replicas ?? undefined;
}

/**
 * Whether a class merges its Gateways: by its own EnvoyProxy or else by the default, whatever the mergeType. `refused`:
 * GatewayNamespace mode rejects a class that merges by its own EnvoyProxy, but not one that merges by the default.
 */
export function mergesGateways(
  { classProxy }: Proxies,
  { defaultProxy, gatewayNamespaceMode }: Partial<Pick<EnvoyGatewaySettings, 'defaultProxy' | 'gatewayNamespaceMode'>>,
): boolean | 'refused' {
  const own = classProxy?.spec?.mergeGateways;
  return own && gatewayNamespaceMode ? 'refused' : (own ?? defaultProxy?.mergeGateways ?? false);
}

/**
 * The names that the HPA of this owner can have. v1.4 ignores `envoyHpa.name`, and hashes the name in GatewayNamespace mode;
 * v1.5 does neither: there are two names while the version is not known. A class that merges its Gateways in that mode gets one
 * HPA, with the namespace and name of one of them, and the cluster does not say of which (measured on v1.9.1). Empty when the
 * patch has a shape from which no name can be read.
 *
 * Source: `Name()` and `HorizontalPodAutoscaler()` of `internal/infrastructure/kubernetes/proxy/resource_provider.go`.
 */
export function expectedHpas(
  { owner, gateways }: { owner: Owner; gateways: readonly Gateway[] },
  hpa: ComponentSettings,
  { configMap, settings }: EnvoyGatewayConfig,
  version: ReturnType<typeof controllerVersion>,
): NamespacedName[] {
  const { namespace } = configMap.metadata;
  if (owner.kind === 'ConfigMap') return namesOf(hpa, namespace, () => 'envoy-ratelimit', version);
  const hashed = hashedName(objectKey(owner));
  if (!settings.gatewayNamespaceMode) return namesOf(hpa, namespace, () => hashed, version);
  const names = gateways.flatMap(({ metadata }) =>
    namesOf(hpa, metadata.namespace, (isRecent) => (isRecent ? metadata.name : hashed), version),
  );
  return [...new Map(names.map((name) => [objectKey(name), name])).values()];
}

/**
 * A patch overrides `name`, and `name` (from v1.5 on; earlier releases ignore it) overrides the default name.
 *
 * @param defaultName the default of v1.5 and later, or that of earlier releases; both count while the version is not known
 */
function namesOf(
  hpa: ComponentSettings,
  ownNamespace: string,
  defaultName: (isRecent: boolean) => string,
  version: ReturnType<typeof controllerVersion>,
): NamespacedName[] {
  const value = hpa.patch?.value ?? {};
  const patched = isObject(value) ? (value.metadata === undefined ? {} : value.metadata) : undefined;
  if (!isObject(patched)) return [];
  const { name, namespace } = patched;
  const isText = (value: unknown): value is string | undefined => value === undefined || typeof value === 'string';
  if (!isText(name) || !isText(namespace)) return [];
  // It becomes part of a path.
  if (namespace && !NAMESPACE_PATTERN.test(namespace)) return [];
  const isRecent = isAtLeast(version, 5);
  const names = (isRecent === undefined ? [true, false] : [isRecent]).map(
    (recent) => name || (recent && hpa.name) || defaultName(recent),
  );
  return [...new Set(names)].map((one) => ({ namespace: namespace || ownNamespace, name: one }));
}

/**
 * `envoy-<readable>-<hash8>`: the readable part of `<namespace>/<gateway>` or `<class>` is cut to 48 characters and then
 * loses a hyphen at its end.
 *
 * Source: `GetHashedName` in `internal/utils/misc.go`, `ExpectedResourceHashedName` in `.../proxy/resource.go`.
 */
function hashedName(identity: string): string {
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, 8);
  const readable = identity.replaceAll('/', '-');
  return `envoy-${readable.length > 48 ? readable.slice(0, 48).replace(/-$/, '') : readable}-${hash}`;
}
