import { KEEP_ANNOTATION } from '../../functions/judgement/kubernetes-objects.ts';
import type { Choices } from '../choices.ts';
import { type Cluster, hpaNameOf, LAST_APPLIED } from './cluster.ts';
import { type EnvoyGateway, NOWHERE } from './envoy-gateway.ts';
import type { Installation } from './invariants.ts';

export const CLASS = 'eg';
export const SECOND_CLASS = 'second';
/** The EnvoyProxies: Gateways refer to the first, classes to the second. */
export const PROXIES = ['own', 'shared'] as const;

/** Something that a person does: what, and how often as often as others. */
type Action = readonly [weight: number, name: string, act: () => void];

/** One of the things that people can do now. @returns what they did */
export function act({ cluster, envoyGateway, gateways }: Installation, choices: Choices): string {
  return oneOf(
    [
      ...configuration(cluster, envoyGateway, gateways),
      ...ofHpas(cluster, gateways, choices),
      ...operations(envoyGateway),
    ],
    choices,
  );
}

/** A change that may leave an HPA behind; references are the hardest. @returns what it was */
export const giveUp = (installation: Installation, choices: Choices): string =>
  oneOf(matching(installation, choices, /^(turn .* off|remove|delete)/, /^remove the reference/), choices);

/** A change that may ask for an HPA again. @returns what it was */
export const takeBack = (installation: Installation, choices: Choices): string =>
  oneOf(matching(installation, choices, /^(turn .* on|put back|create)/, /^put back the reference/), choices);

/** What changes the configuration in one way, in half of all cases only in a narrower one. */
function matching(
  { cluster, envoyGateway, gateways }: Installation,
  choices: Choices,
  wide: RegExp,
  narrow: RegExp,
): Action[] {
  const actions = configuration(cluster, envoyGateway, gateways);
  const narrowed = choices.chance(50) ? actions.filter(([_, name]) => narrow.test(name)) : [];
  return narrowed.length > 0 ? narrowed : actions.filter(([_, name]) => wide.test(name));
}

function oneOf(actions: readonly Action[], choices: Choices): string {
  const [, name, action] = choices.weighted(actions) ?? [0, 'nothing', () => {}];
  action();
  return name;
}

function configuration(cluster: Cluster, envoyGateway: EnvoyGateway, gateways: readonly string[]): Action[] {
  const actions: Action[] = [];
  for (const [name, proxy] of cluster.proxies) {
    const isOn = proxy.spec?.provider?.kubernetes?.envoyHpa !== undefined;
    const word = isOn ? 'off' : 'on';
    actions.push([8, `turn autoscaling ${word} in EnvoyProxy ${name}`, () => cluster.setAutoscaling(name, !isOn)]);
  }
  const gatewayClass = cluster.classes.get(CLASS);
  if (gatewayClass) {
    const ref = gatewayClass.spec.parametersRef && 'shared';
    actions.push(
      ref
        ? [6, 'remove the reference of the class', () => cluster.setClassRef(CLASS, undefined)]
        : [8, 'put back the reference of the class', () => cluster.setClassRef(CLASS, 'shared')],
      [2, 'delete the class', () => cluster.deleteClass(CLASS)],
    );
  } else {
    actions.push([8, 'create the class again', () => cluster.createClass(CLASS, 'shared')]);
  }
  for (const name of gateways) {
    const gateway = cluster.gateways.get(name);
    if (gateway === undefined) {
      actions.push(
        [6, `create Gateway ${name} again`, () => cluster.createGateway(name, CLASS, undefined)],
        [2, `create Gateway ${name} again with its own EnvoyProxy`, () => cluster.createGateway(name, CLASS, 'own')],
      );
      continue;
    }
    actions.push(
      gateway.spec.infrastructure
        ? [6, `remove the reference of Gateway ${name}`, () => cluster.setGatewayRef(name, undefined)]
        : [5, `put back the reference of Gateway ${name}`, () => cluster.setGatewayRef(name, 'own')],
      [3, `delete Gateway ${name}`, () => cluster.deleteGateway(name)],
      [1, `refresh the status of Gateway ${name}`, () => envoyGateway.refreshStatus(name)],
    );
  }
  for (const object of [...cluster.gateways.values(), ...cluster.classes.values(), ...cluster.proxies.values()]) {
    const isProtected = object.metadata.annotations?.[KEEP_ANNOTATION] === 'true';
    const name = `${isProtected ? 'unprotect' : 'protect'} ${object.metadata.name}`;
    actions.push([isProtected ? 6 : 1, name, () => cluster.protect(object, !isProtected)]);
  }
  const second = cluster.classes.get(SECOND_CLASS);
  if (second?.spec.parametersRef) {
    actions.push([4, 'repair the second class', () => cluster.setClassRef(SECOND_CLASS, undefined)]);
  } else if (second) {
    actions.push([2, 'let the second class dangle', () => cluster.setClassRef(SECOND_CLASS, NOWHERE)]);
  }
  if (envoyGateway.release === 'v1.9.1') {
    const isOn = cluster.defaultIsOn;
    actions.push([isOn ? 6 : 2, `turn the default ${isOn ? 'off' : 'on'}`, () => cluster.setDefault(!isOn)]);
  }
  return actions;
}

