import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import {
  type EnvoyGatewaySettings,
  readEnvoyGatewayConfig,
} from '../../../functions/judgement/envoy-gateway-config.ts';
import { DELETE_REASONS, judge, KEEP_REASONS, type Verdict } from '../../../functions/judgement/judge.ts';
import type {
  ConfigMap,
  EnvoyProxy,
  EnvoyProxySpec,
  Gateway,
  GatewayClass,
  HorizontalPodAutoscaler,
} from '../../../functions/judgement/kubernetes-objects.ts';
import { missingHpas } from '../../../functions/judgement/missing.ts';
import type { Snapshot } from '../../../functions/judgement/snapshot.ts';
import { clusterPlan, NOW, snapshotOfPlan } from '../../builders/arbitrary-cluster.ts';
import { autoscaling, controller, envoyGatewayConfig, envoyHpa, hashedNameOf } from '../../builders/cluster.ts';

/**
 * Twenty properties, each over 11,000 generated clusters (four of them over a quarter, with six lists of namespaces each). What
 * fails prints its seed and the shrunk plan of the cluster; give both as `{ seed, path }` to fc.assert to see it again. Another
 * seed: FAST_CHECK_SEED=7 npx vitest run judge.property
 */
const SEED = Number(process.env.FAST_CHECK_SEED ?? 20260101);
const RUNS = Number(process.env.PROPERTY_RUNS ?? 1_000);
vi.setConfig({ testTimeout: 120_000 });

const onEveryCluster = (holds: (snapshot: Snapshot, verdicts: Verdict[]) => void, runs = RUNS) =>
  fc.assert(
    fc.property(clusterPlan, (plan) => {
      const snapshot = snapshotOfPlan(plan);
      holds(snapshot, judge(snapshot));
    }),
    { seed: SEED, numRuns: runs },
  );
const onEveryDeletion = (holds: (verdict: Verdict, snapshot: Snapshot, verdicts: Verdict[]) => void) =>
  onEveryCluster((snapshot, verdicts) => {
    for (const verdict of verdicts) if (verdict.action === 'delete') holds(verdict, snapshot, verdicts);
  });

/** Says which verdict broke the property; expect() 110,000 times would cost more than the judgement. */
function must(condition: boolean, what: string, { hpa, action, reason, explanation }: Verdict): void {
  if (!condition) throw new Error(`${what}: ${placeOf(hpa)}: ${action} ${reason}: ${explanation}`);
}

const placeOf = ({ metadata }: HorizontalPodAutoscaler) => `${metadata.namespace}/${metadata.name}`;
const targetOf = ({ metadata, spec }: HorizontalPodAutoscaler) => `${metadata.namespace}/${spec.scaleTargetRef.name}`;
const isGone = ({ hpa }: Verdict, { deployments }: Snapshot) =>
  hpa.spec.scaleTargetRef.kind === 'Deployment' &&
  hpa.spec.scaleTargetRef.apiVersion === 'apps/v1' &&
  deployments.get(targetOf(hpa)) === null;

// A second, smaller opinion on what Envoy Gateway wants, from design §2 alone and with none of the product's functions.

/** `shop/web`, `eg`, or `rate limit of envoy-gateway-system`; undefined for what is not labeled by exactly one owner. */
function ownerOf({ metadata }: HorizontalPodAutoscaler): string | undefined {
  const label = (name: string) => metadata.labels?.[`gateway.envoyproxy.io/owning-${name}`] ?? '';
  const ofGateway = label('gateway-name') && label('gateway-namespace');
  const ofClass = label('gatewayclass');
  const isOfRateLimit =
    metadata.labels?.['app.kubernetes.io/name'] === 'envoy-ratelimit' &&
    metadata.labels['app.kubernetes.io/component'] === 'ratelimit' &&
    metadata.labels['app.kubernetes.io/managed-by'] === 'envoy-gateway';
  const isOfGateway = Boolean(label('gateway-name') || label('gateway-namespace'));
  if (Number(isOfRateLimit) + Number(Boolean(ofClass)) + Number(isOfGateway) > 1) return undefined;
  if (isOfRateLimit) return `${RATE_LIMIT}${metadata.namespace}`;
  if (ofClass) return ofClass;
  return ofGateway ? `${label('gateway-namespace')}/${label('gateway-name')}` : undefined;
}
const RATE_LIMIT = 'rate limit of ';
const isApplied = ({ metadata }: HorizontalPodAutoscaler) =>
  metadata.managedFields?.some(
    (entry) => entry.manager === 'envoy-gateway' && entry.operation === 'Apply' && entry.subresource === undefined,
  ) ?? false;

/** What one Envoy Gateway makes of one owner. */
type Opinion =
  | { says: 'unknown' | 'other owner' }
  | { says: 'no autoscaling'; usesDefaultProxy: boolean; namespace: string }
  | { says: 'autoscaling'; places: string[]; isBeyondIt?: boolean };

/** Refused for its parameters: ListenersNotValid and UnsupportedAddress are about something else. */
const isNotAccepted = ({ status }: Gateway | GatewayClass) =>
  status?.conditions?.some(
    ({ type, status, reason = '' }) =>
      type === 'Accepted' && status === 'False' && !/^(ListenersNotValid|UnsupportedAddress)$/.test(reason),
  ) ?? false;

/** Envoy Gateway's own Deployment, as far as it is known. */
function installedIn(namespace: string, { deployments }: Snapshot) {
  const found = deployments.get(`${namespace}/envoy-gateway`);
  const minor = /^v1\.(\d+)\./.exec(found?.metadata.labels?.['app.kubernetes.io/version'] ?? '')?.[1];
  const configMap = found?.spec?.template?.spec?.volumes?.[0]?.configMap?.name ?? 'envoy-gateway-config';
  return {
    isRead: found !== undefined,
    minor: minor === undefined ? undefined : Number(minor),
    readsAnother: configMap !== 'envoy-gateway-config',
  };
}

