import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { type EnvoyGatewaySettings, readEnvoyGatewayConfig } from '../../../functions/domain/envoy-gateway-config.ts';
import { DELETE_REASONS, judge, KEEP_REASONS, type Verdict } from '../../../functions/domain/judge.ts';
import type {
  EnvoyProxySpec,
  Gateway,
  GatewayClass,
  HorizontalPodAutoscaler,
} from '../../../functions/domain/kubernetes-objects.ts';
import type { Snapshot } from '../../../functions/domain/snapshot.ts';
import { clusterPlan, snapshotOfPlan } from '../../builders/arbitrary-cluster.ts';
import { autoscaling, envoyGatewayConfig, envoyHpa, hashedNameOf } from '../../builders/cluster.ts';

/**
 * Fifteen properties, each over 11,000 generated clusters (four of them over a quarter, with six lists of namespaces each). What
 * fails prints its seed and the shrunk plan of the cluster; give both as `{ seed, path }` to fc.assert to see it again. Another
 * seed: FAST_CHECK_SEED=7 npx vitest run judge.property
 */
const SEED = Number(process.env.FAST_CHECK_SEED ?? 20260101);
const RUNS = 11_000;
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
  deployments.get(targetOf(hpa)) === false;

// A second, smaller opinion on what Envoy Gateway wants, from design §2 alone and with none of the product's functions.

/** `shop/web` or `eg`; undefined for what is not labelled by exactly one owner. */
function ownerOf({ metadata }: HorizontalPodAutoscaler): string | undefined {
  const label = (name: string) => metadata.labels?.[`gateway.envoyproxy.io/owning-${name}`] ?? '';
  const ofGateway = label('gateway-name') && label('gateway-namespace');
  const ofClass = label('gatewayclass');
  if (ofClass) return label('gateway-name') || label('gateway-namespace') ? undefined : ofClass;
  return ofGateway ? `${label('gateway-namespace')}/${label('gateway-name')}` : undefined;
}
const isApplied = ({ metadata }: HorizontalPodAutoscaler) =>
  metadata.managedFields?.some(
    (entry) => entry.manager === 'envoy-gateway' && entry.operation === 'Apply' && entry.subresource === undefined,
  ) ?? false;

/** What one Envoy Gateway makes of one owner. */
type Opinion =
  | { says: 'unknown' | 'other owner' }
  | { says: 'no autoscaling'; heedsDefault: boolean; namespace: string }
  | { says: 'autoscaling'; places: string[] };

const isNotAccepted = ({ status }: Gateway | GatewayClass) =>
  status?.conditions?.some((condition) => condition.type === 'Accepted' && condition.status === 'False') ?? false;

/** The EnvoyProxies in force, most specific first: what the first does not say, the next one may. */
function inForce(own?: EnvoyProxySpec, ofClass?: EnvoyProxySpec, fallback?: EnvoyProxySpec): EnvoyProxySpec[] {
  const inherits = (mergeType: EnvoyProxySpec['mergeType']) =>
    mergeType === 'StrategicMerge' || mergeType === 'JSONMerge';
  const upper = own ? (ofClass && inherits(own.mergeType) ? [own, ofClass] : [own]) : ofClass ? [ofClass] : [];
  const isOpen = upper.length === 0 || inherits(ofClass?.mergeType ?? own?.mergeType);
  return fallback && isOpen ? [...upper, fallback] : upper;
}

/** The metadata of a patch's raw JSON, in which null takes away what lies below. */
type Patched = { name?: string; namespace?: string } | null | undefined;

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
  if (isNotAccepted(gatewayClass) || ofClass.missing || (merges && settings.gatewayNamespaceMode)) {
    return { says: 'unknown' };
  }

  const isOfGateway = owner.includes('/');
  const served = snapshot.gateways.filter(({ metadata, spec }) =>
    isOfGateway
      ? `${metadata.namespace}/${metadata.name}` === owner
      : spec.gatewayClassName === gatewayClass.metadata.name,
  );
  const ownProxyOf = ({ metadata, spec }: Gateway) => proxyOf(spec.infrastructure?.parametersRef, metadata.namespace);
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
  const levels = inForce(own, ofClass.spec, settings.defaultProxy);
  const provider = levels.map((spec) => spec.provider?.type).find((type) => type !== undefined);
  if (provider !== undefined && provider !== 'Kubernetes') return { says: 'unknown' };
  const asking = levels.map((spec) => spec.provider?.kubernetes?.envoyHpa).filter((hpa) => hpa !== undefined);
  if (asking.length === 0) {
    const anyDefault = {};
    return {
      says: 'no autoscaling',
      heedsDefault: inForce(own, ofClass.spec, anyDefault).includes(anyDefault),
      namespace,
    };
  }

  const [lowest, ...above] = levels
    .map((spec) => spec.provider?.kubernetes?.envoyHpa?.patch?.value?.metadata)
    .reverse() as [Patched, ...Patched[]];
  let patched = lowest;
  for (const metadata of above)
    patched = metadata === null ? undefined : metadata ? { ...patched, ...metadata } : patched;
  if (patched === null) return { says: 'autoscaling', places: [] }; // Envoy Gateway cannot make an HPA without metadata.
  const inGatewayNamespace = isOfGateway && settings.gatewayNamespaceMode;
  const name = patched?.name ?? asking.map((hpa) => hpa?.name).find((value) => value !== undefined);
  const names = name ? [name] : [hashedNameOf(owner), ...(inGatewayNamespace ? [gateway.metadata.name] : [])];
  const where = patched?.namespace ?? (inGatewayNamespace ? gateway.metadata.namespace : namespace);
  return { says: 'autoscaling', places: names.map((each) => `${where}/${each}`) };
}

