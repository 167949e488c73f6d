import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AuditEvent,
  type AuditEventOfObject,
  changeDetail,
  latestPerObject,
  mayAffectHpa,
  readAuditEvent,
} from '../../../functions/events/audit-event.ts';
import { changeDetailSchema } from '../../../functions/events/change-event.ts';
import { auditEvent, auditEventNames, auditEvents, auditLine } from '../../doubles/cloudwatch-logs.ts';

/** Every real event: can it have changed what an HPA depends on? */
const expected: Record<string, boolean> = {
  'another-configmap-create': false,
  'another-configmap-patch': false,
  'envoy-gateway-config-create': true,
  'envoy-gateway-config-create-in-another-namespace': true,
  'envoy-gateway-config-delete': true,
  'envoy-gateway-config-get': false,
  'envoy-gateway-config-patch': true,
  'envoy-gateway-config-patch-dry-run': false,
  'envoyproxy-create': true,
  'envoyproxy-delete': true,
  'envoyproxy-deletecollection': true,
  'envoyproxy-get': false,
  'envoyproxy-list': false,
  'envoyproxy-patch': true,
  'envoyproxy-patch-dry-run': false,
  'envoyproxy-patch-forbidden': false,
  'envoyproxy-patch-invalid': false,
  'envoyproxy-server-side-apply': true,
  'envoyproxy-update': true,
  'envoyproxy-watch': false,
  'gateway-create': true,
  'gateway-delete': true,
  'gateway-get': false,
  'gateway-list': false,
  'gateway-patch': true,
  'gateway-status-update': false,
  'gateway-watch': false,
  'gatewayclass-create': true,
  'gatewayclass-delete': true,
  'gatewayclass-get': false,
  'gatewayclass-list': false,
  'gatewayclass-patch': true,
  'gatewayclass-status-update': false,
  'gatewayclass-watch': false,
  'hpa-created-by-argo-cd': false,
  'hpa-created-by-envoy-gateway': true,
  'hpa-created-by-kubectl': false,
  'hpa-delete': false,
  'hpa-delete-forbidden': false,
  'hpa-patch': false,
  'hpa-patch-mark': false,
  'hpa-status-update': false,
};

function read(line: string): AuditEvent {
  const result = readAuditEvent(line);
  if ('fault' in result) throw new Error(result.fault);
  return result.event;
}

function kept(event: object): AuditEventOfObject {
  const found = read(JSON.stringify(event));
  if (!mayAffectHpa(found)) throw new Error('expected an event that matters');
  return found;
}

describe('real audit events', () => {
  test('each is in the table', () => {
    expect([...auditEventNames].sort()).toEqual(Object.keys(expected).sort());
  });

  test.each(Object.entries(expected))('%s: %s', (name, matters) => {
    expect(mayAffectHpa(read(auditLine(name)))).toBe(matters);
  });
});

describe('one thing changed in an event', () => {
  // biome-ignore lint/suspicious/noExplicitAny: a test breaks it in ways that no type allows
  type Change = (event: any) => void;
  const change = (name: string, apply: Change) => {
    const event = auditEvent(name);
    apply(event);
    return mayAffectHpa(read(JSON.stringify(event)));
  };

  test.each<[string, string, Change]>([
    ['an earlier stage', 'envoyproxy-patch', (e) => Object.assign(e, { stage: 'ResponseStarted' })],
    ['a stage before the response', 'envoyproxy-patch', (e) => delete e.responseStatus],
    ['code 199', 'envoyproxy-patch', (e) => Object.assign(e.responseStatus, { code: 199 })],
    ['code 300', 'envoyproxy-patch', (e) => Object.assign(e.responseStatus, { code: 300 })],
    ['code 409', 'envoyproxy-patch', (e) => Object.assign(e.responseStatus, { code: 409 })],
    ['a reading verb', 'envoyproxy-patch', (e) => Object.assign(e, { verb: 'get' })],
    ['status', 'gateway-patch', (e) => Object.assign(e.objectRef, { subresource: 'status' })],
    ['a dry run', 'envoyproxy-patch', (e) => Object.assign(e, { requestURI: `${e.requestURI}&dryRun=All` })],
    ['no objectRef (/healthz)', 'envoyproxy-patch', (e) => delete e.objectRef],
    ['another group', 'envoyproxy-patch', (e) => Object.assign(e.objectRef, { apiGroup: 'gateway.example.com' })],
    ['no group', 'gateway-patch', (e) => delete e.objectRef.apiGroup],
    ['the groups mixed up', 'gateway-patch', (e) => Object.assign(e.objectRef, { apiGroup: 'gateway.envoyproxy.io' })],
    ['a neighbour', 'gateway-patch', (e) => Object.assign(e.objectRef, { resource: 'httproutes' })],
    ['another policy', 'envoyproxy-patch', (e) => Object.assign(e.objectRef, { resource: 'backendtrafficpolicies' })],
    [
      'an HPA created by a person',
      'hpa-created-by-envoy-gateway',
      (e) => Object.assign(e, { requestURI: e.requestURI.replace('envoy-gateway&', 'kubectl&') }),
    ],
    ['an HPA applied again', 'hpa-created-by-envoy-gateway', (e) => Object.assign(e.responseStatus, { code: 200 })],
  ])('%s does not matter', (_, name, apply) => {
    expect(change(name, () => {})).toBe(true);
    expect(change(name, apply)).toBe(false);
  });

  test.each<[string, string, Change]>([
    ['code 299', 'envoyproxy-patch', (e) => Object.assign(e.responseStatus, { code: 299 })],
    ['a v1beta1 Gateway', 'gateway-patch', (e) => Object.assign(e.objectRef, { apiVersion: 'v1beta1' })],
    ['a create with generateName', 'envoyproxy-create', (e) => delete e.objectRef.name],
    ['a dryRun that is none', 'envoyproxy-patch', (e) => Object.assign(e, { requestURI: '/a?dryRun=' })],
  ])('%s matters', (_, name, apply) => {
    expect(change(name, apply)).toBe(true);
  });

  const configMap = (name: string | undefined) => (e: { objectRef: object }) => {
    e.objectRef = {
      resource: 'configmaps',
      namespace: 'envoy-gateway-system',
      apiVersion: 'v1',
      name,
    };
  };
  test("Envoy Gateway's own ConfigMap matters, any other not", () => {
    expect(change('envoyproxy-patch', configMap('envoy-gateway-config'))).toBe(true);
    expect(change('envoyproxy-patch', configMap('envoy-gateway-config-backup'))).toBe(false);
    expect(change('envoyproxy-patch', configMap('my-envoy-gateway-config'))).toBe(false);
    expect(change('envoyproxy-deletecollection', configMap(undefined))).toBe(false);
  });
});