function ofHpas(cluster: Cluster, gateways: readonly string[], choices: Choices): Action[] {
  return gateways.flatMap((gateway): Action[] => {
    const name = hpaNameOf(gateway);
    const hpa = cluster.hpas.get(name);
    const copy = `copy-of-${gateway}`;
    const copied: Action[] = cluster.hpas.has(copy)
      ? []
      : [[1, `create an HPA with the labels of ${gateway}`, () => cluster.createOwnHpa(copy, gateway)]];
    if (hpa === undefined) {
      return [...copied, [1, `create the HPA of ${gateway} by hand`, () => cluster.createOwnHpa(name, gateway)]];
    }
    const force = () => {
      cluster.removeHpa(name);
      cluster.createOwnHpa(name, gateway);
    };
    const remove = () => {
      cluster.removeHpa(name);
      cluster.lost.set(name, 'somebody deleted it');
    };
    const isProtected = hpa.metadata.annotations?.[KEEP_ANNOTATION] === 'true';
    return [
      ...copied,
      [8, `scale ${gateway}`, () => cluster.writeHpaStatus(name, 2 + choices.pick(4))],
      [2, `replace the HPA of ${gateway}`, () => cluster.replaceHpa(name, 5 + choices.pick(4))],
      [1, `replace the HPA of ${gateway} by force`, force],
      [1, `apply the HPA of ${gateway} with kubectl`, () => cluster.annotateHpa(name, { [LAST_APPLIED]: '{}' })],
      [1, `delete the HPA of ${gateway}`, remove],
      isProtected
        ? [3, `unprotect the HPA of ${gateway}`, () => cluster.annotateHpa(name, { [KEEP_ANNOTATION]: null })]
        : [1, `protect the HPA of ${gateway}`, () => cluster.annotateHpa(name, { [KEEP_ANNOTATION]: 'true' })],
    ];
  });
}

function operations(envoyGateway: EnvoyGateway): Action[] {
  const set = (state: EnvoyGateway['state']) => () => {
    envoyGateway.state = state;
  };
  const upgrade: Action = [2, 'upgrade Envoy Gateway to v1.9.1', () => envoyGateway.upgrade()];
  if (envoyGateway.state === 'down') return [[12, 'start Envoy Gateway', () => envoyGateway.restart()]];
  return [
    envoyGateway.state === 'paused'
      ? [12, 'resume Envoy Gateway', set('running')]
      : [6, 'pause Envoy Gateway', set('paused')],
    [2, 'restart Envoy Gateway', () => envoyGateway.restart()],
    [2, 'stop Envoy Gateway', set('down')],
    ...(envoyGateway.release === 'v1.9.1' ? [] : [upgrade]),
  ];
}
