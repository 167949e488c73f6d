import { describe, expect, test } from 'vitest';
import { controllerVersion, leaksHpas, otherConfiguration } from '../../../functions/judgement/controller.ts';
import type { Deployment } from '../../../functions/judgement/kubernetes-objects.ts';
import { projectedObject } from '../../../functions/kubernetes/kinds.ts';
import { controller } from '../../builders/cluster.ts';

type PodSpec = NonNullable<NonNullable<NonNullable<Deployment['spec']>['template']>['spec']>;
const withPod = (pod: PodSpec | null, labels?: Record<string, string> | null): Deployment => ({
  metadata: { namespace: 'sys', name: 'envoy-gateway', uid: 'u', labels },
  spec: { template: { spec: pod } },
});

describe('controllerVersion', () => {
  const named = (label: string | undefined, image: string | undefined) =>
    withPod(
      { containers: [{ name: 'envoy-gateway', image }] },
      label === undefined ? null : { 'app.kubernetes.io/version': label },
    );
  const image = 'envoyproxy/gateway:v1.3.0';
  const sidecar = { name: 'sidecar', image: 'sidecar:v7.0.0' };
  const rolling = (status: Deployment['status']) => ({ ...controller({ version: 'v1.9.1' }), status });

  test.each<[string, Deployment | undefined, string | undefined]>([
    ['is unknown without a Deployment', undefined, undefined],
    ['comes from a label without v', named('1.4.2', undefined), 'v1.4.2'],
    ['comes from the label beside a digest', named('v1.4.2', 'envoyproxy/gateway@sha256:0a'), 'v1.4.2'],
    ['comes from the tag', named(undefined, 'docker.io/envoyproxy/gateway:v1.3.0'), 'v1.3.0'],
    ['comes from the tag of an image without a registry', named(undefined, 'gateway:v1.3.0'), 'v1.3.0'],
    ['comes from the tag before a digest', named(undefined, 'envoyproxy/gateway:v1.3.0@sha256:0a'), 'v1.3.0'],
    ['comes from the tag beside another label', named('latest', image), 'v1.3.0'],
    ['may differ in its patch', named('v1.9.1', 'envoyproxy/gateway:v1.9.0'), 'v1.9.1'],
    ['is unknown if label and tag differ', named('v1.9.1', image), undefined],
    ['is unknown if the major versions differ', named('v2.3.0', image), undefined],
    ['is unknown for another image', named(undefined, 'istio/proxyv2:1.22.0'), undefined],
    ['is that of its container', withPod({ containers: [sidecar, { name: 'envoy-gateway', image }] }), 'v1.3.0'],
    ['is unknown for a folder named like the image', named(undefined, `${image}/proxy`), undefined],
    ['is unknown for a digest named like the image', named(undefined, `proxy@${image}`), undefined],
    ['is unknown of several other containers', withPod({ containers: [{ name: 'x', image }, sidecar] }), undefined],
    ['is that of the only container', withPod({ containers: [{ name: 'gateway', image }] }), 'v1.3.0'],
    ['is unknown without a spec', { ...withPod(null), spec: null }, undefined],
    ['is known without a status', rolling({}), 'v1.9.1'],
    ['is known of a Deployment scaled to none', rolling({ observedGeneration: 1 }), 'v1.9.1'],
    ['is unknown during a rollout', rolling({ observedGeneration: 1, replicas: 2, updatedReplicas: 1 }), undefined],
    ['is unknown before a rollout', rolling({ observedGeneration: 0, replicas: 1, updatedReplicas: 1 }), undefined],
  ])('%s', (_, found, version) => {
    expect(controllerVersion(found)?.text).toBe(version);
  });
});

const releases = ['v10.11.12', 'v1.9.0-rc.10', 'v1.9.0-rc1'];
test.each([...releases, 'xv1.9.0', 'v1.9', 'v1.9.0-dev'])('knows whether %s is a release', (version) => {
  const known = controllerVersion(controller({ version, image: '' }))?.text;
  expect(known).toBe(releases.includes(version) ? version : undefined);
});

test.each([
  ...[['v0.9.9'], ['v1.0.5'], ['v1.1.2'], ['v1.1.3', true], ['v1.4.9', true], ['v1.5.0', false], ['v2.1.0', false]],
] as [string, boolean?][])('knows whether %s leaks HPAs', (version, leaks) => {
  const known = controllerVersion(controller({ version }));
  expect(known && leaksHpas(known)).toBe(leaks);
});

