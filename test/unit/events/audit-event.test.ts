import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changesOf, SUBSCRIPTION_PATTERN } from '../../../functions/events/audit-event.ts';
import { QUEUED_DETAILS } from '../../../functions/events/queued-event.ts';
import { auditEvent, auditEventNames, auditEvents, auditLine } from '../../doubles/cloudwatch-logs.ts';
import { parseFilterPattern } from '../../doubles/filter-pattern.ts';

type ObjectChange = ReturnType<typeof changesOf>['changes'][number];

/** The real events that can have changed what an HPA depends on; no other one can. */
const MATTERING = [
  'envoy-gateway-config-create',
  'envoy-gateway-config-create-in-another-namespace',
  'envoy-gateway-config-delete',
  'envoy-gateway-config-patch',
  'envoyproxy-create',
  'envoyproxy-delete',
  'envoyproxy-deletecollection',
  'envoyproxy-patch',
  'envoyproxy-server-side-apply',
  'envoyproxy-update',
  'gateway-create',
  'gateway-delete',
  'gateway-patch',
  'gatewayclass-create',
  'gatewayclass-delete',
  'gatewayclass-patch',
  'hpa-created-by-envoy-gateway',
];

const keeps = (line: string) => changesOf([line]).kept === 1;
const delivers = parseFilterPattern(SUBSCRIPTION_PATTERN);

test('keeps and delivers of all real audit events those that can have changed what an HPA depends on', () => {
  const matching = (matches: (line: string) => boolean) =>
    [...auditEventNames].filter((name) => matches(auditLine(name))).toSorted();
  expect(auditEventNames).toHaveLength(42);
  expect(matching(keeps)).toEqual(MATTERING);
  expect(matching(delivers)).toEqual(MATTERING);
});

describe('the subscription pattern', () => {
  test('has a length that CloudWatch Logs takes, on one line', () => {
    expect(SUBSCRIPTION_PATTERN.length).toBeLessThanOrEqual(1_024);
    expect(SUBSCRIPTION_PATTERN).not.toMatch(/\n/);
  });

  test('delivers exactly what forward keeps, whatever is written', async () => {
    const seen = { kept: 0, dropped: 0 };
    await fc.assert(
      fc.property(auditEvents, (event) => {
        const line = JSON.stringify(event);
        expect(delivers(line)).toBe(keeps(line));
        seen[keeps(line) ? 'kept' : 'dropped'] += 1;
      }),
      { numRuns: 5_000 },
    );
    // The agreement means little unless both answers are common.
    expect(seen.kept).toBeGreaterThan(500);
    expect(seen.dropped).toBeGreaterThan(2_000);
  });
});

describe('an event with one thing changed', () => {
  // biome-ignore lint/suspicious/noExplicitAny: a test breaks it in ways that no type allows
  type Change = (event: any) => void;
  const change = (name: string, apply: Change) => {
    const event = auditEvent(name);
    apply(event);
    return keeps(JSON.stringify(event));
  };

  test.each<[string, string, Change]>([
    ['an earlier stage', 'envoyproxy-patch', (e) => Object.assign(e, { stage: 'ResponseStarted' })],
    ['a stage before the response', 'envoyproxy-patch', (e) => delete e.responseStatus],
    ['code 199', 'envoyproxy-patch', (e) => Object.assign(e.responseStatus, { code: 199 })],
    ['code 300', 'envoyproxy-patch', (e) => Object.assign(e.responseStatus, { code: 300 })],
    ['code 409', 'envoyproxy-patch', (e) => Object.assign(e.responseStatus, { code: 409 })],
    ['no objectRef (/healthz)', 'envoyproxy-patch', (e) => delete e.objectRef],
    ['another group', 'envoyproxy-patch', (e) => Object.assign(e.objectRef, { apiGroup: 'gateway.example.com' })],
    ['no group', 'gateway-patch', (e) => delete e.objectRef.apiGroup],
    ['the groups mixed up', 'gateway-patch', (e) => Object.assign(e.objectRef, { apiGroup: 'gateway.envoyproxy.io' })],
    ['a neighbour', 'gateway-patch', (e) => Object.assign(e.objectRef, { resource: 'httproutes' })],
    ['another policy', 'envoyproxy-patch', (e) => Object.assign(e.objectRef, { resource: 'backendtrafficpolicies' })],
    ['an HPA applied again', 'hpa-created-by-envoy-gateway', (e) => Object.assign(e.responseStatus, { code: 200 })],
  ])('is dropped with %s', (_, name, apply) => {
    expect(change(name, () => {})).toBe(true);
    expect(change(name, apply)).toBe(false);
  });

  test.each<[string, string, Change]>([
    ['code 299', 'envoyproxy-patch', (e) => Object.assign(e.responseStatus, { code: 299 })],
    ['a v1beta1 Gateway', 'gateway-patch', (e) => Object.assign(e.objectRef, { apiVersion: 'v1beta1' })],
    ['a create with generateName', 'envoyproxy-create', (e) => delete e.objectRef.name],
    ['a dryRun that is none', 'envoyproxy-patch', (e) => Object.assign(e, { requestURI: '/a?dryRun=' })],
  ])('is kept with %s', (_, name, apply) => {
    expect(change(name, apply)).toBe(true);
  });

  const configMap = (name?: string) => (e: { objectRef: object }) => {
    e.objectRef = { resource: 'configmaps', namespace: 'envoy-gateway-system', apiVersion: 'v1', name };
  };
  test('is kept for the ConfigMap of Envoy Gateway only', () => {
    expect(change('envoyproxy-patch', configMap('envoy-gateway-config'))).toBe(true);
    expect(change('envoyproxy-patch', configMap('envoy-gateway-config-backup'))).toBe(false);
    expect(change('envoyproxy-patch', configMap('my-envoy-gateway-config'))).toBe(false);
    expect(change('envoyproxy-deletecollection', configMap())).toBe(false);
  });
});

