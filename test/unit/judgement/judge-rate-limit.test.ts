import { describe, expect, test } from 'vitest';
import { judge, type Verdict } from '../../../functions/judgement/judge.ts';
import {
  autoscaling,
  type ClusterObject,
  controller,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  gateway,
  gatewayClass,
  rateLimitHpa,
  snapshotOf,
} from '../../builders/cluster.ts';
import {
  inShort,
  judged,
  judgedWith,
  NOT_OBSERVED,
  ownProxy,
  REMOVED,
  RENAMED,
  STILL_RUNS,
  shortVerdict,
  shortVerdicts,
  UNREADABLE,
  WANTED,
} from '../../builders/verdicts.ts';

/* Only the ConfigMap in its namespace decides about the HPA of the rate limit service. */

const OWNER = 'ConfigMap envoy-gateway-system/envoy-gateway-config';
const SERVICE = 'envoy-gateway-system/envoy-ratelimit';
const service = deployment(SERVICE);
const v142 = controller({ version: 'v1.4.2' });
const v191 = controller({ version: 'v1.9.1' });
const limiting = (rateLimit = {}) => envoyGatewayConfig({ rateLimit });
const asking = limiting({ rateLimitHpa: { maxReplicas: 5 } });

test.each<[string, ClusterObject, string]>([
  ['rateLimitHpa asks', asking, WANTED],
  ['without rateLimitHpa nothing asks', limiting(), REMOVED],
  ['rateLimitHpa null does not ask', limiting({ rateLimitHpa: null }), REMOVED],
])('%s, whether or not the Deployment runs', (_, configMap, expected) => {
  const says = expected === WANTED ? 'autoscaling of' : 'no autoscaling of';
  for (const deployments of [[], [service]]) {
    const verdict = judged(rateLimitHpa(), configMap, v142, ...deployments);
    expect(inShort(verdict)).toBe(expected);
    expect(verdict.explanation).toContain(`${OWNER} asks for ${says} the rate limit service`);
  }
});

const OTHER = 'Envoy Gateway in envoy-gateway-system reads ConfigMap custom and not envoy-gateway-config';
const ABSENT = `${OWNER} does not exist, or is not in a controller namespace`;
const custom = controller({ configMap: 'custom' });
test.each<[string, ClusterObject[], string, string]>([
  ['it is in another namespace', [envoyGatewayConfig({ namespace: 'second', rateLimit: {} })], UNREADABLE, ABSENT],
  ['it is not readable', [envoyGatewayConfig({ text: '{' })], UNREADABLE, `${OWNER} cannot be read (`],
  ['Envoy Gateway reads another ConfigMap', [limiting(), custom], UNREADABLE, OTHER],
  ['it has no such service', [envoyGatewayConfig(), v142], STILL_RUNS, `${OWNER} configures no rate limit service`],
])('%s: the HPA is deleted only once its Deployment is gone', (_, objects, otherwise, explanation) => {
  const gone = judged(rateLimitHpa(), ...objects);
  expect(inShort(gone)).toBe('delete ScaleTargetGone');
  expect(gone.explanation.startsWith(explanation)).toBe(true);
  expect(gone.explanation).toContain(`, and Deployment ${SERVICE} is gone.`);
  expect(shortVerdict(rateLimitHpa(), ...objects, service)).toBe(otherwise);
  const unread = judgedWith(snapshotOf(objects).deployments, rateLimitHpa(), ...objects);
  expect(unread).toMatchObject({ action: 'keep', needsDeployments: [SERVICE] });
});

const keep = { annotations: { 'envoy-hpa-reaper/keep': 'true' } };
test('an annotation on the ConfigMap keeps it, but not one on another ConfigMap, or on a Gateway of the same name', () => {
  const verdict = judged(rateLimitHpa(), envoyGatewayConfig({ rateLimit: {}, metadata: keep }), v142);
  expect(inShort(verdict)).toBe('keep Protected');
  expect(verdict.explanation).toMatch(/^envoy-gateway-system\/envoy-gateway-config is annotated/);
  const elsewhere = envoyGatewayConfig({ namespace: 'second', metadata: keep });
  const namesake = gateway('envoy-gateway-system/envoy-gateway-config', { metadata: keep });
  expect(shortVerdict(rateLimitHpa(), limiting(), elsewhere, namesake, v142)).toBe(REMOVED);
});