test('the version and the rollout are among what is read of a Deployment', () => {
  const { metadata, ...whole } = controller({ version: 'v1.9.1', image: 'mirror' });
  const status = { observedGeneration: 1, replicas: 2, updatedReplicas: 1 };
  const read = projectedObject('Deployment', { metadata, ...whole, status });
  expect(read).toMatchObject({ metadata: { labels: metadata.labels, generation: 1 }, status });
});

describe('otherConfiguration', () => {
  type Volume = NonNullable<PodSpec['volumes']>[number];
  const CUSTOM = 'ConfigMap custom';
  const FILE = ['--config-path=/config/envoy-gateway.yaml'];
  const volume = (name: string, configMap: string): Volume => ({ name, configMap: { name: configMap } });
  const own = volume('o', 'envoy-gateway-config');
  const custom = volume('c', 'custom');
  /** Mounts as `name:path`. */
  const pod = (args: string[], mounts: string[], ...volumes: Volume[]): PodSpec => {
    const volumeMounts = mounts
      .map((mount) => mount.split(':'))
      .map(([name = '', mountPath = '']) => ({ name, mountPath }));
    return { containers: [{ name: 'envoy-gateway', args, volumeMounts }], volumes };
  };
  const projected = (...names: string[]): Volume => ({
    ...{ name: 'c', projected: { sources: [{}, ...names.map((name) => ({ configMap: { name } }))] } },
  });
  const both = ['o:/old', 'c:/config'];
  const withFile = { containers: [{ name: 'envoy-gateway', args: FILE }] };
  const [container] = pod([], both).containers ?? [];
  const inCommand = { containers: [{ ...container, name: 'x', args: null, command: FILE }], volumes: [own, custom] };

  test.each<[string, PodSpec | null, string | undefined]>([
    ['none without volumes', pod(FILE, ['c:/config']), undefined],
    ['the one at the file, beside its own', pod(FILE, both, own, custom), CUSTOM],
    ['none if the other is for something else', pod(FILE, ['c:/cert-files', 'o:/config'], custom, own), undefined],
    ['the one at the file of -c FILE', pod(['server', '-c', '/config/x.yaml'], both, own, custom), CUSTOM],
    ['not that of another flag', pod(['--config-path-other=/old/x.yaml', ...FILE], both, own, custom), CUSTOM],
    ['not that of a flag that ends alike', pod(['--other-c=/old/x.yaml', ...FILE], both, own, custom), CUSTOM],
    ['the only one that is not mounted', { ...withFile, volumes: [custom] }, CUSTOM],
    ['the inner of two mounts', pod(['-c=/etc/eg/config/x'], ['o:/etc/eg', 'c:/etc/eg/config'], own, custom), CUSTOM],
    ['the one with a trailing slash', pod(FILE, ['o:/old/', 'c:/config/'], own, custom), CUSTOM],
    ['the file itself', pod(FILE, ['o:/config', 'c:/config/envoy-gateway.yaml'], own, custom), CUSTOM],
    ['a projected one', pod(FILE, ['c:/config'], projected('custom')), CUSTOM],
    ['none if its own is projected', pod(FILE, ['c:/config'], projected('extra', 'envoy-gateway-config')), undefined],
    ['a projected volume of none', pod(FILE, ['c:/config'], { name: 'c', projected: { sources: null } }), 'volume c'],
    ['none of any while the file is unknown', pod(['/config'], both, custom, own), undefined],
    ['the only one while the file is unknown', pod(['server'], ['c:/config'], custom), CUSTOM],
    ['a volume that is no ConfigMap', pod(FILE, ['s:/config', 'o:/old'], { name: 's' }, own), 'volume s'],
    ['a ConfigMap without a name', pod(FILE, ['c:/config'], { name: 'c', configMap: {} }), 'volume c'],
    ['the only one for a flag without a value', pod(['--config-path'], ['c:/config'], custom), CUSTOM],
    ['the one at the file in the command', inCommand, CUSTOM],
  ])('finds %s', (_, podSpec, expected) => {
    expect(otherConfiguration(withPod(podSpec))).toBe(expected);
  });

  test('finds none in a Deployment without a spec, or of the Helm chart', () => {
    expect(otherConfiguration({ ...withPod(null), spec: null })).toBeUndefined();
    expect(otherConfiguration(controller({ version: 'v1.9.1' }))).toBeUndefined();
    expect(otherConfiguration(controller({ version: 'v1.9.1', configMap: 'custom' }))).toBe(CUSTOM);
  });
});