describe('a line of the log', () => {
  const broken = (change: object) => JSON.stringify({ ...auditEvent('envoyproxy-patch'), ...change });
  const NO_EVENT = 'not an audit.k8s.io/v1 Event';

  test.each([
    ['no JSON', 'I1123 14:38:37 secret-token', 'not JSON'],
    ['cut', auditLine('envoyproxy-patch').slice(0, -1), 'not JSON'],
    ['empty', '', 'not JSON'],
    ['null', 'null', `${NO_EVENT}: the whole line`],
    ['a list', '["secret-token"]', `${NO_EVENT}: the whole line`],
    ['without auditID', broken({ auditID: undefined }), `${NO_EVENT}: auditID`],
    ['without stageTimestamp', broken({ stageTimestamp: undefined }), `${NO_EVENT}: stageTimestamp`],
    ['of another kind', broken({ kind: 'secret-token', apiVersion: 'v2' }), `${NO_EVENT}: kind, apiVersion`],
    ['with a code that is text', broken({ responseStatus: { code: '200' } }), `${NO_EVENT}: responseStatus.code`],
    ['with a time that is none', broken({ stageTimestamp: 'secret-token' }), `${NO_EVENT}: stageTimestamp`],
  ])('%s is a fault, which quotes nothing of it', (_, line, fault) => {
    expect(changesOf([line])).toEqual({ changes: [], kept: 0, faults: [{ index: 0, fault }] });
  });

  test('with very many faults names the first ones', () => {
    const [one] = changesOf([broken({ sourceIPs: Array.from({ length: 10_000 }, () => null) })]).faults;
    expect(one?.fault).toMatch(/^not an audit.k8s.io\/v1 Event: sourceIPs\.0, .*sourceIPs\.19 and 9980 more$/);
  });

  test('is a fault whatever the text is, never an exception', async () => {
    await fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
        expect(changesOf([line]).faults).toHaveLength(1);
      }),
    );
  });

  test.each([
    ['no user name', { user: {} }],
    ['no source', { sourceIPs: undefined }],
    ['fields of a newer Kubernetes', { authenticationMetadata: {} }],
  ])('with %s is no fault', (_, change) => {
    expect(changesOf([broken(change)]).faults).toEqual([]);
  });
});

describe('the changes of many lines', () => {
  const line = (change: object, ref: object = {}) => {
    const event = auditEvent('envoyproxy-patch');
    return JSON.stringify({ ...event, ...change, objectRef: { ...event.objectRef, ...ref } });
  };
  const at = (stageTimestamp: string, auditID: string) => line({ stageTimestamp, auditID });

  test.each([
    ['by microseconds', '2026-11-23T14:00:00.000002Z', '2026-11-23T14:00:00.000001Z'],
    ['at the very same time by the auditID', '2026-11-23T14:00:00.000001Z', '2026-11-23T14:00:00.000001Z'],
    ['by the time, whatever its precision', '2026-11-23T14:00:00.2Z', '2026-11-23T14:00:00.100001Z'],
  ])('has the newest of each object, %s, with the number of its lines', (_, newest, older) => {
    const lines = [at(newest, 'b'), at(older, 'a')];
    for (const order of [lines, lines.toReversed()]) {
      expect(changesOf(order).changes).toEqual([expect.objectContaining({ auditID: 'b', lines: 2 })]);
    }
  });

  test('skips unreadable lines and reports them by their index', () => {
    const { changes, kept, faults } = changesOf(['secret-token', auditLine('gateway-patch'), auditLine('gateway-get')]);
    expect([changes.length, kept, faults]).toEqual([1, 1, [{ index: 0, fault: 'not JSON' }]]);
  });

  test('are one for each object, the newest, with every line counted, whatever the mix, order and doubling', async () => {
    const mixed = fc
      .array(auditEvents, { maxLength: 40 })
      .chain((events) => fc.shuffledSubarray([...events, ...events], { minLength: events.length }));
    const keyOf = ({ objectRef: { apiGroup, resource, namespace, name } }: Pick<ObjectChange, 'objectRef'>) =>
      [apiGroup ?? '', resource, namespace ?? '-', name ?? '-'].join(' ');
    const rank = ({ stageTimestamp, auditID }: Pick<ObjectChange, 'stageTimestamp' | 'auditID'>) =>
      stageTimestamp + auditID;
    await fc.assert(
      fc.property(mixed, (events) => {
        const { changes, kept } = changesOf(events.map((event) => JSON.stringify(event)));
        const matter = events.filter((event) => keeps(JSON.stringify(event))) as unknown as ObjectChange[];
        expect(kept).toBe(matter.length);
        expect(changes.map(keyOf).sort()).toEqual([...new Set(matter.map(keyOf))].sort());
        for (const change of changes) {
          const same = matter.filter((other) => keyOf(other) === keyOf(change));
          expect(change.lines).toBe(same.length);
          expect(rank(change)).toBe(same.map(rank).sort().at(-1));
        }
      }),
    );
  });
});

