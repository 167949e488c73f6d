import { CONFIG_MAP_NAME } from './envoy-gateway-config.ts';
import { type HorizontalPodAutoscaler, type ManagedFieldsEntry, objectKey } from './kubernetes-objects.ts';

/** The field manager of everything that Envoy Gateway applies (server-side). */
const ENVOY_GATEWAY_MANAGER = 'envoy-gateway';

/** The field manager of this project; the audit log of the API server shows it too. */
export const OWN_MANAGER = 'envoy-hpa-reaper';

const OWNING_GATEWAY_NAME_LABEL = 'gateway.envoyproxy.io/owning-gateway-name';
const OWNING_GATEWAY_NAMESPACE_LABEL = 'gateway.envoyproxy.io/owning-gateway-namespace';
const OWNING_GATEWAY_CLASS_LABEL = 'gateway.envoyproxy.io/owning-gatewayclass';

/** Matches the HPA of the rate limit service, which has no owning label; there is one for each Envoy Gateway. */
const RATE_LIMIT_SELECTOR =
  'app.kubernetes.io/name=envoy-ratelimit,app.kubernetes.io/component=ratelimit,app.kubernetes.io/managed-by=envoy-gateway';

/** Label selectors: every HPA that Envoy Gateway created matches one of them. */
export const OWNING_SELECTORS: readonly string[] = [
  OWNING_GATEWAY_NAME_LABEL,
  OWNING_GATEWAY_CLASS_LABEL,
  RATE_LIMIT_SELECTOR,
];

type Labels = Readonly<Record<string, string>> | null;

const matches = (labels: Labels | undefined, selector: string): boolean =>
  selector.split(',').every((term) => {
    const [label, value] = term.split('=') as [string, string?];
    return labels?.[label] !== undefined && labels[label] === (value ?? labels[label]);
  });

/** Whether one of {@link OWNING_SELECTORS} matches. */
export const carriesOwningLabels = ({ metadata }: { readonly metadata?: { readonly labels?: Labels } }): boolean =>
  OWNING_SELECTORS.some((selector) => matches(metadata?.labels, selector));

/**
 * The owner of an HPA. A GatewayClass owns it if the class merges its Gateways into one proxy; the ConfigMap of Envoy Gateway in
 * its namespace owns the HPA of the rate limit service.
 */
export type Owner =
  | { kind: 'Gateway'; namespace: string; name: string }
  | { kind: 'GatewayClass'; name: string }
  | { kind: 'ConfigMap'; namespace: string; name: string };

/** The owner in the labels; `undefined` if an owning label is missing. */
export function labeledOwner(hpa: HorizontalPodAutoscaler): Owner | 'ambiguous' | undefined {
  const { labels, namespace: ownNamespace } = hpa.metadata;
  const name = labels?.[OWNING_GATEWAY_NAME_LABEL];
  const namespace = labels?.[OWNING_GATEWAY_NAMESPACE_LABEL];
  const gatewayClass = labels?.[OWNING_GATEWAY_CLASS_LABEL];
  const isOfRateLimit = matches(labels, RATE_LIMIT_SELECTOR);
  if ([gatewayClass, name || namespace, isOfRateLimit].filter(Boolean).length > 1) return 'ambiguous';
  if (isOfRateLimit) return { kind: 'ConfigMap', namespace: ownNamespace, name: CONFIG_MAP_NAME };
  if (gatewayClass) return { kind: 'GatewayClass', name: gatewayClass };
  return name && namespace ? { kind: 'Gateway', namespace, name } : undefined;
}

export const sameOwner = (a: Owner, b: Owner): boolean => a.kind === b.kind && objectKey(a) === objectKey(b);

export const describeOwner = (owner: { kind: string; namespace?: string; name: string }): string =>
  `${owner.kind} ${objectKey(owner)}`;

const isApplyOfEnvoyGateway = (entry: ManagedFieldsEntry) =>
  entry.manager === ENVOY_GATEWAY_MANAGER && entry.operation === 'Apply' && !entry.subresource;

