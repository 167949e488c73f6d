import * as z from 'zod/mini';
import { clusterNameSchema } from '../platform/eks-names.ts';
import { described } from '../platform/schema.ts';

/**
 * The EventBridge event from `forward` to `reap`: an object that an HPA may depend on was written in this cluster. It never
 * carries a body, and decides only which cluster is swept.
 * The version rises when a consumer would have to change; new optional fields do not raise it.
 */
export const EVENT_SOURCE = 'envoy-hpa-reaper';
export const CHANGE_DETAIL_TYPE = 'Envoy Gateway Configuration Changed';

/** Every description ends up in docs/schemas. */
export const changeDetailSchema = described(
  `The detail of an EventBridge event ${CHANGE_DETAIL_TYPE} with source ${EVENT_SOURCE}`,
  z.object({
    version: z.literal('1'),
    cluster: described("The EKS cluster's name, from the log group /aws/eks/<cluster>/cluster", clusterNameSchema),
    auditID: described("The audit event's, for looking it up in CloudWatch Logs"),
    verb: described('create, update, patch, delete or deletecollection'),
    objectRef: described(
      'What was written',
      z.object({
        apiGroup: described('Empty for the core group'),
        apiVersion: z.string(),
        resource: described('The plural name, such as envoyproxies'),
        namespace: z.optional(z.string()),
        name: z.optional(described('Absent for a deletecollection and a create with generateName')),
      }),
    ),
    user: z.object({
      username: described('Who sent the request'),
      impersonatedUsername: z.optional(described('Whom the sender impersonated')),
    }),
    sourceIPs: z.array(z.string()),
    userAgent: z.optional(z.string()),
    requestReceivedTimestamp: described('RFC 3339, when the API server received the request'),
    stageTimestamp: described('RFC 3339, when the API server had answered it'),
    lines: described(
      'Number of audit lines of one payload about this object; this event has the latest',
      z.number().check(z.int(), z.positive()),
    ),
  }),
);
export type ChangeDetail = z.infer<typeof changeDetailSchema>;

export const changeSchema = z.object({
  username: described('Who sent the request'),
  impersonatedUsername: z.optional(described('Whom the sender impersonated')),
  auditID: described("The audit event's, for looking it up in CloudWatch Logs"),
  verb: z.string(),
  resource: described('The plural name, such as envoyproxies'),
  namespace: z.optional(z.string()),
  name: z.optional(described('Absent for a deletecollection and a create with generateName')),
  time: described('RFC 3339'),
});
/** Who wrote what, from an audit event that led to a sweep. */
export type Change = z.infer<typeof changeSchema>;

export function changeOf(detail: Omit<ChangeDetail, 'version' | 'cluster'>): Change {
  const { user, auditID, verb, objectRef, stageTimestamp: time } = detail;
  const { resource, namespace, name } = objectRef;
  return { ...user, auditID, verb, resource, namespace, name, time };
}