describe('a change', () => {
  test.each(MATTERING)('from %s fits the schema of its event', (name) => {
    const [change] = changesOf([auditLine(name)]).changes;
    const detail = { version: '1', cluster: 'shop', ...change };
    expect(QUEUED_DETAILS['Envoy Gateway Configuration Changed'].parse(JSON.parse(JSON.stringify(detail)))).toEqual(
      detail,
    );
  });

  test('says who did what to which object, and nothing of the bodies', () => {
    const event = auditEvent('hpa-created-by-envoy-gateway');
    event.impersonatedUser = { username: 'robot', groups: ['g'] };
    expect(changesOf([JSON.stringify(event)]).changes).toEqual([
      {
        auditID: '8b6df58b-e2fc-49ac-afae-c7da8c369e7e',
        verb: 'patch',
        objectRef: {
          ...{ apiGroup: 'autoscaling', apiVersion: 'v2', resource: 'horizontalpodautoscalers' },
          ...{ namespace: 'envoy-gateway-system', name: 'envoy-shop-web-97375646' },
        },
        user: { username: 'admin', impersonatedUsername: 'robot' },
        sourceIPs: ['127.0.0.1'],
        userAgent: 'envoy-gateway/v0.0.0 (linux/amd64) kubernetes/$Format',
        requestReceivedTimestamp: '2026-11-23T15:13:50.528202Z',
        stageTimestamp: '2026-11-23T15:13:50.531505Z',
        lines: 1,
      },
    ]);
  });
});

describe('the evaluator of patterns', () => {
  const matches = (pattern: string, json: unknown) => parseFilterPattern(pattern)(JSON.stringify(json));

  test.each<[string, unknown, boolean]>([
    ['{ $.a = "x" }', { a: 'x' }, true],
    ['{ $.a = "x" }', { a: 'X' }, false],
    ['{ $.a = "x" }', {}, false],
    ['{ $.a != "x" }', {}, false],
    ['{ $.a != "*x*" }', { a: 'oxo' }, false],
    ['{ $.a = "de*" }', { a: 'delete' }, true],
    ['{ $.a = "de*" }', { a: 'undelete' }, false],
    ['{ $.a = "a.c" }', { a: 'abc' }, false],
    ['{ $.a.b >= 200 && $.a.b < 300 }', { a: { b: 299 } }, true],
    ['{ $.a.b >= 200 && $.a.b < 300 }', { a: { b: 300 } }, false],
    ['{ $.a.b >= 200 }', { a: { b: '200' } }, false],
    ['{ $.a.b NOT EXISTS }', { a: {} }, true],
    ['{ $.a.b NOT EXISTS }', {}, true],
    ['{ $.a.b NOT EXISTS }', { a: { b: null } }, false],
    ['{ $.a = 1 || $.a = 2 && $.b = 3 }', { a: 1 }, true],
    ['{ ($.a = 1 || $.a = 2) && $.b = 3 }', { a: 1 }, false],
  ])('%s on %j: %s', (pattern, json, outcome) => {
    expect(matches(pattern, json)).toBe(outcome);
  });

  test.each(['{ $.a = }', '{ $.a = "x" ', '{ $.a ~ "x" }', '$.a = "x"', '{ $.a = "x" } }', '{ a = "x" }'])(
    'refuses %s',
    (pattern) => {
      expect(() => parseFilterPattern(pattern)).toThrow(SyntaxError);
    },
  );

  test('matches no line that is not JSON', () => {
    expect(parseFilterPattern('{ $.a NOT EXISTS }')('no JSON')).toBe(false);
  });
});