const appliesOf = ({ metadata }: HorizontalPodAutoscaler) =>
  metadata.managedFields?.filter(isApplyOfEnvoyGateway) ?? [];

/** The second mark of ownership: people copy labels, but only Envoy Gateway leaves this entry. */
export const appliedByEnvoyGateway = (hpa: HorizontalPodAutoscaler): boolean => appliesOf(hpa).length > 0;

/**
 * The marks of tools on everything that they apply: `kubectl apply`, Helm, Argo CD (whose sync with `Replace=true` leaves no
 * other), kapp. A client-side apply owns only the fields that it changes, so managedFields may not show it.
 */
const ADOPTING_MARKS = [
  ['annotation', 'kubectl.kubernetes.io/last-applied-configuration'],
  ['annotation', 'meta.helm.sh/release-name'],
  ['annotation', 'argocd.argoproj.io/tracking-id'],
  ['label', 'kapp.k14s.io/app'],
] as const;

/** Who else manages the HPA, one clause for a person; `undefined` if only Envoy Gateway does. */
export function adoptedBy(hpa: HorizontalPodAutoscaler): string | undefined {
  const { ownerReferences, managedFields } = hpa.metadata;
  const controller = ownerReferences?.find(
    ({ controller, apiVersion, kind }) =>
      controller === true &&
      !(apiVersion.startsWith('gateway.networking.k8s.io/') && ['Gateway', 'GatewayClass'].includes(kind)),
  );
  if (controller) return `${controller.kind} ${controller.name} controls it`;
  const mark = ADOPTING_MARKS.find(
    ([kind, name]) => hpa.metadata[`${kind}s`]?.[name] !== undefined && !appliesMetadata(hpa, kind, name),
  );
  if (mark) return `${mark.join(' ')} shows that somebody applies it`;
  const manager = managedFields?.find(
    (entry) => entry.manager !== ENVOY_GATEWAY_MANAGER && ownedField(entry, 'f:scaleTargetRef') !== undefined,
  );
  return manager && `field manager ${manager.manager ?? '(unnamed)'} owns its scaleTargetRef`;
}

/** Whether Envoy Gateway itself applies it: it copies `infrastructure.annotations` and `labels` of a Gateway to its HPA. */
function appliesMetadata(hpa: HorizontalPodAutoscaler, kind: 'annotation' | 'label', name: string): boolean {
  return appliesOf(hpa).some(({ fieldsV1 }) => {
    const metadata = fieldsV1?.['f:metadata'] as Record<string, Record<string, unknown> | undefined> | undefined;
    return metadata?.[`f:${kind}s`]?.[`f:${name}`] !== undefined;
  });
}

const ownedField = (entry: ManagedFieldsEntry, field: string): unknown =>
  (entry.fieldsV1?.['f:spec'] as Record<string, unknown> | undefined)?.[field];

/**
 * The mark: Envoy Gateway's Apply entry without `f:maxReplicas`, which has no other effect. The next apply of Envoy Gateway
 * must write, because it takes that field again. So a deletion with the resourceVersion of the mark fails if the HPA has become
 * wanted again. Measured on v1.3.0: without the mark such an apply changes nothing, not even the resourceVersion.
 */
const MARKED_FIELD = 'f:maxReplicas';

/** Whether the mark is intact: Envoy Gateway has not applied the HPA since. */
export function isMarked(hpa: HorizontalPodAutoscaler): boolean {
  const entries = appliesOf(hpa);
  return entries.length > 0 && entries.every((entry) => ownedField(entry, MARKED_FIELD) === undefined);
}

/** The managedFields with the mark: everything as before, without the one field. */
export function markedManagedFields(hpa: HorizontalPodAutoscaler): ManagedFieldsEntry[] {
  return (hpa.metadata.managedFields ?? []).map((entry) => {
    if (!isApplyOfEnvoyGateway(entry) || ownedField(entry, MARKED_FIELD) === undefined) return entry;
    const spec = { ...(entry.fieldsV1?.['f:spec'] as Record<string, unknown>) };
    delete spec[MARKED_FIELD];
    return { ...entry, fieldsV1: { ...entry.fieldsV1, 'f:spec': spec } };
  });
}