/** The EnvoyProxies in force, most specific first: what the first does not say, the next one may. */
function inForce(own?: EnvoyProxySpec, ofClass?: EnvoyProxySpec, fallback?: EnvoyProxySpec): EnvoyProxySpec[] {
  const inherits = (mergeType: EnvoyProxySpec['mergeType']) =>
    mergeType === 'StrategicMerge' || mergeType === 'JSONMerge';
  const upper = own ? (ofClass && inherits(own.mergeType) ? [own, ofClass] : [own]) : ofClass ? [ofClass] : [];
  const isOpen = upper.length === 0 || inherits(ofClass?.mergeType ?? own?.mergeType);
  return fallback && isOpen ? [...upper, fallback] : upper;
}

/** The metadata of a patch's raw JSON, in which null takes away what lies below. */
type Patched = { name?: string; namespace?: string } | null;

/** Of specs that lie over each other, the most specific first. */
function patchedBy(specs: readonly EnvoyProxySpec[]): Patched | undefined {
  const all = specs.map(
    (spec) => (spec.provider?.kubernetes?.envoyHpa?.patch?.value as { metadata?: Patched } | undefined)?.metadata,
  ) as (Patched | undefined)[];
  const [lowest, ...above] = all.reverse();
  let patched = lowest;
  for (const metadata of above)
    patched = metadata === null ? undefined : metadata ? { ...patched, ...metadata } : patched;
  return patched;
}

/** A strategic merge of two patches of one object fails: then the Gateway gets no EnvoyProxy. */
function cannotBeMerged(own?: EnvoyProxySpec, ofClass?: EnvoyProxySpec, fallback?: EnvoyProxySpec): boolean {
  const fails = (upper: EnvoyProxySpec[], lower: EnvoyProxySpec) =>
    Boolean(patchedBy(upper)) && Boolean(patchedBy([lower]));
  const upper = inForce(own, ofClass);
  const ofUpper = own && ofClass && own.mergeType === 'StrategicMerge' && fails([own], ofClass);
  const isStrategic = (ofClass?.mergeType ?? own?.mergeType) === 'StrategicMerge';
  return Boolean(ofUpper || (fallback && upper.length > 0 && isStrategic && fails(upper, fallback)));
}

function opinion(
  owner: string,
  gatewayClass: GatewayClass,
  settings: EnvoyGatewaySettings,
  namespace: string,
  snapshot: Snapshot,
): Opinion {
  const proxyOf = (reference: { group: string; kind: string; name: string } | null | undefined, from: string) => {
    if (!reference) return { spec: undefined, missing: false };
    const proxy = snapshot.envoyProxies.find(
      ({ metadata }) => metadata.namespace === from && metadata.name === reference.name,
    );
    return reference.kind === 'EnvoyProxy' && reference.group === 'gateway.envoyproxy.io' && proxy
      ? { spec: proxy.spec ?? {}, missing: false }
      : { spec: undefined, missing: true };
  };
  const { parametersRef } = gatewayClass.spec;
  const ofClass = proxyOf(parametersRef, parametersRef?.namespace ?? 'default');
  const merges = ofClass.spec?.mergeGateways ?? settings.defaultProxy?.mergeGateways ?? false;
  const isOfGateway = owner.includes('/');
  const { minor, readsAnother } = installedIn(namespace, snapshot);
  if (readsAnother || (ofClass.spec?.mergeGateways && settings.gatewayNamespaceMode)) {
    return { says: 'unknown' };
  }
  const served = snapshot.gateways.filter(({ metadata, spec }) =>
    isOfGateway
      ? `${metadata.namespace}/${metadata.name}` === owner
      : spec.gatewayClassName === gatewayClass.metadata.name,
  );
  const ownProxyOf = ({ metadata, spec }: Gateway) => proxyOf(spec.infrastructure?.parametersRef, metadata.namespace);
  if (ofClass.missing || isNotAccepted(gatewayClass)) {
    // From v1.7 on a Gateway is served all the same whose own EnvoyProxy takes nothing from that of its class.
    const { spec } = isOfGateway && served[0] ? ownProxyOf(served[0]) : {};
    const takesNothing = spec && parametersRef && !merges && !/Merge$/.test(spec.mergeType ?? '');
    if (!takesNothing || minor === undefined || minor < 7) return { says: 'unknown' };
  }
  const accepted = served.filter(
    (gateway) =>
      !isNotAccepted(gateway) &&
      !(gateway.spec.infrastructure?.parametersRef && ofClass.spec?.mergeGateways) &&
      (merges || !ownProxyOf(gateway).missing),
  );
  if (served.length > 0 && accepted.length === 0) return { says: 'unknown' };
  if (served.length === 0 || merges === isOfGateway) return { says: 'other owner' };

  const [gateway] = accepted as [Gateway];
  const own = isOfGateway ? ownProxyOf(gateway).spec : undefined;
  if (cannotBeMerged(own, ofClass.spec, settings.defaultProxy)) return { says: 'unknown' };
  const levels = inForce(own, ofClass.spec, settings.defaultProxy);
  const provider = levels.map((spec) => spec.provider?.type).find((type) => type !== undefined);
  if (provider !== undefined && provider !== 'Kubernetes') return { says: 'unknown' };
  const isSet = (component: 'envoyDaemonSet' | 'envoyDeployment') =>
    levels.some((spec) => spec.provider?.kubernetes?.[component] !== undefined);
  if (isSet('envoyDaemonSet') && !isSet('envoyDeployment')) return { says: 'other owner' };
  const asking = levels.map((spec) => spec.provider?.kubernetes?.envoyHpa).filter((hpa) => hpa !== undefined);
  if (asking.length === 0) {
    const anyDefault = {};
    return {
      says: 'no autoscaling',
      usesDefaultProxy: inForce(own, ofClass.spec, anyDefault).includes(anyDefault),
      namespace,
    };
  }

  const patched = patchedBy(levels);
  if (patched === null) return { says: 'autoscaling', places: [] }; // Envoy Gateway cannot make an HPA without metadata.
  const isBeside = settings.gatewayNamespaceMode;
  const chosen = asking.map((hpa) => hpa?.name).find((value) => value !== undefined);
  const isOld = minor === undefined || minor < 5;
  const isNew = minor === undefined || minor >= 5;
  // v1.4 and before ignore a chosen name, and hash every other.
  const namesBy = (plain: string) =>
    patched?.name ? [patched.name] : [...(isOld ? [hashedNameOf(owner)] : []), ...(isNew ? [chosen ?? plain] : [])];
  const sites = isBeside
    ? served.map(({ metadata }) => ({ where: metadata.namespace, plain: metadata.name }))
    : [{ where: namespace, plain: hashedNameOf(owner) }];
  const places = sites.flatMap(({ where, plain }) =>
    namesBy(plain).map((name) => `${patched?.namespace ?? where}/${name}`),
  );
  // A default counts from v1.7 on.
  const isBeyondIt = minor !== undefined && minor < 7 && levels.some((level) => level === settings.defaultProxy);
  return { says: 'autoscaling', places, isBeyondIt };
}

