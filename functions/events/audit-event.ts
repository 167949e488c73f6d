import * as z from 'zod/mini';
import type { ChangeDetail } from './change-event.ts';

const objectRefSchema = z.object({
  /** The core group is written as no group at all. */
  apiGroup: z._default(z.string(), ''),
  apiVersion: z._default(z.string(), ''),
  resource: z.string(),
  namespace: z.optional(z.string()),
  /** Absent for a deletecollection and for a create with generateName. */
  name: z.optional(z.string()),
  subresource: z.optional(z.string()),
});

/**
 * What is read of an `audit.k8s.io/v1` Event, as kube-apiserver writes it (k8s.io/apiserver/pkg/apis/audit/v1). Bodies,
 * annotations and the user's groups are left behind here. objectRef is absent for a path that names no resource
 * (/healthz), responseStatus for a stage before the response, the user's name for a request nobody authenticated.
 */
const auditEventSchema = z.object({
  kind: z.literal('Event'),
  apiVersion: z.literal('audit.k8s.io/v1'),
  auditID: z.string(),
  stage: z.string(),
  requestURI: z.string(),
  verb: z.string(),
  user: z.object({ username: z._default(z.string(), '') }),
  impersonatedUser: z.optional(z.object({ username: z._default(z.string(), '') })),
  sourceIPs: z._default(z.array(z.string()), []),
  userAgent: z.optional(z.string()),
  objectRef: z.optional(objectRefSchema),
  responseStatus: z.optional(z.object({ code: z.optional(z.number()) })),
  requestReceivedTimestamp: z.iso.datetime(),
  stageTimestamp: z.iso.datetime(),
});
export type AuditEvent = z.infer<typeof auditEventSchema>;
export type AuditEventOfObject = AuditEvent & { objectRef: z.infer<typeof objectRefSchema> };

/**
 * Reads one line of an audit log.
 *
 * @returns the event, or the fault: what is wrong and in which field, never a word of the line itself
 */
export function readAuditEvent(line: string): { event: AuditEvent } | { fault: string } {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    // V8's message quotes the text that it cannot parse.
    return { fault: 'not JSON' };
  }
  const parsed = auditEventSchema.safeParse(json);
  if (parsed.success) return { event: parsed.data };
  const fields = parsed.error.issues.map((issue) => issue.path.join('.') || 'the whole line');
  return { fault: `not an audit.k8s.io/v1 Event: ${fields.join(', ')}` };
}

/**
 * Can what this line tells of have changed what an HPA depends on? The same predicate as SUBSCRIPTION_PATTERN,
 * because that pattern can be changed by hand in the account.
 */
export function mayAffectHpa(event: AuditEvent): event is AuditEventOfObject {
  const code = event.responseStatus?.code ?? 0;
  return (
    event.stage === 'ResponseComplete' &&
    code >= 200 &&
    code < 300 &&
    isWrite(event.verb) &&
    !event.requestURI.includes('dryRun=All') &&
    event.objectRef !== undefined &&
    event.objectRef.subresource === undefined &&
    isNamedByPattern(event.objectRef, event.requestURI, code)
  );
}

const isWrite = (verb: string) => ['create', 'update', 'patch'].includes(verb) || verb.startsWith('delete');

function isNamedByPattern(ref: AuditEventOfObject['objectRef'], requestURI: string, code: number): boolean {
  return (
    (ref.apiGroup === 'gateway.envoyproxy.io' && ref.resource === 'envoyproxies') ||
    (ref.apiGroup === 'gateway.networking.k8s.io' && ['gateways', 'gatewayclasses'].includes(ref.resource)) ||
    (ref.resource === 'configmaps' && ref.name === 'envoy-gateway-config') ||
    (ref.resource === 'horizontalpodautoscalers' && code === 201 && requestURI.includes('fieldManager=envoy-gateway'))
  );
}

/** The newest event about one object, and how many lines (doubled ones too) told of that object. */
export interface LatestOfObject {
  event: AuditEventOfObject;
  lines: number;
}

/**
 * One for each changed object, in the order in which the objects first appear; which event is the newest does not depend
 * on the order of the lines. An event without a name stands for its resource in its namespace.
 */
export function latestPerObject(events: readonly AuditEventOfObject[]): LatestOfObject[] {
  const latest = new Map<string, LatestOfObject>();
  for (const event of events) {
    // Without apiVersion: a Gateway is one object whichever version it is written in.
    const { apiGroup, resource, namespace, name } = event.objectRef;
    const key = JSON.stringify([apiGroup, resource, namespace, name]);
    const known = latest.get(key);
    latest.set(key, {
      event: known === undefined || isNewer(event, known.event) ? event : known.event,
      lines: (known?.lines ?? 0) + 1,
    });
  }
  return [...latest.values()];
}

/** kube-apiserver writes microseconds, which Date does not keep: the text decides within a millisecond, then the auditID. */
function isNewer(a: AuditEvent, b: AuditEvent): boolean {
  const milliseconds = Date.parse(a.stageTimestamp) - Date.parse(b.stageTimestamp);
  if (milliseconds !== 0) return milliseconds > 0;
  if (a.stageTimestamp !== b.stageTimestamp) return a.stageTimestamp > b.stageTimestamp;
  return a.auditID > b.auditID;
}

/** The detail of the EventBridge event that tells of this change in this cluster. */
export function changeDetail(cluster: string, { event, lines }: LatestOfObject): ChangeDetail {
  const { apiGroup, apiVersion, resource, namespace, name } = event.objectRef;
  return {
    version: '1',
    cluster,
    auditID: event.auditID,
    verb: event.verb,
    objectRef: {
      apiGroup,
      apiVersion,
      resource,
      namespace,
      name,
    },
    user: {
      username: event.user.username,
      ...(event.impersonatedUser !== undefined && { impersonatedUsername: event.impersonatedUser.username }),
    },
    sourceIPs: event.sourceIPs,
    userAgent: event.userAgent,
    requestReceivedTimestamp: event.requestReceivedTimestamp,
    stageTimestamp: event.stageTimestamp,
    lines,
  };
}