describe('a line that is no audit event', () => {
  const without = (field: string) => {
    const event = auditEvent('envoyproxy-patch');
    delete event[field];
    return JSON.stringify(event);
  };

  test.each([
    ['no JSON', 'I1123 14:38:37 secret-token', 'not JSON'],
    ['cut', auditLine('envoyproxy-patch').slice(0, -1), 'not JSON'],
    ['empty', '', 'not JSON'],
    ['null', 'null', 'not an audit.k8s.io/v1 Event: the whole line'],
    ['a list', '["secret-token"]', 'not an audit.k8s.io/v1 Event: the whole line'],
    ['without auditID', without('auditID'), 'not an audit.k8s.io/v1 Event: auditID'],
    ['without stageTimestamp', without('stageTimestamp'), 'not an audit.k8s.io/v1 Event: stageTimestamp'],
    [
      'of another kind and version',
      JSON.stringify({ ...auditEvent('envoyproxy-patch'), kind: 'secret-token', apiVersion: 'audit.k8s.io/v2' }),
      'not an audit.k8s.io/v1 Event: kind, apiVersion',
    ],
    [
      'with a code that is text',
      JSON.stringify({ ...auditEvent('envoyproxy-patch'), responseStatus: { code: '200' } }),
      'not an audit.k8s.io/v1 Event: responseStatus.code',
    ],
    [
      'with a time that is none',
      JSON.stringify({ ...auditEvent('envoyproxy-patch'), stageTimestamp: 'secret-token' }),
      'not an audit.k8s.io/v1 Event: stageTimestamp',
    ],
  ])('%s is a fault that quotes nothing of it', (_, line, fault) => {
    expect(readAuditEvent(line)).toEqual({ fault });
  });

  test('any text gives an event or a fault, never an exception', async () => {
    await fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
        expect(readAuditEvent(line)).toHaveProperty('fault');
      }),
    );
  });

  test.each([
    ['no user name', (e: ReturnType<typeof auditEvent>) => delete e.user.username],
    ['no source', (e: ReturnType<typeof auditEvent>) => delete e.sourceIPs],
    [
      'fields of a newer Kubernetes',
      (e: ReturnType<typeof auditEvent>) => Object.assign(e, { authenticationMetadata: {} }),
    ],
  ])('%s is no fault', (_, apply) => {
    const event = auditEvent('envoyproxy-patch');
    apply(event);
    expect(readAuditEvent(JSON.stringify(event))).toHaveProperty('event');
  });
});