/** The rate limit service is configured in the ConfigMap of its namespace, whatever class that one serves. */
function opinionOnRateLimit(namespace: string, snapshot: Snapshot): Opinion {
  const config = snapshot.envoyGatewayConfigs.find(({ configMap }) => configMap.metadata.namespace === namespace);
  if (!config || 'unreadable' in config.settings) return { says: 'unknown' };
  if (installedIn(namespace, snapshot).readsAnother) return { says: 'unknown' };
  const { rateLimit } = config.settings;
  if (!rateLimit) return { says: 'other owner' };
  if (!rateLimit.hpa) return { says: 'no autoscaling', usesDefaultProxy: false, namespace };
  const { minor } = installedIn(namespace, snapshot);
  const isOld = minor === undefined || minor < 5;
  const isNew = minor === undefined || minor >= 5;
  const names = [...(isOld ? ['envoy-ratelimit'] : []), ...(isNew ? [rateLimit.hpa.name ?? 'envoy-ratelimit'] : [])];
  return { says: 'autoscaling', places: names.map((name) => `${namespace}/${name}`) };
}

/** The class of a Gateway, or the class itself. */
function classOf(owner: string, { gateways, gatewayClasses }: Snapshot): GatewayClass | undefined {
  const className = owner.includes('/')
    ? gateways.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === owner)?.spec.gatewayClassName
    : owner;
  return gatewayClasses.find(({ metadata }) => metadata.name === className);
}

/** The Envoy Gateways that may serve this owner. */
function installationsOf(owner: string, snapshot: Snapshot): Snapshot['envoyGatewayConfigs'] {
  const { envoyGatewayConfigs } = snapshot;
  if (owner.startsWith(RATE_LIMIT)) {
    return envoyGatewayConfigs.filter(({ configMap }) => owner === `${RATE_LIMIT}${configMap.metadata.namespace}`);
  }
  const name = classOf(owner, snapshot)?.spec.controllerName;
  return envoyGatewayConfigs.filter(({ settings }) => 'unreadable' in settings || settings.controllerName === name);
}

/** What Envoy Gateway must have looked at: the Gateway or all of the class, and the class. */
function observedFor(owner: string, snapshot: Snapshot): (Gateway | GatewayClass)[] {
  if (owner.startsWith(RATE_LIMIT)) return [];
  const gateways = snapshot.gateways.filter(({ metadata, spec }) =>
    owner.includes('/') ? `${metadata.namespace}/${metadata.name}` === owner : spec.gatewayClassName === owner,
  );
  return [...gateways, classOf(owner, snapshot)].filter((object) => object !== undefined);
}

/** A controller has said whether it takes it, and nothing that one has said is of an older generation. */
function isSeen(object: Gateway | GatewayClass): boolean {
  const listeners = 'listeners' in (object.status ?? {}) ? (object as Gateway).status?.listeners : [];
  const own = object.status?.conditions?.filter(({ status }) => status !== 'Unknown') ?? [];
  const all = [...own, ...(listeners ?? []).flatMap(({ conditions }) => conditions ?? [])];
  return (
    own.some(({ type }) => type === 'Accepted') &&
    all.every(({ observedGeneration }) => observedGeneration === object.metadata.generation)
  );
}

const leadsNowhere = (reference: GatewayClass['spec']['parametersRef'], { envoyProxies }: Snapshot) =>
  Boolean(reference) &&
  !(
    reference?.kind === 'EnvoyProxy' &&
    reference.group === 'gateway.envoyproxy.io' &&
    envoyProxies.some(
      ({ metadata }) => metadata.name === reference.name && metadata.namespace === (reference.namespace ?? 'default'),
    )
  );

