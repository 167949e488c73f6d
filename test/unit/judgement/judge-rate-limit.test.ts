import { describe, expect, test } from 'vitest';
import { judge } from '../../../functions/judgement/judge.ts';
import {
  appliedFields,
  autoscaling,
  type ClusterObject,
  controller,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  labelsOf,
  rateLimitHpa,
  snapshotOf,
} from '../../builders/cluster.ts';
import { inShort, judged, REMOVED, WANTED } from '../../builders/verdicts.ts';

/* The HPA of the rate limit service is ruled by the ConfigMap of its namespace, and by nothing else. */

const OWNER = 'ConfigMap envoy-gateway-system/envoy-gateway-config';
const service = deployment('envoy-gateway-system/envoy-ratelimit');
const v142 = controller({ version: 'v1.4.2' });
const limiting = (rateLimit = {}) => envoyGatewayConfig({ rateLimit });
const asking = limiting({ rateLimitHpa: { maxReplicas: 5 } });

test.each<[string, ClusterObject[], string, string]>([
  ['rateLimitHpa', [asking], WANTED, `${OWNER} asks for autoscaling of the rate limit service.`],
  [
    'an empty rateLimitHpa',
    [limiting({ rateLimitHpa: {} })],
    WANTED,
    `${OWNER} asks for autoscaling of the rate limit service.`,
  ],
  [
    'no rateLimitHpa',
    [limiting()],
    REMOVED,
    `${OWNER} asks for no autoscaling of the rate limit service: it has no rateLimitHpa.`,
  ],
  [
    'rateLimitHpa null',
    [limiting({ rateLimitHpa: null })],
    REMOVED,
    `${OWNER} asks for no autoscaling of the rate limit service: it has no rateLimitHpa.`,
  ],
])('%s: whether or not its Deployment runs', (_, objects, expected, explanation) => {
  for (const deployments of [[], [service]]) {
    const verdict = judged(rateLimitHpa(), ...objects, v142, ...deployments);
    expect([inShort(verdict), verdict.explanation]).toEqual([expected, explanation]);
  }
});

test.each<[string, ClusterObject[], string, string, string]>([
  [
    'no ConfigMap',
    [v142],
    'ScaleTargetGone',
    'DefaultsUnreadable',
    `${OWNER} does not exist, or is not in a controller namespace`,
  ],
  [
    'a ConfigMap of another namespace',
    [envoyGatewayConfig({ namespace: 'second', rateLimit: {} })],
    'ScaleTargetGone',
    'DefaultsUnreadable',
    `${OWNER} does not exist, or is not in a controller namespace`,
  ],
  [
    'an unreadable ConfigMap',
    [envoyGatewayConfig({ text: '{' })],
    'ScaleTargetGone',
    'DefaultsUnreadable',
    `${OWNER} cannot be read (envoy-gateway.yaml is not valid YAML`,
  ],
  [
    'Envoy Gateway reads another ConfigMap',
    [limiting(), controller({ configMap: 'custom' })],
    'ScaleTargetGone',
    'DefaultsUnreadable',
    'Envoy Gateway in envoy-gateway-system reads ConfigMap custom and not envoy-gateway-config',
  ],
  [
    'Envoy Gateway reads another ConfigMap, and this one asks',
    [asking, controller({ configMap: 'custom' })],
    'ScaleTargetGone',
    'DefaultsUnreadable',
    'Envoy Gateway in envoy-gateway-system reads ConfigMap custom and not envoy-gateway-config',
  ],
  [
    'no rate limit service any more',
    [envoyGatewayConfig(), v142],
    'ScaleTargetGone',
    'ScaleTargetStillRuns',
    `${OWNER} configures no rate limit service`,
  ],
])('%s: only once its Deployment is gone', (_, objects, ifGone, otherwise, explanation) => {
  const gone = judged(rateLimitHpa(), ...objects);
  expect(inShort(gone)).toBe(`delete ${ifGone}`);
  expect(gone.explanation.startsWith(explanation)).toBe(true);
  expect(gone.explanation).toContain(', and Deployment envoy-gateway-system/envoy-ratelimit is gone.');
  const runs = judged(rateLimitHpa(), ...objects, service);
  expect(inShort(runs)).toBe(`keep ${otherwise}`);
  expect(runs.explanation.startsWith(explanation)).toBe(true);
  const unread = judge({
    ...snapshotOf([rateLimitHpa(), ...objects]),
    deployments: snapshotOf(objects).deployments,
  })[0];
  expect(unread).toMatchObject({ action: 'keep', needsDeployments: ['envoy-gateway-system/envoy-ratelimit'] });
});