/** What every Envoy Gateway that may serve this owner makes of it; unknown where one cannot be read or there is none. */
function opinions(owner: string, snapshot: Snapshot): Opinion[] {
  const className = owner.includes('/')
    ? snapshot.gateways.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === owner)?.spec
        .gatewayClassName
    : owner;
  const gatewayClass = snapshot.gatewayClasses.find(({ metadata }) => metadata.name === className);
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
  const none = opinions(owner, snapshot).filter((each) => each.says === 'no autoscaling');
  return none.some((each) => each.heedsDefault) && none.every(({ namespace }) => namespace !== metadata.namespace);
}

/** Every live owner's wish: one HPA, at one of these places (two only in GatewayNamespace mode). */
function wishes(snapshot: Snapshot): { owner: string; places: string[] }[] {
  const owners = [
    ...snapshot.gateways.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    ...snapshot.gatewayClasses.map(({ metadata }) => metadata.name),
  ];
  return owners.flatMap((owner) =>
    opinions(owner, snapshot).flatMap((each) => (each.says === 'autoscaling' ? [{ owner, places: each.places }] : [])),
  );
}

describe('no HPA is deleted', () => {
  test('without both marks of ownership', () => {
    onEveryDeletion((verdict) => {
      must(ownerOf(verdict.hpa) !== undefined, 'not labelled by exactly one owner', verdict);
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
  const isBesideGateway = ({ hpa, owner }: Verdict) =>
    owner?.kind === 'Gateway' && owner.namespace === hpa.metadata.namespace;
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
    onEveryList((listed, { whole, alone, list }) => {
      if (list.includes(listed.hpa.metadata.namespace) && !isBesideGateway(listed)) return;
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
      if (mayHaveAnotherDefault(hpa, owner, snapshot) && !isGone(verdict, snapshot)) continue;
      stale += 1;
      must(verdict.action === 'delete' && verdict.reason === 'AutoscalingRemoved', 'it is stale', verdict);
    }
  });
  expect(stale).toBeGreaterThan(RUNS / 20);
});

/** What somebody can make who may write one namespace: Envoy Gateway's ConfigMap, and HPAs as if Envoy Gateway had made them. */
const tenantPlan = fc.record({
  config: fc.option(
    fc.record({
      controllerName: fc.constantFrom('one', 'two', 'vendor'),
      gatewayNamespaceMode: fc.boolean(),
      envoyProxy: fc.constantFrom(undefined, {}, { mergeGateways: true }, autoscaling(), autoscaling({ name: 'n' })),
      text: fc.constantFrom(undefined, 'kind: ['),
    }),
    { nil: undefined, freq: 4 },
  ),
  hpas: fc.uniqueArray(
    fc.record({ owner: fc.constantFrom('a/w', 'a/x', 'b/w', 'c', 'd'), name: fc.constantFrom('n', 'w', 'hashed') }),
    { maxLength: 3, selector: ({ owner, name }) => (name === 'hashed' ? owner : name) },
  ),
});

test('a tenant makes no HPA go that is kept without them, where an Envoy Gateway is known to serve its class', () => {
  fc.assert(
    fc.property(clusterPlan, tenantPlan, (plan, { config, hpas }) => {
      const snapshot = snapshotOfPlan(plan);
      const forged = hpas.map(({ owner, name }) =>
        envoyHpa(owner, { at: `tenant/${name === 'hashed' ? hashedNameOf(owner) : name}` }),
      );
      const after = judge({
        ...snapshot,
        hpas: [...snapshot.hpas, ...forged],
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
      const deployments = new Map(
        complete.hpas.map((hpa) => [targetOf(hpa), complete.deployments.get(targetOf(hpa)) ?? false]),
      );
      const known = { ...complete, deployments };
      const only = (keys: readonly string[]): Snapshot => ({
        ...known,
        deployments: new Map(keys.map((key) => [key, deployments.get(key) ?? false])),
      });
      const needed = judge(only([])).flatMap(({ needsDeployment }) => needsDeployment ?? []);
      const asked = judge(only(needed));
      judge(known).forEach((verdict, index) => {
        const found = asked[index] as Verdict;
        // Not asked for is never worse than kept.
        must(
          sameReason(verdict, found) || (verdict.reason === 'Renamed' && found.action === 'keep'),
          'asks for too little',
          found,
        );
      });
      asked.forEach((verdict, index) => {
        if (verdict.action === 'keep') return;
        const rested = verdict.restsOn.filter(({ kind }) => kind === 'Deployment');
        const again = judge(only(rested.map(({ namespace, name }) => `${namespace}/${name}`)))[index] as Verdict;
        must(JSON.stringify(verdict) === JSON.stringify(again), 'rests on too little', verdict);
      });
    });
  });
});

test('all reasons occur in what is generated', () => {
  const counts = Object.fromEntries([...DELETE_REASONS, ...KEEP_REASONS].map((reason) => [reason, 0]));
  let ofTwoNames = 0;
  onEveryCluster((_, verdicts) => {
    for (const { reason, restsOn } of verdicts) {
      counts[reason] = (counts[reason] ?? 0) + 1;
      if (reason === 'Renamed' && restsOn.some(({ kind }) => kind === 'Deployment')) ofTwoNames += 1;
    }
  }, 10_000);
  console.info(`verdicts in 10,000 generated clusters: ${JSON.stringify({ ...counts, ofTwoNames })}`);
  for (const [reason, count] of Object.entries({ ...counts, ofTwoNames })) {
    expect(count, reason).toBeGreaterThan(0);
  }
});