/** An Envoy Gateway of an unknown version, or older than v1.4, and a class of its controller that is refused for its parameters. */
function mayBeStuck(owner: string, snapshot: Snapshot): boolean {
  return installationsOf(owner, snapshot).some(({ settings, configMap }) => {
    if ('unreadable' in settings) return false;
    const { minor } = installedIn(configMap.metadata.namespace, snapshot);
    const controllerName = classOf(owner, snapshot)?.spec.controllerName ?? settings.controllerName;
    const isRefused = snapshot.gatewayClasses.some(
      ({ spec, status }) =>
        spec.controllerName === controllerName &&
        (leadsNowhere(spec.parametersRef, snapshot) ||
          status?.conditions?.some(
            ({ status, reason = 'InvalidParameters' }) => status === 'False' && reason === 'InvalidParameters',
          )),
    );
    return isRefused && (minor === undefined || minor < 4);
  });
}

const isEveryControllerRead = (owner: string, snapshot: Snapshot) =>
  installationsOf(owner, snapshot).every(({ configMap }) => installedIn(configMap.metadata.namespace, snapshot).isRead);

/** What every Envoy Gateway that may serve this owner makes of it; unknown where one cannot be read or there is none. */
function opinions(owner: string, snapshot: Snapshot): Opinion[] {
  if (owner.startsWith(RATE_LIMIT)) return [opinionOnRateLimit(owner.slice(RATE_LIMIT.length), snapshot)];
  const gatewayClass = classOf(owner, snapshot);
  if (!gatewayClass) return [{ says: 'unknown' }];
  const all = snapshot.envoyGatewayConfigs.flatMap(({ settings, configMap }): Opinion[] => {
    if ('unreadable' in settings) return [{ says: 'unknown' }];
    if (settings.controllerName !== gatewayClass.spec.controllerName) return [];
    return [opinion(owner, gatewayClass, settings, configMap.metadata.namespace, snapshot)];
  });
  return all.length === 0 ? [{ says: 'unknown' }] : all;
}

/** Whether a default counts, and it is not known that of the HPA's own Envoy Gateway: that one's ConfigMap is missing. */
function mayHaveAnotherDefault({ metadata }: HorizontalPodAutoscaler, owner: string, snapshot: Snapshot): boolean {
  if (owner.startsWith(`${metadata.namespace}/`)) return false; // In GatewayNamespace mode the place does not tell.
  const isBeside = snapshot.gateways.some(
    (gateway) => gateway.spec.gatewayClassName === owner && gateway.metadata.namespace === metadata.namespace,
  );
  const isInMode = installationsOf(owner, snapshot).some(
    ({ settings }) => 'gatewayNamespaceMode' in settings && settings.gatewayNamespaceMode,
  );
  if (isBeside && isInMode) return false;
  const none = opinions(owner, snapshot).filter((each) => each.says === 'no autoscaling');
  return none.some((each) => each.usesDefaultProxy) && none.every(({ namespace }) => namespace !== metadata.namespace);
}

/** Every live owner's wish: one HPA, at one of these places (two only in GatewayNamespace mode). */
function wishes(snapshot: Snapshot): { owner: string; places: string[] }[] {
  const owners = [
    ...snapshot.gateways.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    ...snapshot.gatewayClasses.map(({ metadata }) => metadata.name),
    ...snapshot.envoyGatewayConfigs.map(({ configMap }) => `${RATE_LIMIT}${configMap.metadata.namespace}`),
  ];
  return owners.flatMap((owner) =>
    opinions(owner, snapshot).flatMap((each) => (each.says === 'autoscaling' ? [{ owner, places: each.places }] : [])),
  );
}