test.each<[string, Parameters<typeof rateLimitHpa>[0], string]>([
  ['annotated', { metadata: { annotations: { 'envoy-hpa-reaper/keep': 'true' } } }, 'keep Protected'],
  ['being deleted', { metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' } }, 'keep Terminating'],
  ['held by a finalizer', { metadata: { finalizers: ['a/b'] } }, 'keep Terminating'],
  ['applied by Helm', { metadata: { annotations: { 'meta.helm.sh/release-name': 'eg' } } }, 'keep Adopted'],
  ['without managedFields', { metadata: { managedFields: [] } }, 'keep NotManagedByEnvoyGateway'],
  [
    'applied by somebody else',
    { metadata: { managedFields: [appliedFields({}, 'kubectl')] } },
    'keep NotManagedByEnvoyGateway',
  ],
  [
    'labeled by a Gateway as well',
    { metadata: { labels: { ...rateLimitHpa().metadata.labels, ...labelsOf('shop/web') } } },
    'keep AmbiguousOwner',
  ],
  [
    'labeled in part',
    { metadata: { labels: { ...rateLimitHpa().metadata.labels, 'app.kubernetes.io/managed-by': 'Helm' } } },
    'keep NotManagedByEnvoyGateway',
  ],
])('an HPA that is %s', (_, hpa, expected) => {
  expect(inShort(judged(rateLimitHpa(hpa), limiting(), v142))).toBe(expected);
});

test('the ConfigMap can be annotated to protect it', () => {
  const metadata = { annotations: { 'envoy-hpa-reaper/keep': 'true' } };
  const verdict = judged(rateLimitHpa(), envoyGatewayConfig({ rateLimit: {}, metadata }), v142);
  expect(inShort(verdict)).toBe('keep Protected');
  expect(verdict.explanation).toBe(
    'envoy-gateway-system/envoy-gateway-config is annotated envoy-hpa-reaper/keep: "true".',
  );
  const elsewhere = envoyGatewayConfig({ namespace: 'second', metadata });
  expect(inShort(judged(rateLimitHpa(), limiting(), elsewhere, v142))).toBe(REMOVED);
});

test("a Gateway's HPA of that name and namespace keeps it, and the other way around", () => {
  const named = (name: string) => [
    gatewayClass(),
    gateway('shop/web', { proxy: 'own' }),
    envoyProxy('shop/own', autoscaling({ name })),
  ];
  const verdict = judged(rateLimitHpa(), limiting(), v142, ...named('envoy-ratelimit'));
  expect([inShort(verdict), verdict.explanation]).toEqual([WANTED, 'Gateway shop/web asks for an HPA of this name.']);
  const left = envoyHpa('shop/gone', { at: 'envoy-gateway-system/envoy-ratelimit' });
  const other = judged(left, asking, v142);
  expect([inShort(other), other.explanation]).toEqual([WANTED, `${OWNER} asks for an HPA of this name.`]);
});

describe('another name', () => {
  const named = limiting({ rateLimitHpa: { name: 'new' } });
  const at = 'envoy-gateway-system/new';
  const successor = rateLimitHpa({
    at,
    target: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'envoy-ratelimit' },
  });
  const v191 = controller({ version: 'v1.9.1' });

  test('the old HPA goes once the new one is there', () => {
    expect(inShort(judged(rateLimitHpa(), named, v191, service))).toBe(WANTED);
    const verdict = judged(rateLimitHpa(), successor, named, v191, service);
    expect([inShort(verdict), verdict.explanation]).toEqual([
      'delete Renamed',
      `${OWNER} asks for HPA envoy-gateway-system/new instead, which exists.`,
    ]);
    expect(inShort(judged(successor, rateLimitHpa(), named, v191, service))).toBe(WANTED);
  });

  test('in a release that ignores it the name is as it was', () => {
    expect(inShort(judged(rateLimitHpa(), successor, named, v142, service))).toBe(WANTED);
    expect(inShort(judged(successor, rateLimitHpa(), named, v142, service))).toBe('delete Renamed');
  });

  test('while the release is not known, both stay', () => {
    expect(inShort(judged(rateLimitHpa(), successor, named, service))).toBe(WANTED);
    const verdict = judged(successor, rateLimitHpa(), named, service);
    expect([inShort(verdict), verdict.explanation]).toEqual([
      WANTED,
      `${OWNER} asks for this HPA or for envoy-gateway-system/envoy-ratelimit: v1.4 and v1.5 use different names, and ` +
        'Deployment envoy-gateway-system/envoy-gateway does not exist to say which version runs, but Deployment envoy-gateway-system/envoy-ratelimit still runs.',
    ]);
  });

  test('the new one is of another owner, or goes', () => {
    const ofGateway = envoyHpa('shop/gone', { at });
    expect(inShort(judged(rateLimitHpa(), ofGateway, named, v191, service))).toBe(WANTED);
    const going = rateLimitHpa({ at, metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' } });
    expect(inShort(judged(rateLimitHpa(), going, named, v191, service))).toBe(WANTED);
  });

  test('waits for Envoy Gateway to see it', () => {
    const rejected = gatewayClass('dangling', { accepted: false });
    const v130 = controller({ version: 'v1.3.0' });
    expect(inShort(judged(successor, rateLimitHpa(), named, service, v130))).toBe('delete Renamed');
    expect(inShort(judged(successor, rateLimitHpa(), named, service, v130, rejected))).toBe('keep NotObserved');
  });
});

describe('while Envoy Gateway may be stuck', () => {
  const rejected = gatewayClass('dangling', { accepted: false });
  test.each<[string, ClusterObject[], string]>([
    ['v1.3.0', [controller({ version: 'v1.3.0' })], 'keep NotObserved'],
    ['unknown', [], 'keep NotObserved'],
    ['v1.4.2', [v142], REMOVED],
  ])('%s', (_, installed, expected) => {
    expect(inShort(judged(rateLimitHpa(), limiting(), ...installed, rejected))).toBe(expected);
    expect(
      inShort(
        judged(rateLimitHpa(), limiting(), ...installed, gatewayClass('o', { accepted: false, controllerName: 'o' })),
      ),
    ).toBe(REMOVED);
  });

  test('a class of the controllerName that its own ConfigMap gives', () => {
    const vendor = envoyGatewayConfig({ controllerName: 'vendor', rateLimit: {} });
    expect(inShort(judged(rateLimitHpa(), vendor, rejected))).toBe(REMOVED);
    const ofVendor = gatewayClass('dangling', { accepted: false, controllerName: 'vendor' });
    expect(inShort(judged(rateLimitHpa(), vendor, ofVendor))).toBe('keep NotObserved');
  });

  test("and while Envoy Gateway's own Deployment was not read, it stays", () => {
    const [verdict] = judge({ ...snapshotOf([rateLimitHpa(), limiting()]), deployments: new Map() });
    expect(verdict).toMatchObject({
      ...{ action: 'keep', reason: 'NotObserved' },
      needsDeployments: ['envoy-gateway-system/envoy-gateway'],
    });
  });
});

test('a verdict names its owner and all that it rests on', () => {
  const place = { namespace: 'envoy-gateway-system', name: 'envoy-gateway-config' };
  const verdict = judged(rateLimitHpa(), limiting({ rateLimitDeployment: { replicas: 2 } }), v142);
  expect(verdict.owner).toEqual({ kind: 'ConfigMap', ...place });
  expect(verdict.restsOn).toEqual([
    { kind: 'ConfigMap', ...place, uid: 'ConfigMap:envoy-gateway-system/envoy-gateway-config', resourceVersion: '1' },
    {
      ...{ kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' },
      ...{ uid: 'Deployment:envoy-gateway-system/envoy-gateway', generation: 1 },
    },
  ]);
  expect([verdict.appliedReplicas, verdict.restsOnDefaultAlone]).toEqual([2, false]);
  expect(judged(rateLimitHpa()).restsOn).toEqual([
    { kind: 'ConfigMap', ...place },
    { kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-ratelimit' },
  ]);
});

describe('with a list of controller namespaces', () => {
  const listed = (namespaces: string[], ...objects: ClusterObject[]) =>
    inShort(judge({ ...snapshotOf(objects), controllerNamespaces: namespaces })[0] as ReturnType<typeof judged>);

  test('a ConfigMap that is in it decides', () => {
    expect(listed(['envoy-gateway-system'], rateLimitHpa(), limiting(), v142)).toBe(REMOVED);
    expect(listed(['envoy-gateway-system'], rateLimitHpa(), asking, v142)).toBe(WANTED);
  });

  test('one that is not in it deletes nothing, and keeps what it asks for', () => {
    expect(listed(['other'], rateLimitHpa(), limiting(), v142, service)).toBe('keep DefaultsUnreadable');
    expect(listed(['other'], rateLimitHpa(), asking, v142)).toBe(WANTED);
    expect(listed(['other'], rateLimitHpa(), limiting(), v142)).toBe(REMOVED);
  });
});
