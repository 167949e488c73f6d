import * as z from 'zod/mini';

/**
 * The EventBridge event that `forward` puts and `reap` takes: "something that an HPA depends on was written in this
 * cluster". A hint: it never carries a body, and nothing is decided by it but which cluster to look at.
 * The version rises when a consumer would have to change; new optional fields do not raise it.
 */
export const EVENT_SOURCE = 'envoy-hpa-reaper';
export const CHANGE_DETAIL_TYPE = 'Envoy Gateway Configuration Changed';

/** An EKS cluster's name, as CreateCluster allows it. */
export const clusterNameSchema = z.string().check(z.regex(/^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$/));

const userSchema = z.object({
  username: z.string(),
  /** Set when the request impersonated somebody: who really sent it is `username`. */
  impersonatedUsername: z.optional(z.string()),
});

/** The objectRef of the audit event; `name` is absent for a deletecollection and a create with generateName. */
const objectRefSchema = z.object({
  apiGroup: z.string(),
  apiVersion: z.string(),
  resource: z.string(),
  namespace: z.optional(z.string()),
  name: z.optional(z.string()),
});

export const changeDetailSchema = z.object({
  version: z.literal('1'),
  /** The EKS cluster's name, from the log group `/aws/eks/<cluster>/cluster`. */
  cluster: clusterNameSchema,
  auditID: z.string(),
  verb: z.string(),
  objectRef: objectRefSchema,
  user: userSchema,
  sourceIPs: z.array(z.string()),
  userAgent: z.optional(z.string()),
  /** RFC 3339, when the API server received the request and when it had answered. */
  requestReceivedTimestamp: z.string(),
  stageTimestamp: z.string(),
  /** How many audit lines of one payload, all about this object, this event stands for (the latest one is told here). */
  lines: z.number().check(z.int(), z.positive()),
});
export type ChangeDetail = z.infer<typeof changeDetailSchema>;