describe('no HPA is deleted', () => {
  test('without both marks of ownership', () => {
    onEveryDeletion((verdict) => {
      must(ownerOf(verdict.hpa) !== undefined, 'not labeled by exactly one owner', verdict);
      must(isApplied(verdict.hpa), 'never applied by Envoy Gateway', verdict);
    });
  });

  test('that a live owner expects', () => {
    onEveryDeletion((verdict, snapshot, verdicts) => {
      const place = placeOf(verdict.hpa);
      for (const { places } of wishes(snapshot).filter((wish) => wish.places.includes(place))) {
        const other = verdicts.find(({ hpa }) => places.includes(placeOf(hpa)) && placeOf(hpa) !== place);
        // In GatewayNamespace mode v1.4 and v1.5 expect different names: one of the two may go, if its Deployment is gone.
        const isTheOtherName = isGone(verdict, snapshot) && other?.action === 'keep';
        must(isTheOtherName, 'expected by a live owner', verdict);
      }
    });
  });

  test('whose effective envoyHpa is present, but for another HPA that is there and stays', () => {
    onEveryDeletion((verdict, snapshot, verdicts) => {
      const owner = ownerOf(verdict.hpa) as string;
      for (const each of opinions(owner, snapshot)) {
        if (each.says !== 'autoscaling') continue;
        const anotherStays = verdicts.some(
          ({ hpa, action }) =>
            action === 'keep' && each.places.includes(placeOf(hpa)) && ownerOf(hpa) === owner && isApplied(hpa),
        );
        must(anotherStays, 'its owner asks for autoscaling, and no other HPA stays', verdict);
      }
    });
  });

  test('where anything that it rests on could not be read, unless its Deployment is gone', () => {
    onEveryDeletion((verdict, snapshot) => {
      const owner = ownerOf(verdict.hpa) as string;
      const isKnown =
        opinions(owner, snapshot).every((each) => each.says !== 'unknown') &&
        (verdict.reason === 'Renamed' || !mayHaveAnotherDefault(verdict.hpa, owner, snapshot));
      must(isKnown || isGone(verdict, snapshot), 'not all is known, and the Deployment is not gone', verdict);
    });
  });

  test('while its Deployment exists, for any reason but two', () => {
    onEveryDeletion((verdict, snapshot) => {
      const needsNoDeployment = ['AutoscalingRemoved', 'Renamed'].includes(verdict.reason);
      must(needsNoDeployment || isGone(verdict, snapshot), 'the Deployment is not gone', verdict);
    });
  });

  test('while its Deployment exists, and its Gateway (any of its class) or its class is at a generation that was not seen', () => {
    onEveryDeletion((verdict, snapshot) => {
      const objects = observedFor(ownerOf(verdict.hpa) as string, snapshot);
      must(isGone(verdict, snapshot) || objects.every(isSeen), 'not seen, and the Deployment is not gone', verdict);
    });
  });

  test('while its Deployment exists, and a refused class may have stopped an Envoy Gateway that is old or not known', () => {
    onEveryDeletion((verdict, snapshot) => {
      const isStuck = mayBeStuck(ownerOf(verdict.hpa) as string, snapshot);
      must(isGone(verdict, snapshot) || !isStuck, 'stuck, and the Deployment is not gone', verdict);
    });
  });

  test("while its Deployment exists, and Envoy Gateway's own was not looked at", () => {
    onEveryDeletion((verdict, snapshot) => {
      const isRead = isEveryControllerRead(ownerOf(verdict.hpa) as string, snapshot);
      must(isGone(verdict, snapshot) || isRead, 'not read, and the Deployment is not gone', verdict);
    });
  });

  test('that is annotated, or belongs to what is annotated', () => {
    const protect = <T extends { metadata: object }>(objects: readonly T[]): T[] =>
      objects.map((object) => ({
        ...object,
        metadata: { ...object.metadata, annotations: { 'envoy-hpa-reaper/keep': 'true' } },
      }));
    onEveryCluster((snapshot, verdicts) => {
      for (const verdict of judge({ ...snapshot, hpas: protect(snapshot.hpas) })) {
        must(verdict.action === 'keep', 'annotated', verdict);
      }
      const { gateways, gatewayClasses, envoyProxies } = snapshot;
      const others: Partial<Snapshot>[] = [
        { gateways: protect(gateways) },
        { gatewayClasses: protect(gatewayClasses) },
        { envoyProxies: protect(envoyProxies) },
      ];
      const configs = snapshot.envoyGatewayConfigs.map((config) => ({
        ...config,
        configMap: protect([config.configMap])[0] as ConfigMap,
      }));
      for (const verdict of judge({ ...snapshot, envoyGatewayConfigs: configs })) {
        const isOfConfig = verdict.restsOn.some(({ kind, uid }) => kind === 'ConfigMap' && uid !== undefined);
        const isKept = verdict.action === 'keep' || verdict.owner?.kind !== 'ConfigMap' || !isOfConfig;
        must(isKept, 'annotated ConfigMap, on which it rests', verdict);
      }
      for (const over of others) {
        const [kind] = Object.keys(over);
        judge({ ...snapshot, ...over }).forEach((verdict, index) => {
          const before = verdicts[index] as Verdict;
          if (verdict.action === 'keep') return;
          // Protection only ever keeps: what is deleted nevertheless has nothing to do with what is annotated.
          must(before.action === 'delete' && before.reason === verdict.reason, `annotated ${kind}`, verdict);
          const objects = kind === 'gateways' ? 'Gateway' : kind === 'gatewayClasses' ? 'GatewayClass' : 'EnvoyProxy';
          const rests = verdict.restsOn.filter((object) => object.kind === objects && object.uid !== undefined);
          must(rests.length === 0, `annotated ${kind}, on which it rests`, verdict);
        });
      }
    });
  });
});

describe('with a list of controller namespaces', () => {
  const LISTS = [['sys'], ['sys2'], ['sys', 'sys2'], ['a'], ['sys', 'a'], ['elsewhere']];
  const isBesideGateway = ({ hpa, owner }: Verdict, { gateways }: Snapshot) =>
    owner?.kind === 'Gateway'
      ? owner.namespace === hpa.metadata.namespace
      : gateways.some(
          ({ metadata, spec }) =>
            spec.gatewayClassName === owner?.name && metadata.namespace === hpa.metadata.namespace,
        );
  const onEveryList = (
    holds: (listed: Verdict, context: { whole: Verdict; alone: Verdict; snapshot: Snapshot; list: string[] }) => void,
  ) =>
    onEveryCluster((snapshot, verdicts) => {
      for (const list of LISTS) {
        const listedConfigs = snapshot.envoyGatewayConfigs.filter(({ configMap }) =>
          list.includes(configMap.metadata.namespace),
        );
        const alone = judge({ ...snapshot, envoyGatewayConfigs: listedConfigs });
        judge({ ...snapshot, controllerNamespaces: list }).forEach((verdict, index) => {
          holds(verdict, { whole: verdicts[index] as Verdict, alone: alone[index] as Verdict, snapshot, list });
        });
      }
    }, RUNS / 4);

  test('nothing is deleted that is not deleted with the ConfigMaps of the list alone', () => {
    onEveryList((listed, { alone }) => {
      must(listed.action === 'keep' || alone.action === 'delete', 'deleted by a ConfigMap elsewhere', listed);
    });
  });

  test('nothing outside of these namespaces is deleted that is not deleted without the list', () => {
    let left = 0;
    onEveryList((listed, { whole, alone, snapshot, list }) => {
      if (list.includes(listed.hpa.metadata.namespace) && !isBesideGateway(listed, snapshot)) return;
      must(listed.action === 'keep' || whole.action === 'delete', 'deleted because of the list', listed);
      if (alone.action === 'delete' && whole.action === 'keep') left += 1;
    });
    expect(left).toBeGreaterThan(0);
  });

  test('nothing within them is deleted that any ConfigMap asks for on behalf of its owner, but by a patched namespace', () => {
    let more = 0;
    onEveryList((listed, { whole, snapshot }) => {
      if (listed.action === 'keep' || whole.action === 'delete') return;
      more += 1;
      const isPatched = JSON.stringify(snapshot).includes('"metadata":{"namespace":"sys"}');
      const isAskedFor = wishes(snapshot).some(
        ({ owner, places }) => owner === ownerOf(listed.hpa) && places.includes(placeOf(listed.hpa)),
      );
      must(isPatched || !isAskedFor, 'asked for by a ConfigMap that is not in the list', listed);
    });
    expect(more).toBeGreaterThan(0);
  });

  test('a class that no ConfigMap of the list names keeps every HPA whose Deployment is not gone', () => {
    onEveryList((listed, { snapshot, list }) => {
      if (snapshot.envoyGatewayConfigs.some(({ configMap }) => list.includes(configMap.metadata.namespace))) return;
      must(listed.action === 'keep' || isGone(listed, snapshot), 'deleted without any configuration', listed);
    });
  });
});

