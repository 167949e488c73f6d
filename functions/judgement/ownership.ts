import { CONFIG_MAP_NAME } from './envoy-gateway-config.ts';
import { type HorizontalPodAutoscaler, type ManagedFieldsEntry, objectKey } from './kubernetes-objects.ts';

/** The field manager under which Envoy Gateway applies (server-side) everything that it makes. */
export const ENVOY_GATEWAY_MANAGER = 'envoy-gateway';

/** Under which this project writes; it stands in the API server's audit log as well. */
export const OWN_MANAGER = 'envoy-hpa-reaper';

export const OWNING_GATEWAY_NAME_LABEL = 'gateway.envoyproxy.io/owning-gateway-name';
export const OWNING_GATEWAY_NAMESPACE_LABEL = 'gateway.envoyproxy.io/owning-gateway-namespace';
export const OWNING_GATEWAY_CLASS_LABEL = 'gateway.envoyproxy.io/owning-gatewayclass';

/** What the HPA of the rate limit service carries in place of an owning label; there is one for each Envoy Gateway. */
export const RATE_LIMIT_LABELS = {
  'app.kubernetes.io/name': 'envoy-ratelimit',
  'app.kubernetes.io/component': 'ratelimit',
  'app.kubernetes.io/managed-by': 'envoy-gateway',
} as const;

/** Label selectors: every HPA that Envoy Gateway made matches one of them, so listing by each finds all. */
export const OWNING_SELECTORS: readonly string[] = [
  OWNING_GATEWAY_NAME_LABEL,
  OWNING_GATEWAY_CLASS_LABEL,
  Object.entries(RATE_LIMIT_LABELS)
    .map(([label, value]) => `${label}=${value}`)
    .join(','),
];

type Labeled = { readonly metadata?: { readonly labels?: Readonly<Record<string, string>> | null | undefined } };

const carriesRateLimitLabels = ({ metadata }: Labeled): boolean =>
  Object.entries(RATE_LIMIT_LABELS).every(([label, value]) => metadata?.labels?.[label] === value);

/** Whether one of {@link OWNING_SELECTORS} matches. */
export const carriesOwningLabels = (object: Labeled): boolean =>
  [OWNING_GATEWAY_NAME_LABEL, OWNING_GATEWAY_CLASS_LABEL].some(
    (label) => object.metadata?.labels?.[label] !== undefined,
  ) || carriesRateLimitLabels(object);

/**
 * Whom an HPA was made for. A GatewayClass owns it where the class merges its Gateways into one proxy; the HPA of the rate
 * limit service is owned by the configuration of Envoy Gateway itself, the ConfigMap in its namespace.
 */
export type Owner =
  | { kind: 'Gateway'; namespace: string; name: string }
  | { kind: 'GatewayClass'; name: string }
  | { kind: 'ConfigMap'; namespace: string; name: string };

/** What the labels say; `undefined` without a whole owning label. */
export function labeledOwner(hpa: HorizontalPodAutoscaler): Owner | 'ambiguous' | undefined {
  const { labels, namespace: ownNamespace } = hpa.metadata;
  const name = labels?.[OWNING_GATEWAY_NAME_LABEL];
  const namespace = labels?.[OWNING_GATEWAY_NAMESPACE_LABEL];
  const gatewayClass = labels?.[OWNING_GATEWAY_CLASS_LABEL];
  const isOfRateLimit = carriesRateLimitLabels(hpa);
  if ([gatewayClass, name || namespace, isOfRateLimit].filter(Boolean).length > 1) return 'ambiguous';
  if (isOfRateLimit) return { kind: 'ConfigMap', namespace: ownNamespace, name: CONFIG_MAP_NAME };
  if (gatewayClass) return { kind: 'GatewayClass', name: gatewayClass };
  return name && namespace ? { kind: 'Gateway', namespace, name } : undefined;
}

export const sameOwner = (a: Owner, b: Owner): boolean => a.kind === b.kind && objectKey(a) === objectKey(b);

export const describeOwner = (owner: Owner) => `${owner.kind} ${objectKey(owner)}`;

const isApplyOfEnvoyGateway = (entry: ManagedFieldsEntry) =>
  entry.manager === ENVOY_GATEWAY_MANAGER && entry.operation === 'Apply' && !entry.subresource;