describe('the latest per object', () => {
  const at = (name: string, stageTimestamp: string, change: object = {}) =>
    kept({ ...auditEvent(name), stageTimestamp, ...change });

  test('wins by microseconds, wherever it stands, and says for how many lines', () => {
    const newest = at('envoyproxy-patch', '2026-11-23T14:00:00.000002Z');
    const older = at('envoyproxy-patch', '2026-11-23T14:00:00.000001Z');
    const oldest = at('envoyproxy-patch', '2026-11-23T13:59:59.999999Z');
    for (const order of [
      [newest, older, oldest],
      [older, newest, oldest],
      [oldest, older, newest],
    ]) {
      expect(latestPerObject(order)).toEqual([{ event: newest, lines: 3 }]);
    }
  });

  test('at the very same time is the one with the greater auditID, wherever it stands', () => {
    const a = at('envoyproxy-patch', '2026-11-23T14:00:00.000001Z', { auditID: 'a' });
    const b = at('envoyproxy-patch', '2026-11-23T14:00:00.000001Z', { auditID: 'b' });
    expect([a, b].map((first) => latestPerObject([first, first === a ? b : a])[0]?.event)).toEqual([b, b]);
  });

  test('times of unlike precision compare as times', () => {
    const newest = at('envoyproxy-patch', '2026-11-23T14:00:00.2Z');
    const older = at('envoyproxy-patch', '2026-11-23T14:00:00.100001Z');
    expect(latestPerObject([newest, older])[0]?.event).toBe(newest);
  });

  test('an object is its group, resource, namespace and name, not its version', () => {
    const ref = auditEvent('envoyproxy-patch').objectRef;
    const of = (change: object) => kept({ ...auditEvent('envoyproxy-patch'), objectRef: { ...ref, ...change } });
    expect(latestPerObject([of({}), of({ apiVersion: 'v1beta1' })])).toHaveLength(1);
    expect(latestPerObject([of({}), of({ name: 'proxy-2' })])).toHaveLength(2);
    expect(latestPerObject([of({}), of({ namespace: 'another' })])).toHaveLength(2);
    expect(latestPerObject([of({}), of({ name: undefined })])).toHaveLength(2);
    expect(latestPerObject([of({ name: undefined }), of({ name: undefined })])).toHaveLength(1);
  });

  test('whatever the mix, order and doubling: one for each object, the newest, and every line counted', async () => {
    const many = fc
      .array(auditEvents, { maxLength: 40 })
      .map((events) => events.map((event) => read(JSON.stringify(event))).filter(mayAffectHpa));
    const mixed = many.chain((events) =>
      fc.tuple(fc.constant(events), fc.shuffledSubarray([...events, ...events], { minLength: events.length })),
    );
    const keyOf = ({ objectRef: { apiGroup, resource, namespace, name } }: AuditEventOfObject) =>
      [apiGroup, resource, namespace ?? '-', name ?? '-'].join(' ');
    const rank = ({ stageTimestamp, auditID }: AuditEventOfObject) => stageTimestamp + auditID;

    await fc.assert(
      fc.property(mixed, ([, events]) => {
        const latest = latestPerObject(events);
        expect(latest.map(({ event }) => keyOf(event)).sort()).toEqual([...new Set(events.map(keyOf))].sort());
        for (const { event, lines } of latest) {
          const same = events.filter((other) => keyOf(other) === keyOf(event));
          expect(lines).toBe(same.length);
          expect(rank(event)).toBe(same.map(rank).sort().at(-1));
        }
      }),
    );
  });
});

describe('the detail of the event', () => {
  test.each(Object.keys(expected).filter((name) => expected[name]))('%s fits its schema', (name) => {
    const detail = changeDetail('shop', { event: kept(auditEvent(name)), lines: 2 });
    expect(changeDetailSchema.parse(JSON.parse(JSON.stringify(detail)))).toEqual(detail);
  });

  test('says who did what to which object, and nothing of the bodies', () => {
    const event = {
      ...auditEvent('hpa-created-by-envoy-gateway'),
      impersonatedUser: { username: 'robot', groups: ['g'] },
    };
    expect(changeDetail('shop', { event: kept(event), lines: 3 })).toEqual({
      version: '1',
      cluster: 'shop',
      auditID: '8b6df58b-e2fc-49ac-afae-c7da8c369e7e',
      verb: 'patch',
      objectRef: {
        apiGroup: 'autoscaling',
        apiVersion: 'v2',
        resource: 'horizontalpodautoscalers',
        namespace: 'envoy-gateway-system',
        name: 'envoy-shop-web-97375646',
      },
      user: { username: 'admin', impersonatedUsername: 'robot' },
      sourceIPs: ['127.0.0.1'],
      userAgent: 'envoy-gateway/v0.0.0 (linux/amd64) kubernetes/$Format',
      requestReceivedTimestamp: '2026-11-23T15:13:50.528202Z',
      stageTimestamp: '2026-11-23T15:13:50.531505Z',
      lines: 3,
    });
  });

  test('a deletecollection has no name', () => {
    const detail = changeDetail('shop', { event: kept(auditEvent('envoyproxy-deletecollection')), lines: 1 });
    expect(detail.objectRef.name).toBeUndefined();
  });
});
