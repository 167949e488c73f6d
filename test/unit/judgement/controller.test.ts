import { describe, expect, test } from 'vitest';
import { controllerVersion, DeploymentReads, otherConfiguration } from '../../../functions/judgement/controller.ts';
import type { Deployment } from '../../../functions/judgement/kubernetes-objects.ts';
import { controller, deployment, snapshotOf } from '../../builders/cluster.ts';

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
  test.each<[string, Deployment | undefined, string | undefined]>([
    ['no Deployment', undefined, undefined],
    ['neither label nor image', named(undefined, undefined), undefined],
    ['the label', named('v1.4.2', undefined), 'v1.4.2'],
    ['the label without v', named('1.4.2', undefined), 'v1.4.2'],
    ['the label, beside a digest', named('v1.4.2', 'envoyproxy/gateway@sha256:0a'), 'v1.4.2'],
    ['the label, beside a mirror without a release', named('v1.4.2', 'mirror:5000/gateway:latest'), 'v1.4.2'],
    ['the tag', named(undefined, 'docker.io/envoyproxy/gateway:v1.3.0'), 'v1.3.0'],
    ['the tag before a digest', named(undefined, 'envoyproxy/gateway:v1.3.0@sha256:0a'), 'v1.3.0'],
    ['the tag, beside a label that names no release', named('latest', 'envoyproxy/gateway:v1.3.0'), 'v1.3.0'],
    ['both', named('v1.9.1', 'envoyproxy/gateway:v1.9.1'), 'v1.9.1'],
    ['both, of one minor release', named('v1.9.1', 'envoyproxy/gateway:v1.9.0'), 'v1.9.1'],
    ['both, and they disagree', named('v1.9.1', 'envoyproxy/gateway:v1.3.0'), undefined],
    ['both, of another major release', named('v2.3.0', 'envoyproxy/gateway:v1.3.0'), undefined],
  ])('%s', (_, found, version) => {
    expect(controllerVersion(found)?.text).toBe(version);
  });

  test('reads the image of the container of that name, else of the only one', () => {
    const image = 'envoyproxy/gateway:v1.3.0';
    const sidecar = { name: 'sidecar', image: 'sidecar:v7.0.0' };
    const versionOf = (...containers: PodSpec['containers'] & object) =>
      controllerVersion(withPod({ containers }))?.text;
    expect(versionOf(sidecar, { name: 'envoy-gateway', image })).toBe('v1.3.0');
    expect(versionOf({ name: 'gateway', image })).toBe('v1.3.0');
    expect(versionOf({ name: 'gateway', image }, sidecar)).toBeUndefined();
  });

  test.each(['istio/proxyv2:1.22.0', 'registry.corp/platform/eg-build:2.14.0'])('%s is no release of it', (image) => {
    expect(controllerVersion(withPod({ containers: [{ name: 'envoy-gateway', image }] }))).toBeUndefined();
  });

  test.each<[string, Deployment['status'], string | undefined]>([
    ['nothing is said', {}, 'v1.9.1'],
    ['it is through', { observedGeneration: 1, replicas: 2, updatedReplicas: 2 }, 'v1.9.1'],
    ['it is scaled to none', { observedGeneration: 1 }, 'v1.9.1'],
    ['a Pod of before still runs', { observedGeneration: 1, replicas: 2, updatedReplicas: 1 }, undefined],
    ['it has not begun', { observedGeneration: 0, replicas: 1, updatedReplicas: 1 }, undefined],
  ])('while a rollout is under way no release is known: %s', (_, status, expected) => {
    expect(controllerVersion({ ...controller({ version: 'v1.9.1' }), status })?.text).toBe(expected);
  });

  test.each([null, {}, { containers: null }, { containers: [] }])('a pod of %j names none', (pod) => {
    expect(controllerVersion(withPod(pod))).toBeUndefined();
  });

  test('a Deployment without a spec names none', () => {
    expect(controllerVersion({ ...withPod(null), spec: null })).toBeUndefined();
    expect(controllerVersion(deployment('sys/envoy-gateway'))).toBeUndefined();
  });
});