/** The second mark of ownership beside the label: people copy labels, only Envoy Gateway leaves this entry. */
export function appliedByEnvoyGateway(hpa: HorizontalPodAutoscaler): boolean {
  return (hpa.metadata.managedFields ?? []).some(isApplyOfEnvoyGateway);
}

/**
 * What tools leave on everything that they apply: `kubectl apply`, Helm, Argo CD (whose sync with `Replace=true` leaves nothing
 * else), kapp. A client-side apply comes to own only those fields whose values it changes, so managedFields need not show it.
 */
const ADOPTING_ANNOTATIONS = [
  'kubectl.kubernetes.io/last-applied-configuration',
  'meta.helm.sh/release-name',
  'argocd.argoproj.io/tracking-id',
];
const ADOPTING_LABELS = ['kapp.k14s.io/app'];

/** Why the HPA is no longer Envoy Gateway's alone, one clause for a person; `undefined` while it is. */
export function adoptedBy(hpa: HorizontalPodAutoscaler): string | undefined {
  const controller = hpa.metadata.ownerReferences?.find(
    (reference) =>
      reference.controller === true &&
      !(
        reference.apiVersion.startsWith('gateway.networking.k8s.io/') &&
        (reference.kind === 'Gateway' || reference.kind === 'GatewayClass')
      ),
  );
  if (controller) return `${controller.kind} ${controller.name} controls it`;
  const { annotations, labels } = hpa.metadata;
  const annotation = ADOPTING_ANNOTATIONS.find(
    (name) => annotations?.[name] !== undefined && !appliesMetadata(hpa, 'f:annotations', name),
  );
  if (annotation) return `annotation ${annotation} shows that somebody applies it`;
  const label = ADOPTING_LABELS.find((name) => labels?.[name] !== undefined && !appliesMetadata(hpa, 'f:labels', name));
  if (label) return `label ${label} shows that somebody applies it`;
  const manager = hpa.metadata.managedFields?.find(
    (entry) => entry.manager !== ENVOY_GATEWAY_MANAGER && ownedField(entry, 'f:scaleTargetRef') !== undefined,
  );
  return manager && `field manager ${manager.manager ?? '(unnamed)'} owns its scaleTargetRef`;
}

/** Whether Envoy Gateway itself applies it: it copies `infrastructure.annotations` and `labels` of a Gateway to what it makes. */
function appliesMetadata(hpa: HorizontalPodAutoscaler, map: 'f:annotations' | 'f:labels', name: string): boolean {
  return (hpa.metadata.managedFields ?? []).filter(isApplyOfEnvoyGateway).some(({ fieldsV1 }) => {
    const metadata = fieldsV1?.['f:metadata'] as Record<string, Record<string, unknown> | undefined> | undefined;
    return metadata?.[map]?.[`f:${name}`] !== undefined;
  });
}

const ownedField = (entry: ManagedFieldsEntry, field: string): unknown =>
  (entry.fieldsV1?.['f:spec'] as Record<string, unknown> | undefined)?.[field];

/**
 * The mark (a tombstone that has no effect of its own): Envoy Gateway's Apply entry without `f:maxReplicas`. Whatever
 * Envoy Gateway applies over it must write, because it comes to own that field again; so a deletion that carries the
 * mark's resourceVersion cannot slip past an HPA that became wanted meanwhile. Measured on v1.3.0: without the mark such
 * an apply changes nothing, not even the resourceVersion.
 */
export const MARKED_FIELD = 'f:maxReplicas';

/** Whether the mark is intact: true as long as Envoy Gateway has not applied since it was made. */
export function isMarked(hpa: HorizontalPodAutoscaler): boolean {
  const entries = (hpa.metadata.managedFields ?? []).filter(isApplyOfEnvoyGateway);
  return entries.length > 0 && entries.every((entry) => ownedField(entry, MARKED_FIELD) === undefined);
}

/** The managedFields that the mark leaves: everything as it was but the one field. */
export function markedManagedFields(hpa: HorizontalPodAutoscaler): ManagedFieldsEntry[] {
  return (hpa.metadata.managedFields ?? []).map((entry) => {
    if (!isApplyOfEnvoyGateway(entry) || ownedField(entry, MARKED_FIELD) === undefined) return entry;
    const spec = { ...(entry.fieldsV1?.['f:spec'] as Record<string, unknown>) };
    delete spec[MARKED_FIELD];
    return { ...entry, fieldsV1: { ...entry.fieldsV1, 'f:spec': spec } };
  });
}
