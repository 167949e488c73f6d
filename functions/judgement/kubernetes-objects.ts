import * as z from 'zod/mini';

/*
 * The fields of each kind that this project reads. Unknown fields are allowed; a known field of another type is an error.
 *
 * HPAs and ConfigMaps are only checked, and the API server's own JSON is used from then on (checkedObject). So they are typed as
 * looseObject, without its copying of every unknown field, which takes a good part of a sweep.
 *
 * The configuration, which is most of a large cluster, is reduced to the fields below (projectedObject). So it is typed as object:
 * other fields cannot be read.
 */
const checked = z.object as unknown as typeof z.looseObject;

const stringMap = z.record(z.string(), z.string());
const anyMap = z.record(z.string(), z.unknown());
const objectReference = { apiVersion: z.optional(z.string()), kind: z.string(), name: z.string() };

const managedFieldsEntrySchema = checked({
  manager: z.optional(z.string()),
  operation: z.optional(z.string()),
  subresource: z.optional(z.string()),
  time: z.optional(z.string()),
  fieldsV1: z.optional(anyMap),
});
export type ManagedFieldsEntry = z.infer<typeof managedFieldsEntrySchema>;

const metadataSchema = checked({
  name: z.string(),
  namespace: z.optional(z.string()),
  uid: z.optional(z.string()),
  resourceVersion: z.optional(z.string()),
  creationTimestamp: z.nullish(z.string()),
  deletionTimestamp: z.nullish(z.string()),
  labels: z.nullish(stringMap),
  annotations: z.nullish(stringMap),
  finalizers: z.nullish(z.array(z.string())),
  ownerReferences: z.nullish(
    z.array(checked({ ...objectReference, apiVersion: z.string(), controller: z.nullish(z.boolean()) })),
  ),
  managedFields: z.nullish(z.array(managedFieldsEntrySchema)),
});
export type Metadata = z.infer<typeof metadataSchema>;

/** The recommended label of a release; Helm charts write their appVersion into it. */
export const VERSION_LABEL = 'app.kubernetes.io/version';
/** Set to "true" on an HPA or on an object that it rests on (Gateway, GatewayClass, EnvoyProxy, ConfigMap), it protects the HPA from deletion. */
export const KEEP_ANNOTATION = 'envoy-hpa-reaper/keep';

type Shape = Parameters<typeof z.object>[0] & object;
const maybe = <T extends Shape>(shape: T) => z.nullish(z.object(shape));
const maybeSome = <T extends Shape>(shape: T) => z.nullish(z.array(z.object(shape)));

/** True, whatever is there. */
const present = z.optional(z.transform(() => true));

const judgedMetadataSchema = z.object({
  name: z.string(),
  namespace: z.optional(z.string()),
  uid: z.string(),
  resourceVersion: z.string(),
  /** Rises with every change of the spec; the API server always writes it. */
  generation: z.optional(z.number()),
  creationTimestamp: z.nullish(z.string()),
  deletionTimestamp: z.nullish(z.string()),
  annotations: maybe({ [KEEP_ANNOTATION]: z.optional(z.string()) }),
  /** When each manager last wrote, and whether it owns anything of the spec. */
  managedFields: maybeSome({ time: z.optional(z.string()), fieldsV1: z.optional(z.object({ 'f:spec': present })) }),
});
const namespacedSchema = z.extend(judgedMetadataSchema, { namespace: z.string() });

const conditionSchema = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.optional(z.string()),
  message: z.optional(z.string()),
  /** The generation that the controller had seen; absent in the default conditions of a CRD. */
  observedGeneration: z.optional(z.number()),
});
export type Condition = z.infer<typeof conditionSchema>;
const conditionsSchema = z.nullish(z.array(conditionSchema));

/** What is read of the settings of an HPA, a Deployment, or another resource that Envoy Gateway applies. */
const componentSettingsSchema = z.object({
  name: z.nullish(z.string()),
  replicas: z.nullish(z.number()),
  /** The change that Envoy Gateway makes to the resource before it applies it. */
  patch: maybe({ value: z.optional(z.unknown()) }),
});
export type ComponentSettings = z.infer<typeof componentSettingsSchema>;
const component = z.nullish(componentSettingsSchema);

/** What is read of an EnvoyProxy's spec, the same in the `envoyProxy` of an EnvoyGateway configuration. */
const envoyProxySpecSchema = z.object({
  mergeType: z.nullish(z.enum(['Replace', 'StrategicMerge', 'JSONMerge'])),
  mergeGateways: z.nullish(z.boolean()),
  provider: maybe({
    type: z.nullish(z.string()),
    kubernetes: maybe({
      envoyHpa: component,
      envoyDeployment: component,
      envoyDaemonSet: component,
      envoyService: component,
      envoyPDB: component,
      envoyServiceAccount: component,
    }),
  }),
});
export type EnvoyProxySpec = z.infer<typeof envoyProxySpecSchema>;