describe('otherConfiguration', () => {
  const OWN = 'envoy-gateway-config';
  const volume = (name: string, configMap: string) => ({ name, configMap: { name: configMap } });
  const mounts = (...pairs: [name: string, mountPath: string][]) =>
    pairs.map(([name, mountPath]) => ({ name, mountPath }));
  const podOf = (
    args: string[],
    volumeMounts: { name: string; mountPath: string }[],
    volumes: NonNullable<PodSpec['volumes']>,
  ): PodSpec => ({ containers: [{ name: 'envoy-gateway', args, volumeMounts }], volumes });
  const FILE = '--config-path=/config/envoy-gateway.yaml';

  test('the Helm chart mounts its own', () => {
    expect(otherConfiguration(controller({ version: 'v1.9.1' }))).toBeUndefined();
    expect(otherConfiguration(controller({ version: 'v1.9.1', configMap: 'custom' }))).toBe('ConfigMap custom');
  });

  test.each<[string, PodSpec, string | undefined]>([
    ['no volumes', podOf([FILE], mounts(['c', '/config']), []), undefined],
    ['its own', podOf([FILE], mounts(['c', '/config']), [volume('c', OWN)]), undefined],
    ['another', podOf([FILE], mounts(['c', '/config']), [volume('c', 'custom')]), 'ConfigMap custom'],
    [
      'another, and its own stands unused beside it',
      podOf([FILE], mounts(['c', '/config'], ['o', '/old']), [volume('o', OWN), volume('c', 'custom')]),
      'ConfigMap custom',
    ],
    [
      'its own, and another for something else',
      podOf([FILE], mounts(['ca', '/ca'], ['c', '/config']), [volume('ca', 'ca-bundle'), volume('c', OWN)]),
      undefined,
    ],
    [
      '--config-path and its value apart',
      podOf(['server', '--config-path', '/config/x.yaml'], mounts(['o', '/old'], ['c', '/config']), [
        volume('o', OWN),
        volume('c', 'custom'),
      ]),
      'ConfigMap custom',
    ],
    [
      '-c and its value apart',
      podOf(['server', '-c', '/config/x.yaml'], mounts(['o', '/old'], ['c', '/config']), [
        volume('o', OWN),
        volume('c', 'custom'),
      ]),
      'ConfigMap custom',
    ],
    [
      '-c=',
      podOf(['-c=/config/x.yaml'], mounts(['o', '/old'], ['c', '/config']), [volume('o', OWN), volume('c', 'custom')]),
      'ConfigMap custom',
    ],
    [
      'a flag that only starts so',
      podOf(['--config-path-other=/old/x.yaml', FILE], mounts(['o', '/old'], ['c', '/config']), [
        volume('o', OWN),
        volume('c', 'custom'),
      ]),
      'ConfigMap custom',
    ],
    [
      'a mount within a mount: the longer path holds the file',
      podOf(['--config-path=/etc/eg/config/x.yaml'], mounts(['o', '/etc/eg'], ['c', '/etc/eg/config']), [
        volume('o', OWN),
        volume('c', 'custom'),
      ]),
      'ConfigMap custom',
    ],
    [
      'a mount whose path is only a prefix of the name does not hold it',
      podOf(['--config-path=/config-new/x.yaml'], mounts(['o', '/config'], ['c', '/config-new']), [
        volume('o', OWN),
        volume('c', 'custom'),
      ]),
      'ConfigMap custom',
    ],
    [
      'a mount path with a slash at its end',
      podOf([FILE], mounts(['o', '/old/'], ['c', '/config/']), [volume('o', OWN), volume('c', 'custom')]),
      'ConfigMap custom',
    ],
    [
      'the file itself is mounted',
      podOf([FILE], mounts(['o', '/config'], ['c', '/config/envoy-gateway.yaml']), [
        volume('o', OWN),
        volume('c', 'custom'),
      ]),
      'ConfigMap custom',
    ],
    [
      'a projected volume of another',
      podOf([FILE], mounts(['c', '/config']), [
        { name: 'c', projected: { sources: [{}, { configMap: { name: 'custom' } }] } },
      ]),
      'ConfigMap custom',
    ],
    [
      'a projected volume of its own and another',
      podOf([FILE], mounts(['c', '/config']), [
        { name: 'c', projected: { sources: [{ configMap: { name: 'extra' } }, { configMap: { name: OWN } }] } },
      ]),
      undefined,
    ],
    [
      'a projected volume without sources',
      podOf([FILE], mounts(['c', '/config']), [{ name: 'c', projected: { sources: null } }]),
      'volume c',
    ],
    [
      'no argument says which file: any volume may hold it',
      podOf(['server'], mounts(['o', '/old'], ['c', '/config']), [volume('c', 'custom'), volume('o', OWN)]),
      undefined,
    ],
    [
      'no argument says which file, and none is its own',
      podOf(['server'], mounts(['c', '/config']), [volume('c', 'custom')]),
      'ConfigMap custom',
    ],
    [
      'the file lies in no ConfigMap, and its own is mounted elsewhere',
      podOf([FILE], mounts(['s', '/config'], ['o', '/old']), [{ name: 's' }, volume('o', OWN)]),
      'volume s',
    ],
    [
      'a ConfigMap volume without a name',
      podOf([FILE], mounts(['c', '/config']), [{ name: 'c', configMap: {} }]),
      'volume c',
    ],
    [
      'the flag without a value',
      podOf(['--config-path'], mounts(['c', '/config']), [volume('c', 'custom')]),
      'ConfigMap custom',
    ],
  ])('%s', (_, pod, expected) => {
    expect(otherConfiguration(withPod(pod))).toBe(expected);
  });

  test('the flag may stand in the command', () => {
    const { containers, ...rest } = podOf([], mounts(['o', '/old'], ['c', '/config']), [
      volume('o', OWN),
      volume('c', 'custom'),
    ]);
    const [container] = containers as [NonNullable<PodSpec['containers']>[number]];
    expect(otherConfiguration(withPod({ ...rest, containers: [{ ...container, args: null, command: [FILE] }] }))).toBe(
      'ConfigMap custom',
    );
  });

  test('a Deployment that says nothing of its pods reads its own', () => {
    expect([withPod(null), withPod({}), { ...withPod(null), spec: null }].map(otherConfiguration)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('DeploymentReads', () => {
  const running = { ...controller({ namespace: 'sys' }) };
  const snapshot = {
    ...snapshotOf([running]),
    deployments: new Map([
      ['sys/envoy-gateway', running],
      ['sys/gone', null],
    ]),
  };
  const place = (name: string) => ({ namespace: 'sys', name });

  test('tells apart what is there, what is not, and what was not read', () => {
    const reads = new DeploymentReads(snapshot);
    expect(['envoy-gateway', 'gone', 'other'].map((name) => reads.peek(place(name)))).toEqual([
      running,
      null,
      undefined,
    ]);
    expect([[...reads.needed], reads.decided()]).toEqual([[], []]);
    expect(['envoy-gateway', 'gone', 'other', 'other'].map((name) => reads.read(place(name)))).toEqual([
      running,
      null,
      undefined,
      undefined,
    ]);
    expect([...reads.needed]).toEqual(['sys/other']);
  });

  test('a verdict rests on its spec, or on its existence alone', () => {
    const uid = 'Deployment:sys/envoy-gateway';
    const decided = (...args: Parameters<DeploymentReads['read']>) => {
      const reads = new DeploymentReads(snapshot);
      reads.read(...args);
      return reads.decided();
    };
    const controllerRead = { kind: 'Deployment', namespace: 'sys', name: 'envoy-gateway', uid };
    expect(decided(place('envoy-gateway'))).toStrictEqual([{ ...controllerRead, generation: 1 }]);
    expect(decided(place('envoy-gateway'), 'existence')).toStrictEqual([controllerRead]);
    expect(decided(place('gone'))).toStrictEqual([{ kind: 'Deployment', namespace: 'sys', name: 'gone' }]);
  });
});