test('every HPA is deleted that a fully known configuration asks for no more, and that nothing protects', () => {
  const isHeld = ({ metadata }: HorizontalPodAutoscaler) =>
    metadata.finalizers !== undefined ||
    metadata.ownerReferences !== undefined ||
    metadata.labels?.['kapp.k14s.io/app'] !== undefined ||
    metadata.managedFields?.some(
      ({ manager, fieldsV1 }) => manager !== 'envoy-gateway' && JSON.stringify(fieldsV1).includes('f:scaleTargetRef'),
    );
  let stale = 0;
  onEveryCluster((snapshot, verdicts) => {
    const { gateways, gatewayClasses, envoyProxies, envoyGatewayConfigs } = snapshot;
    const specs = JSON.stringify([
      envoyProxies.map(({ spec }) => spec),
      envoyGatewayConfigs.map((each) => each.settings),
    ]);
    for (const verdict of verdicts) {
      const { hpa } = verdict;
      const owner = ownerOf(hpa);
      if (owner === undefined || !isApplied(hpa) || isHeld(hpa)) continue;
      const objects = [...gateways, ...gatewayClasses, ...envoyProxies, hpa];
      if (objects.some(({ metadata }) => metadata.deletionTimestamp || metadata.annotations)) continue;
      if (specs.includes(`"name":"${hpa.metadata.name}"`)) continue; // Another owner may ask for it by name.
      if (!opinions(owner, snapshot).every(({ says }) => says === 'no autoscaling')) continue;
      const hasAnotherDefault = mayHaveAnotherDefault(hpa, owner, snapshot);
      if (hasAnotherDefault && !isGone(verdict, snapshot)) continue;
      const isObserved =
        observedFor(owner, snapshot).every(isSeen) &&
        !mayBeStuck(owner, snapshot) &&
        isEveryControllerRead(owner, snapshot);
      if (!hasAnotherDefault && !isObserved) {
        must(verdict.reason === 'NotObserved', 'it is not observed', verdict);
        continue;
      }
      stale += 1;
      must(verdict.action === 'delete' && verdict.reason === 'AutoscalingRemoved', 'it is stale', verdict);
    }
  });
  expect(stale).toBeGreaterThan(RUNS / 20);
});

/**
 * What somebody can make who may write one namespace: Envoy Gateway's ConfigMap and Deployment, and HPAs as if Envoy Gateway
 * had made them.
 */
const tenantPlan = fc.record({
  config: fc.option(
    fc.record({
      controllerName: fc.constantFrom('one', 'two', 'vendor'),
      gatewayNamespaceMode: fc.boolean(),
      envoyProxy: fc.constantFrom(undefined, {}, { mergeGateways: true }, autoscaling(), autoscaling({ name: 'n' })),
      rateLimit: fc.constantFrom(undefined, {}, { rateLimitHpa: {} }),
      text: fc.constantFrom(undefined, 'kind: ['),
    }),
    { nil: undefined, freq: 4 },
  ),
  controller: fc.constantFrom(null, controller({ namespace: 'tenant', version: 'v1.9.1' })),
  hpas: fc.uniqueArray(
    fc.record({ owner: fc.constantFrom('a/w', 'a/x', 'b/w', 'c', 'd'), name: fc.constantFrom('n', 'w', 'hashed') }),
    { maxLength: 3, selector: ({ owner, name }) => (name === 'hashed' ? owner : name) },
  ),
});

test('a tenant makes no HPA go that is kept without them, where an Envoy Gateway is known to serve its class', () => {
  fc.assert(
    fc.property(clusterPlan, tenantPlan, (plan, { config, hpas, controller: ofTenant }) => {
      const snapshot = snapshotOfPlan(plan);
      const forged = hpas.map(({ owner, name }) =>
        envoyHpa(owner, { at: `tenant/${name === 'hashed' ? hashedNameOf(owner) : name}` }),
      );
      const after = judge({
        ...snapshot,
        hpas: [...snapshot.hpas, ...forged],
        deployments: new Map([...snapshot.deployments, ['tenant/envoy-gateway', ofTenant]]),
        envoyGatewayConfigs: [
          ...snapshot.envoyGatewayConfigs,
          ...(config ? [readEnvoyGatewayConfig(envoyGatewayConfig({ ...config, namespace: 'tenant' }))] : []),
        ],
      });
      for (const [index, before] of judge(snapshot).entries()) {
        const isUnserved = before.explanation.startsWith('No ConfigMap of an Envoy Gateway names');
        const verdict = after[index] as Verdict;
        must(before.action === 'delete' || isUnserved || verdict.action === 'keep', 'kept without the tenant', verdict);
      }
    }),
    { seed: SEED, numRuns: RUNS },
  );
});

