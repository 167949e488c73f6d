import * as z from 'zod/mini';
import type { ChangeDetail } from './queued-event.ts';

/**
 * The filter pattern of the CloudWatch Logs subscription on `/aws/eks/<cluster>/cluster`: it selects the audit lines that can
 * have changed what an HPA depends on. {@link mayAffectHpa} is the same predicate; a test holds the two together.
 *
 * A pattern may have 1,024 characters. `delete*` is delete and deletecollection. An HPA counts only when Envoy Gateway
 * has just created it: a creation under way while autoscaling is removed leaks with no further event.
 */
export const SUBSCRIPTION_PATTERN = [
  '{ $.stage = "ResponseComplete" && $.responseStatus.code >= 200 && $.responseStatus.code < 300',
  '&& $.objectRef.subresource NOT EXISTS && $.requestURI != "*dryRun=All*"',
  '&& ($.verb = "create" || $.verb = "update" || $.verb = "patch" || $.verb = "delete*")',
  '&& (($.objectRef.apiGroup = "gateway.envoyproxy.io" && $.objectRef.resource = "envoyproxies")',
  '|| ($.objectRef.apiGroup = "gateway.networking.k8s.io"',
  '&& ($.objectRef.resource = "gateways" || $.objectRef.resource = "gatewayclasses"))',
  '|| ($.objectRef.resource = "configmaps" && $.objectRef.name = "envoy-gateway-config")',
  '|| ($.objectRef.resource = "horizontalpodautoscalers" && $.responseStatus.code = 201',
  '&& $.requestURI = "*fieldManager=envoy-gateway*")) }',
].join(' ');

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
 * The fields used of an `audit.k8s.io/v1` Event, as kube-apiserver writes it (k8s.io/apiserver/pkg/apis/audit/v1). Bodies,
 * annotations and the groups of the user are dropped here. objectRef is absent for a path that names no resource
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
type AuditEvent = z.infer<typeof auditEventSchema>;
type AuditEventOfObject = AuditEvent & { objectRef: z.infer<typeof objectRefSchema> };

/** The newest write to one object, without the cluster that it was in. */
type ObjectChange = Omit<ChangeDetail, 'version' | 'cluster'>;

interface AuditedChanges {
  /** One for each changed object, in the order in which the objects first appear. */
  readonly changes: readonly ObjectChange[];
  /** The number of lines that can have changed what an HPA depends on. */
  readonly kept: number;
  /** The lines that are no audit event, by index: which field is wrong, and never a word of the line. */
  readonly faults: readonly { readonly index: number; readonly fault: string }[];
}

/**
 * The objects that an HPA depends on and that the lines of an audit log say were changed. The order of the lines does not
 * matter, and a line may come twice.
 */
export function changesOf(lines: readonly string[]): AuditedChanges {
  const faults: AuditedChanges['faults'][number][] = [];
  const latest = new Map<string, { event: AuditEventOfObject; lines: number }>();
  let kept = 0;
  for (const [index, line] of lines.entries()) {
    const read = readAuditEvent(line);
    if ('fault' in read) faults.push({ index, fault: read.fault });
    else if (mayAffectHpa(read.event)) {
      kept += 1;
      // Without apiVersion: a Gateway is one object whichever version it is written in. An event without a name stands for
      // its resource in its namespace.
      const { apiGroup, resource, namespace, name } = read.event.objectRef;
      const key = JSON.stringify([apiGroup, resource, namespace, name]);
      const known = latest.get(key) ?? { event: read.event, lines: 0 };
      const event = isNewer(read.event, known.event) ? read.event : known.event;
      latest.set(key, { event, lines: known.lines + 1 });
    }
  }
  return { changes: [...latest.values()].map(({ event, lines }) => changeOfEvent(event, lines)), kept, faults };
}

/** Maximum number of faulty fields of one line that are listed. */
const MAX_FIELDS = 20;

function readAuditEvent(line: string): { event: AuditEvent } | { fault: string } {
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
  const more = fields.splice(MAX_FIELDS).length;
  return { fault: `not an audit.k8s.io/v1 Event: ${fields.join(', ')}${more > 0 ? ` and ${more} more` : ''}` };
}

/** The same predicate as {@link SUBSCRIPTION_PATTERN}, because that pattern can be changed by hand in the account. */
function mayAffectHpa(event: AuditEvent): event is AuditEventOfObject {
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

/** kube-apiserver writes microseconds, which Date does not keep: the text decides within a millisecond, then the auditID. */
function isNewer(a: AuditEvent, b: AuditEvent): boolean {
  const milliseconds = Date.parse(a.stageTimestamp) - Date.parse(b.stageTimestamp);
  if (milliseconds !== 0) return milliseconds > 0;
  if (a.stageTimestamp !== b.stageTimestamp) return a.stageTimestamp > b.stageTimestamp;
  return a.auditID > b.auditID;
}

function changeOfEvent(event: AuditEventOfObject, lines: number): ObjectChange {
  const { apiGroup, apiVersion, resource, namespace, name } = event.objectRef;
  return {
    auditID: event.auditID,
    verb: event.verb,
    objectRef: { apiGroup, apiVersion, resource, namespace, name },
    user: { username: event.user.username, impersonatedUsername: event.impersonatedUser?.username },
    sourceIPs: event.sourceIPs,
    userAgent: event.userAgent,
    requestReceivedTimestamp: event.requestReceivedTimestamp,
    stageTimestamp: event.stageTimestamp,
    lines,
  };
}