test('a Gateway that asks for an HPA of that name keeps it, and the other way around', () => {
  const verdict = judged(rateLimitHpa(), limiting(), v142, ...ownProxy(autoscaling({ name: 'envoy-ratelimit' })));
  expect([inShort(verdict), verdict.explanation]).toEqual([WANTED, 'Gateway shop/web asks for an HPA of this name.']);
  const other = judged(envoyHpa('shop/gone', { at: SERVICE }), asking, v142);
  expect([inShort(other), other.explanation]).toEqual([WANTED, `${OWNER} asks for an HPA of this name.`]);
});

describe('rateLimitHpa.name', () => {
  const named = limiting({ rateLimitHpa: { name: 'new' } });
  const at = 'envoy-gateway-system/new';
  const successor = rateLimitHpa({
    at,
    target: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'envoy-ratelimit' },
  });

  test.each<[string, ClusterObject[], [ofOld: string, ofNew: string]]>([
    ['v1.9.1 uses it', [v191], [RENAMED, WANTED]],
    ['v1.4.2 ignores it', [v142], [WANTED, RENAMED]],
    ['both stay while the version is not known', [], [WANTED, WANTED]],
  ])('renames the HPA: %s', (_, installed, expected) => {
    const cluster = [named, service, ...installed];
    expect(shortVerdicts(rateLimitHpa(), successor, ...cluster)).toEqual(expected);
    expect(shortVerdict(rateLimitHpa(), ...cluster)).toBe(WANTED);
    expect(shortVerdict(rateLimitHpa(), envoyHpa('shop/gone', { at }), ...cluster)).toBe(WANTED);
  });
});

test('a deletion waits while Envoy Gateway may be stuck at a class of the controllerName in its own ConfigMap', () => {
  const rejected = gatewayClass('dangling', { accepted: false });
  const vendor = envoyGatewayConfig({ controllerName: 'vendor', rateLimit: {} });
  const ofVendor = gatewayClass('dangling', { accepted: false, controllerName: 'vendor' });
  expect(shortVerdict(rateLimitHpa(), vendor, rejected)).toBe(REMOVED);
  expect(shortVerdict(rateLimitHpa(), vendor, ofVendor)).toBe(NOT_OBSERVED);
});

test('a verdict names its owner and everything that it rests on', () => {
  const place = { namespace: 'envoy-gateway-system', name: 'envoy-gateway-config' };
  const verdict = judged(rateLimitHpa(), limiting({ rateLimitDeployment: { replicas: 2 } }), v142);
  expect(verdict.owner).toEqual({ kind: 'ConfigMap', ...place });
  expect(verdict.restsOn).toMatchObject([
    { kind: 'ConfigMap', ...place, uid: `ConfigMap:${place.namespace}/${place.name}`, resourceVersion: '1' },
    { kind: 'Deployment', name: 'envoy-gateway', uid: 'Deployment:envoy-gateway-system/envoy-gateway', generation: 1 },
  ]);
  expect([verdict.appliedReplicas, verdict.restsOnDefaultAlone]).toEqual([2, false]);
  expect(judged(rateLimitHpa()).restsOn).toEqual([
    { kind: 'ConfigMap', ...place },
    { kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-ratelimit' },
  ]);
});

test.each<[string, string, ClusterObject[], string]>([
  ['a ConfigMap in the list decides', 'envoy-gateway-system', [limiting()], REMOVED],
  ['a ConfigMap that is not in the list deletes nothing', 'other', [limiting(), service], UNREADABLE],
  ['a ConfigMap that is not in the list keeps what it asks for', 'other', [asking], WANTED],
])('with a list of controller namespaces: %s', (_, namespace, objects, expected) => {
  const snapshot = snapshotOf([rateLimitHpa(), ...objects, v142]);
  const [verdict] = judge({ ...snapshot, controllerNamespaces: [namespace] });
  expect(inShort(verdict as Verdict)).toBe(expected);
});