describe('the judgement', () => {
  const shuffled = (snapshot: Snapshot): Snapshot => ({
    ...snapshot,
    hpas: snapshot.hpas.toReversed(),
    gatewayClasses: snapshot.gatewayClasses.toReversed(),
    gateways: snapshot.gateways.toReversed(),
    envoyProxies: snapshot.envoyProxies.toReversed(),
    envoyGatewayConfigs: snapshot.envoyGatewayConfigs.toReversed(),
  });
  const sameReason = (a: Verdict, b: Verdict | undefined) => a.action === b?.action && a.reason === b.reason;

  test('is the same every time, and does not depend on the order of the lists', () => {
    onEveryCluster((snapshot, verdicts) => {
      const again = judge(snapshot);
      const reversed = judge(shuffled(snapshot)).toReversed();
      verdicts.forEach((verdict, index) => {
        must(JSON.stringify(verdict) === JSON.stringify(again[index]), 'not the same again', verdict);
        const single = snapshot.envoyGatewayConfigs.length === 1;
        // Of several Envoy Gateways that all say "stale", the first one's reason is told.
        const same = single ? sameReason(verdict, reversed[index]) : verdict.action === reversed[index]?.action;
        must(same, 'depends on the order', verdict);
        const sorted = (objects: Verdict['restsOn'] = []) =>
          objects
            .map((object) => JSON.stringify(object))
            .sort()
            .join();
        const restsOnTheSame = sorted(verdict.restsOn) === sorted(reversed[index]?.restsOn);
        must(verdict.action === 'keep' || restsOnTheSame, 'what it rests on depends on the order', verdict);
      });
    });
  });

  test('of an HPA does not change with an owner that has nothing to do with it', () => {
    onEveryCluster((snapshot, verdicts) => {
      for (const removed of snapshot.gateways) {
        const without = judge({ ...snapshot, gateways: snapshot.gateways.filter((each) => each !== removed) });
        verdicts.forEach((verdict, index) => {
          const { owner } = verdict;
          const isRelated =
            owner?.kind === 'GatewayClass'
              ? removed.spec.gatewayClassName === owner.name
              : owner?.name === removed.metadata.name && owner.namespace === removed.metadata.namespace;
          const askedFor = verdict.explanation.endsWith(' asks for an HPA of this name.');
          must(isRelated || askedFor || sameReason(verdict, without[index]), 'changed', verdict);
        });
      }
    });
  });

  test('can be made of exactly the Deployments that it asks for, and again of those that it rests on', () => {
    onEveryCluster((complete) => {
      const places = [...complete.hpas.map(targetOf), 'sys/envoy-gateway', 'sys2/envoy-gateway'];
      const deployments = new Map(places.map((place) => [place, complete.deployments.get(place) ?? null]));
      const known = { ...complete, deployments };
      const only = (keys: Iterable<string>): Snapshot => ({
        ...known,
        deployments: new Map([...keys].map((key) => [key, deployments.get(key) ?? null])),
      });
      // A row asks for more once it knows what it asked for first.
      const needed = new Set<string>();
      let asked = judge(only(needed));
      for (let before = -1; before < needed.size; ) {
        before = needed.size;
        for (const key of asked.flatMap(({ needsDeployments }) => needsDeployments)) needed.add(key);
        asked = judge(only(needed));
      }
      const isAnyElsewhere = ['sys', 'sys2'].some((namespace) => installedIn(namespace, known).readsAnother);
      judge(known).forEach((verdict, index) => {
        const found = asked[index] as Verdict;
        must(found.needsDeployments.length === 0, 'asks for what it has', found);
        // That an Envoy Gateway reads another ConfigMap may tell more; what does not ask for it is kept, or gone anyway.
        const isNoWorse = isAnyElsewhere && (found.action === 'keep' || verdict.action === 'delete');
        const same = isNoWorse || sameReason(verdict, found);
        must(same, 'asks for too little', found);
      });
      const told = ({ needsDeployments: _, ...verdict }: Verdict) => JSON.stringify(verdict);
      asked.forEach((verdict, index) => {
        if (verdict.action === 'keep') return;
        const rested = verdict.restsOn.filter(({ kind }) => kind === 'Deployment');
        const again = judge(only(rested.map(({ namespace, name }) => `${namespace}/${name}`)))[index] as Verdict;
        must(told(verdict) === told(again), 'rests on too little', verdict);
      });
    });
  });
});