const configMapSourceSchema = maybe({ name: z.optional(z.string()) });
const containerSchema = z.object({
  name: z.string(),
  image: z.optional(z.string()),
  command: z.nullish(z.array(z.string())),
  args: z.nullish(z.array(z.string())),
  volumeMounts: maybeSome({ name: z.string(), mountPath: z.string() }),
});
const podSchema = maybe({
  containers: z.nullish(z.array(containerSchema)),
  volumes: maybeSome({
    name: z.string(),
    configMap: configMapSourceSchema,
    projected: maybe({ sources: maybeSome({ configMap: configMapSourceSchema }) }),
  }),
});

const reference = { group: z.string(), kind: z.string(), name: z.string() };

/** The fields of each kind that are read. `Scaler` is an HPA that Envoy Gateway may not have created. */
export const SCHEMAS = {
  HorizontalPodAutoscaler: checked({
    metadata: z.extend(metadataSchema, {
      namespace: z.string(),
      // The API server always fills these two; preconditions and comparisons need them.
      uid: z.string(),
      resourceVersion: z.string(),
    }),
    spec: checked({
      scaleTargetRef: checked(objectReference),
      minReplicas: z.nullish(z.number()),
      maxReplicas: z.number(),
    }),
    status: z.nullish(checked({ currentReplicas: z.nullish(z.number()), desiredReplicas: z.nullish(z.number()) })),
  }),
  Scaler: z.object({
    metadata: z.object({ name: z.string(), namespace: z.string() }),
    spec: z.object({ scaleTargetRef: z.object(objectReference) }),
  }),
  GatewayClass: z.object({
    metadata: judgedMetadataSchema,
    spec: z.object({
      controllerName: z.string(),
      parametersRef: maybe({ ...reference, namespace: z.nullish(z.string()) }),
    }),
    status: maybe({ conditions: conditionsSchema }),
  }),
  Gateway: z.object({
    metadata: namespacedSchema,
    spec: z.object({ gatewayClassName: z.string(), infrastructure: maybe({ parametersRef: maybe(reference) }) }),
    status: maybe({
      conditions: conditionsSchema,
      listeners: maybeSome({
        conditions: maybeSome({ type: z.string(), status: z.string(), observedGeneration: z.optional(z.number()) }),
      }),
      attachedListenerSets: z.nullish(z.number()),
    }),
  }),
  EnvoyProxy: z.object({ metadata: namespacedSchema, spec: z.nullish(envoyProxySpecSchema) }),
  ConfigMap: checked({
    metadata: z.extend(metadataSchema, { namespace: z.string() }),
    data: z.nullish(stringMap),
  }),
  /** That it exists; and of Envoy Gateway's own, which release it runs on which configuration. */
  Deployment: z.object({
    metadata: z.object({
      name: z.string(),
      namespace: z.string(),
      uid: z.string(),
      generation: z.optional(z.number()),
      labels: maybe({ [VERSION_LABEL]: z.optional(z.string()) }),
    }),
    spec: maybe({ template: maybe({ spec: podSchema }) }),
    status: maybe({
      observedGeneration: z.optional(z.number()),
      replicas: z.optional(z.number()),
      updatedReplicas: z.optional(z.number()),
    }),
  }),
  /** The configuration in Envoy Gateway's own ConfigMap. */
  EnvoyGateway: z.object({
    kind: z.literal('EnvoyGateway'),
    gateway: maybe({ controllerName: z.nullish(z.string()) }),
    provider: maybe({
      type: z.nullish(z.string()),
      kubernetes: maybe({
        deploy: maybe({ type: z.nullish(z.enum(['ControllerNamespace', 'GatewayNamespace'])) }),
        rateLimitDeployment: component,
        rateLimitHpa: component,
      }),
    }),
    envoyProxy: z.nullish(envoyProxySpecSchema),
    rateLimit: maybe({}),
  }),
};
export type HorizontalPodAutoscaler = z.infer<typeof SCHEMAS.HorizontalPodAutoscaler>;
export type Scaler = z.infer<typeof SCHEMAS.Scaler>;
export type GatewayClass = z.infer<typeof SCHEMAS.GatewayClass>;
export type Gateway = z.infer<typeof SCHEMAS.Gateway>;
export type EnvoyProxy = z.infer<typeof SCHEMAS.EnvoyProxy>;
export type ConfigMap = z.infer<typeof SCHEMAS.ConfigMap>;
export type Deployment = z.infer<typeof SCHEMAS.Deployment>;

/** The name of an object in a namespace; the context gives its kind. */
export interface NamespacedName {
  readonly namespace: string;
  readonly name: string;
}

/** A valid name of a namespace: a DNS label of RFC 1123. */
export const NAMESPACE_PATTERN = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** `namespace/name` as in Kubernetes, or `name` for an object without a namespace. */
export function objectKey(object: { namespace?: string; name: string }): string {
  return object.namespace === undefined ? object.name : `${object.namespace}/${object.name}`;
}
