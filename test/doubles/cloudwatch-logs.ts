import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { subscriptionPayload } from '../embedded-cluster/event-path.ts';

const folder = new URL('../fixtures/audit-events/', import.meta.url);

/** The names of all audit events that a real kube-apiserver wrote under EKS's audit policy. */
export const auditEventNames = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));

/** A new copy of one of them. */
// biome-ignore lint/suspicious/noExplicitAny: a test breaks it in ways that no type allows
export function auditEvent(name: string): any {
  return JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));
}

/** A line of the audit log as EKS writes it. */
export const auditLine = (name: string) => JSON.stringify(auditEvent(name));

/** The payload of CloudWatch Logs, before compression. */
export const payload = (lines: readonly string[], change = {}) => subscriptionPayload('shop', lines, change);

/** The payload that tests the destination when a subscription filter is created. */
export const controlMessage = () =>
  payload(['CWL CONTROL MESSAGE: Checking health of destination Lambda.'], {
    messageType: 'CONTROL_MESSAGE',
    owner: 'CloudwatchLogs',
    logGroup: '',
    logStream: '',
    subscriptionFilters: [],
  });

const namedKinds = [
  ['gateway.envoyproxy.io', 'envoyproxies'],
  ['gateway.networking.k8s.io', 'gateways'],
  ['gateway.networking.k8s.io', 'gatewayclasses'],
  [undefined, 'configmaps'],
  ['autoscaling', 'horizontalpodautoscalers'],
] as const;
const otherKinds = [
  ['gateway.networking.k8s.io', 'envoyproxies'],
  ['gateway.envoyproxy.io', 'gateways'],
  ['gateway.networking.k8s.io', 'httproutes'],
  ['gateway.networking.k8s.io', 'configmaps'],
  ['gateway.envoyproxy.io', 'horizontalpodautoscalers'],
  [undefined, 'gateways'],
  ['', 'secrets'],
] as const;

/** Audit events of every relevant kind, and similar ones. About every fourth is of a change. */
export const auditEvents = fc
  .record({
    auditID: fc.uuid(),
    stage: often(fc.constant('ResponseComplete'), fc.constantFrom('RequestReceived', 'ResponseStarted', 'Panic')),
    verb: often(
      fc.constantFrom('create', 'update', 'patch', 'delete', 'deletecollection'),
      fc.constantFrom('get', 'list', 'watch', 'recreate'),
    ),
    query: often(
      fc.constantFrom('', '?fieldManager=kubectl', '?fieldManager=envoy-gateway&force=true'),
      fc.constantFrom('?dryRun=All', '?fieldManager=envoy-gateway&dryRun=All', '?dryRun=Almost'),
    ),
    objectRef: often(
      fc.record(
        {
          kind: often(fc.constantFrom(...namedKinds), fc.constantFrom(...otherKinds)),
          apiVersion: fc.constantFrom('v1', 'v1alpha1'),
          namespace: fc.constantFrom('shop', 'envoy-gateway-system'),
          name: fc.constantFrom('web', 'envoy-gateway-config', 'envoy-gateway-config-2'),
          subresource: often(fc.constant(undefined), fc.constantFrom('status', 'scale', '')),
        },
        { requiredKeys: ['kind', 'subresource'] },
      ),
      fc.constant(undefined),
    ),
    code: often(fc.constantFrom(200, 201), fc.constantFrom(299, undefined, 199, 300, 404)),
    microseconds: fc.integer({ min: 0, max: 4_000 }),
    impersonatedUser: fc.option(fc.constant({ username: 'somebody-else' }), { nil: undefined }),
  })
  .map(({ query, code, microseconds, objectRef, ...event }) => ({
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'Metadata',
    requestURI: `/apis/any${query}`,
    user: { username: 'admin', groups: ['system:masters'] },
    sourceIPs: ['127.0.0.1'],
    userAgent: 'kubectl/v1.32.4',
    responseStatus: code && { metadata: {}, code },
    requestReceivedTimestamp: '2026-11-23T14:38:37.000000Z',
    stageTimestamp: `2026-11-23T14:38:37.${String(microseconds).padStart(6, '0')}Z`,
    objectRef: objectRef && flat(objectRef),
    ...event,
  }));

const flat = <Rest>({ kind: [apiGroup, resource], ...rest }: { kind: readonly (string | undefined)[] } & Rest) => ({
  apiGroup,
  resource,
  ...rest,
});

/** Usually the first. */
function often<T, U>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<U>): fc.Arbitrary<T | U> {
  return fc.oneof({ arbitrary: usual, weight: 6 }, { arbitrary: other, weight: 1 });
}