describe('an HPA is reported as missing', () => {
  const TEN_MINUTES = 600_000;
  const isOld = (time: string | null | undefined) => NOW.getTime() - Date.parse(time ?? '') >= TEN_MINUTES;
  const isSettled = ({ metadata }: Gateway | GatewayClass | EnvoyProxy) =>
    isOld(metadata.creationTimestamp) &&
    (metadata.managedFields ?? []).every(({ time, fieldsV1 }) => !fieldsV1?.['f:spec'] || isOld(time));
  const isTaken = ({ status }: Gateway | GatewayClass) =>
    status?.conditions?.some((condition) => condition.type === 'Accepted' && condition.status === 'True') ?? false;

  /** Whether Envoy Gateway has taken up what this owner asks for, and had the time to do it. */
  function isInForce(owner: string, snapshot: Snapshot): boolean {
    const installations = installationsOf(owner, snapshot).map(({ configMap }) => configMap.metadata);
    const isTakenUp = installations.every(
      ({ namespace, creationTimestamp, managedFields }) =>
        installedIn(namespace, snapshot).isRead &&
        isOld(creationTimestamp) &&
        (managedFields ?? []).every(({ time }) => isOld(time)),
    );
    if (owner.startsWith(RATE_LIMIT)) {
      const service = `${owner.slice(RATE_LIMIT.length)}/envoy-ratelimit`;
      return isTakenUp && Boolean(snapshot.deployments.get(service));
    }
    const objects = observedFor(owner, snapshot);
    const gatewayClass = classOf(owner, snapshot) as GatewayClass;
    const references = objects.flatMap((object) => {
      if (object === gatewayClass) {
        const reference = gatewayClass.spec.parametersRef;
        return reference ? [`${reference.namespace ?? 'default'}/${reference.name}`] : [];
      }
      const { metadata, spec } = object as Gateway;
      const reference = spec.infrastructure?.parametersRef;
      return owner.includes('/') && reference ? [`${metadata.namespace}/${reference.name}`] : [];
    });
    const proxies = snapshot.envoyProxies.filter(({ metadata }) =>
      references.includes(`${metadata.namespace}/${metadata.name}`),
    );
    const gateways = objects.filter((object) => object !== gatewayClass);
    return (
      isTakenUp &&
      objects.every((object) => isSeen(object) && !object.metadata.deletionTimestamp) &&
      isTaken(gatewayClass) &&
      gateways.some(isTaken) &&
      [...objects, ...proxies].every(isSettled)
    );
  }

  test('exactly where an owner asks for it, Envoy Gateway has long since seen that, and no HPA is at its place', () => {
    let reported = 0;
    onEveryCluster((snapshot) => {
      const asked = Map.groupBy(wishes(snapshot), ({ owner }) => owner);
      const expected = [...asked].flatMap(([owner, wishesOfOwner]) => {
        const places = wishesOfOwner.flatMap((wish) => wish.places);
        const isAskedByAll = opinions(owner, snapshot).every(
          (each) => each.says === 'autoscaling' && each.places.length > 0 && !each.isBeyondIt,
        );
        const isThere = places.some((place) => {
          const scalers = snapshot.scalers?.get(place.split('/')[0] as string);
          const all = [...snapshot.hpas, ...(scalers ?? [])];
          return (
            scalers === undefined || all.some(({ metadata }) => `${metadata.namespace}/${metadata.name}` === place)
          );
        });
        return places.length > 0 && isAskedByAll && !isThere && isInForce(owner, snapshot) ? [{ owner, places }] : [];
      });
      const { missing } = missingHpas(snapshot, NOW);
      reported += missing.length;
      const found = missing.map(({ owner }) =>
        owner.kind === 'ConfigMap'
          ? `${RATE_LIMIT}${owner.namespace}`
          : owner.kind === 'Gateway'
            ? `${owner.namespace}/${owner.name}`
            : owner.name,
      );
      if (
        found.toSorted().join() !==
        expected
          .map(({ owner }) => owner)
          .toSorted()
          .join()
      ) {
        throw new Error(
          `missing: [${found.join()}], and by this opinion [${expected.map(({ owner }) => owner).join()}]`,
        );
      }
      for (const [index, { namespace, name }] of missing.entries()) {
        const { places } = expected.find(({ owner }) => owner === found[index]) as { places: string[] };
        if (!places.includes(`${namespace}/${name}`))
          throw new Error(`missing at ${namespace}/${name}: ${places.join()}`);
      }
    });
    expect(reported).toBeGreaterThan(RUNS / 20);
  });

  test('only if no verdict contradicts it', () => {
    onEveryCluster((snapshot, verdicts) => {
      for (const { owner, namespace, name } of missingHpas(snapshot, NOW).missing) {
        for (const verdict of verdicts) {
          must(placeOf(verdict.hpa) !== `${namespace}/${name}`, 'it is there', verdict);
          const isOfOwner = JSON.stringify(verdict.owner) === JSON.stringify(owner);
          must(!isOfOwner || verdict.reason !== 'AutoscalingRemoved', 'its owner asks for none', verdict);
          must(!isOfOwner || verdict.action === 'keep', 'its owner is not known to want it', verdict);
        }
      }
    });
  });
});

test('all reasons occur in what is generated', () => {
  const counts = Object.fromEntries([...DELETE_REASONS, ...KEEP_REASONS].map((reason) => [reason, 0]));
  const others = { ofTwoNames: 0, ofRateLimit: 0, unseen: 0, stuck: 0, notRead: 0 };
  const missing = { Gateway: 0, GatewayClass: 0, ConfigMap: 0 };
  onEveryCluster((snapshot, verdicts) => {
    for (const { action, reason, restsOn, owner, explanation } of verdicts) {
      counts[reason] = (counts[reason] ?? 0) + 1;
      if (explanation.includes('asks for this HPA or for') && action === 'delete') others.ofTwoNames += 1;
      if (owner?.kind === 'ConfigMap' && action === 'delete' && restsOn.length > 0) others.ofRateLimit += 1;
      if (reason !== 'NotObserved') continue;
      if (explanation.includes('is rejected for its parameters')) others.stuck += 1;
      else if (explanation.includes('was not read')) others.notRead += 1;
      else others.unseen += 1;
    }
    for (const { owner } of missingHpas(snapshot, NOW).missing) missing[owner.kind] += 1;
  }, 10_000);
  console.info(`verdicts in 10,000 generated clusters: ${JSON.stringify({ ...counts, ...others, missing })}`);
  for (const [reason, count] of Object.entries({ ...counts, ...others, ...missing })) {
    expect(count, reason).toBeGreaterThan(0);
  }
});
