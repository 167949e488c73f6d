import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { ClusterIndex, DeploymentReads, type Snapshot } from '../../../functions/judgement/cluster-index.ts';
import { controllerOf, controllerVersion } from '../../../functions/judgement/controller.ts';
import { type Desired, resolve } from '../../../functions/judgement/desired.ts';
import { effectiveProxy } from '../../../functions/judgement/effective-proxy.ts';
import { readEnvoyGatewayConfig } from '../../../functions/judgement/envoy-gateway-config.ts';
import { judge, ROWS, type Verdict } from '../../../functions/judgement/judge.ts';
import {
  type Gateway,
  type GatewayClass,
  type HorizontalPodAutoscaler,
  objectKey,
} from '../../../functions/judgement/kubernetes-objects.ts';
import { missingHpas } from '../../../functions/judgement/missing.ts';
import { labeledOwner, type Owner, sameOwner } from '../../../functions/judgement/ownership.ts';
import { clusterPlan, NOW, snapshotOfPlan } from '../../builders/arbitrary-cluster.ts';
import { autoscaling, controller, envoyGatewayConfig, envoyHpa, hashedNameOf } from '../../builders/cluster.ts';

/**
 * Invariants of the judgement over generated clusters, PROPERTY_RUNS for each. What one installation wants for one owner
 * ({@link resolve}) is tested case by case elsewhere; these properties hold the rows and their order to it. A failure prints its
 * seed and the shrunk plan of the cluster; give both as `{ seed, path }` to fc.assert to repeat it. Another seed:
 * FAST_CHECK_SEED=7 npx vitest run judge.property
 */
const SEED = Number(process.env.FAST_CHECK_SEED ?? 20260101);
const RUNS = Number(process.env.PROPERTY_RUNS ?? 1_000);
vi.setConfig({ testTimeout: 120_000 });

const onEveryCluster = (check: (snapshot: Snapshot, verdicts: Verdict[]) => void, runs = RUNS) =>
  fc.assert(
    fc.property(clusterPlan, (plan) => {
      const snapshot = snapshotOfPlan(plan);
      check(snapshot, judge(snapshot));
    }),
    { seed: SEED, numRuns: runs },
  );
const onEveryDeletion = (check: (verdict: Verdict, snapshot: Snapshot, verdicts: Verdict[]) => void) =>
  onEveryCluster((snapshot, verdicts) => {
    for (const verdict of verdicts) if (verdict.action === 'delete') check(verdict, snapshot, verdicts);
  });

/** Names the verdict that broke the property; expect() 110,000 times would cost more than the judgement. */
function must(condition: boolean, what: string, { hpa, action, reason, explanation }: Verdict): void {
  if (!condition) throw new Error(`${what}: ${keyOf(hpa)}: ${action} ${reason}: ${explanation}`);
}

const keyOf = ({ metadata }: HorizontalPodAutoscaler) => objectKey(metadata);
const targetOf = ({ metadata, spec }: HorizontalPodAutoscaler) => `${metadata.namespace}/${spec.scaleTargetRef.name}`;
const isGone = ({ hpa }: Verdict, { deployments }: Snapshot) =>
  hpa.spec.scaleTargetRef.kind === 'Deployment' &&
  hpa.spec.scaleTargetRef.apiVersion === 'apps/v1' &&
  deployments.get(targetOf(hpa)) === null;
const isApplied = ({ metadata }: HorizontalPodAutoscaler) =>
  metadata.managedFields?.some(
    (entry) => entry.manager === 'envoy-gateway' && entry.operation === 'Apply' && entry.subresource === undefined,
  ) ?? false;
const ownerOf = (hpa: HorizontalPodAutoscaler) => labeledOwner(hpa) as Owner;

const configOf = (owner: Owner, snapshot: Snapshot) => ClusterIndex.of(snapshot).configOf(owner);
/** What every installation that may serve this owner wants for it. */
function desiredOf(owner: Owner, snapshot: Snapshot): Desired[] {
  const cluster = ClusterIndex.of(snapshot);
  const config = cluster.configOf(owner);
  return config.installations.map((one) => resolve(config, one, cluster, new DeploymentReads(snapshot)));
}
/** Every live owner's wish: one HPA, of one of these names. */
const wishesIn = (snapshot: Snapshot): { owner: Owner; names: string[] }[] =>
  ClusterIndex.of(snapshot)
    .owners()
    .flatMap((owner) => desiredOf(owner, snapshot).map(({ names }) => ({ owner, names: names.map(objectKey) })));

/** Whether a controller has accepted or rejected it, and none of its conditions is of an older generation. */
function isSeen(object: Gateway | GatewayClass): boolean {
  const listeners = 'listeners' in (object.status ?? {}) ? (object as Gateway).status?.listeners : [];
  const own = object.status?.conditions?.filter(({ status }) => status !== 'Unknown') ?? [];
  const all = [...own, ...(listeners ?? []).flatMap(({ conditions }) => conditions ?? [])];
  return (
    own.some(({ type }) => type === 'Accepted') &&
    all.every(({ observedGeneration }) => observedGeneration === object.metadata.generation)
  );
}

/** Whether nothing hides from Envoy Gateway what the owner asks for, and its Deployments were read. */
function isConfigurationSeen(owner: Owner, snapshot: Snapshot): boolean {
  const { observed, installations } = configOf(owner, snapshot);
  return (
    observed.every(isSeen) &&
    installations.every((installation) => {
      const found = snapshot.deployments.get(objectKey(controllerOf(installation)));
      const version = controllerVersion(found);
      const isOld = version === undefined || version.minor < 4;
      return found !== undefined && !(isOld && ClusterIndex.of(snapshot).stuckAt(installation, undefined));
    })
  );
}

describe('no HPA is deleted', () => {
  test('without both marks of ownership', () => {
    onEveryDeletion((verdict) => {
      must(!['ambiguous', undefined].includes(labeledOwner(verdict.hpa) as string), 'not of one owner', verdict);
      must(isApplied(verdict.hpa), 'never applied by Envoy Gateway', verdict);
    });
  });

  test('that a live owner expects', () => {
    onEveryDeletion((verdict, snapshot, verdicts) => {
      const key = keyOf(verdict.hpa);
      for (const { names } of wishesIn(snapshot).filter((wish) => wish.names.includes(key))) {
        const other = verdicts.find(({ hpa }) => names.includes(keyOf(hpa)) && keyOf(hpa) !== key);
        // v1.4 and v1.5 expect different names: one of the two may go, if its Deployment is gone.
        must(isGone(verdict, snapshot) && other?.action === 'keep', 'expected by a live owner', verdict);
      }
    });
  });

  test('whose owner asks for autoscaling, unless another HPA of the owner stays', () => {
    onEveryDeletion((verdict, snapshot, verdicts) => {
      const owner = ownerOf(verdict.hpa);
      for (const { state, names } of desiredOf(owner, snapshot)) {
        if (state !== 'autoscaling') continue;
        const ofOwner = verdicts.filter(({ hpa }) => isApplied(hpa) && sameOwner(ownerOf(hpa), owner));
        const anotherStays = ofOwner.some(
          ({ hpa, action }) => action === 'keep' && names.map(objectKey).includes(keyOf(hpa)),
        );
        must(anotherStays, 'its owner asks for autoscaling, and no other HPA stays', verdict);
      }
    });
  });

  test('while its Deployment exists, for other reasons, or if anything is not known or not seen by Envoy Gateway', () => {
    onEveryDeletion((verdict, snapshot) => {
      const owner = ownerOf(verdict.hpa);
      if (isGone(verdict, snapshot)) return;
      must(['AutoscalingRemoved', 'Renamed'].includes(verdict.reason), 'the Deployment is not gone', verdict);
      const desired = desiredOf(owner, snapshot);
      const isKnown = desired.every(({ state }) => state === 'autoscaling' || state === 'no autoscaling');
      must(isKnown && desired.length > 0, 'not everything is known', verdict);
      must(isConfigurationSeen(owner, snapshot), 'Envoy Gateway may not have seen it', verdict);
    });
  });

  test('that is annotated, or belongs to an annotated object', () => {
    const protect = <T extends { metadata: object }>(object: T): T => ({
      ...object,
      metadata: { ...object.metadata, annotations: { 'envoy-hpa-reaper/keep': 'true' } },
    });
    onEveryCluster((snapshot, verdicts) => {
      const { hpas, gateways, gatewayClasses, envoyProxies, envoyGatewayConfigs } = snapshot;
      const annotated: Record<string, Partial<Snapshot>> = {
        HorizontalPodAutoscaler: { hpas: hpas.map(protect) },
        Gateway: { gateways: gateways.map(protect) },
        GatewayClass: { gatewayClasses: gatewayClasses.map(protect) },
        EnvoyProxy: { envoyProxies: envoyProxies.map(protect) },
        ConfigMap: {
          envoyGatewayConfigs: envoyGatewayConfigs.map((one) => ({ ...one, configMap: protect(one.configMap) })),
        },
      };
      for (const [kind, over] of Object.entries(annotated)) {
        judge({ ...snapshot, ...over }).forEach((verdict, index) => {
          if (verdict.action === 'keep') return;
          must(kind !== 'HorizontalPodAutoscaler', 'annotated', verdict);
          // Protection only keeps: what is deleted all the same does not depend on the annotated objects.
          must(verdicts[index]?.reason === verdict.reason, `annotated ${kind}`, verdict);
          const isBoundTo = kind !== 'ConfigMap' || verdict.owner?.kind === 'ConfigMap';
          const rests = verdict.restsOn.some((object) => object.kind === kind && object.uid !== undefined);
          must(!isBoundTo || !rests, `annotated ${kind}, on which it rests`, verdict);
        });
      }
    });
  });
});

test('with a list of controller namespaces an HPA is deleted only if it is without the other ConfigMaps, and elsewhere only if it is without the list', () => {
  const isBesideGateway = ({ hpa, owner }: Verdict, { gateways }: Snapshot) =>
    owner?.kind === 'Gateway'
      ? owner.namespace === hpa.metadata.namespace
      : gateways.some(
          ({ metadata, spec }) =>
            spec.gatewayClassName === owner?.name && metadata.namespace === hpa.metadata.namespace,
        );
  let kept = 0;
  let deleted = 0;
  const check = (snapshot: Snapshot, verdicts: Verdict[], list: string[]) => {
    const configs = snapshot.envoyGatewayConfigs.filter(({ configMap: { metadata } }) =>
      list.includes(metadata.namespace),
    );
    const alone = judge({ ...snapshot, envoyGatewayConfigs: configs });
    for (const [index, listed] of judge({ ...snapshot, controllerNamespaces: list }).entries()) {
      const isStale = verdicts[index]?.action === 'delete';
      const isStaleAlone = alone[index]?.action === 'delete';
      const isOfListed = list.includes(listed.hpa.metadata.namespace) && !isBesideGateway(listed, snapshot);
      if (!isOfListed && isStaleAlone && !isStale) kept += 1;
      if (listed.action === 'keep') continue;
      must(isStaleAlone, 'deleted by a ConfigMap elsewhere', listed);
      must(isOfListed || isStale, 'deleted because of the list', listed);
      must(configs.length > 0 || isGone(listed, snapshot), 'deleted without any configuration', listed);
      if (isStale) continue;
      deleted += 1;
      const isPatched = JSON.stringify(snapshot).includes('"metadata":{"namespace":"sys"}');
      const isAskedFor = wishesIn(snapshot).some(
        ({ owner, names }) => sameOwner(owner, ownerOf(listed.hpa)) && names.includes(keyOf(listed.hpa)),
      );
      must(isPatched || !isAskedFor, 'asked for by a ConfigMap that is not in the list', listed);
    }
  };
  const lists = [['sys'], ['sys2'], ['sys', 'sys2'], ['a'], ['sys', 'a'], ['elsewhere']];
  onEveryCluster((snapshot, verdicts) => {
    for (const list of lists) check(snapshot, verdicts, list);
  }, RUNS / 4);
  expect(Math.min(kept, deleted)).toBeGreaterThan(0);
});

test('every HPA is deleted whose owner is fully known, seen and asks for none, and that nothing protects', () => {
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
    const specs = JSON.stringify([...envoyProxies.map(({ spec }) => spec), ...envoyGatewayConfigs]);
    for (const verdict of verdicts) {
      const { hpa, owner } = verdict;
      if (owner === undefined || !isApplied(hpa) || isHeld(hpa)) continue;
      const objects = [...gateways, ...gatewayClasses, ...envoyProxies, hpa];
      if (objects.some(({ metadata }) => metadata.deletionTimestamp || metadata.annotations)) continue;
      if (specs.includes(`"name":"${hpa.metadata.name}"`)) continue; // Another owner may ask for it by name.
      const desired = desiredOf(owner, snapshot);
      if (desired.length === 0 || !desired.every(({ state }) => state === 'no autoscaling')) continue;
      const config = configOf(owner, snapshot);
      const mayHaveOtherDefault =
        owner.kind !== 'ConfigMap' &&
        effectiveProxy(config, { defaultProxy: {} }).levels.includes('default') &&
        config.installations.every(({ configMap }) => configMap.metadata.namespace !== hpa.metadata.namespace);
      if (mayHaveOtherDefault) continue;
      const isObserved = isConfigurationSeen(owner, snapshot);
      if (isObserved) stale += 1;
      must(verdict.reason === (isObserved ? 'AutoscalingRemoved' : 'NotObserved'), 'no autoscaling', verdict);
    }
  });
  expect(stale).toBeGreaterThan(RUNS / 40);
});

/**
 * The objects that a tenant with one namespace can create: a ConfigMap and Deployment of Envoy Gateway, and HPAs as if Envoy
 * Gateway had created them.
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

test('a tenant cannot delete an HPA that is kept without them, if an Envoy Gateway serves its class', () => {
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
        // If an HPA is stale by several installations, the verdict has the reason of the first.
        const same = single ? sameReason(verdict, reversed[index]) : verdict.action === reversed[index]?.action;
        must(same, 'depends on the order', verdict);
        const sorted = (of: Verdict | undefined) => `${of?.restsOn.map((one) => JSON.stringify(one)).toSorted()}`;
        const restsOnTheSame = sorted(verdict) === sorted(reversed[index]);
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
      const isAnyElsewhere = JSON.stringify([...known.deployments.values()]).includes('"configMap":{"name":"custom"}');
      judge(known).forEach((verdict, index) => {
        const found = asked[index] as Verdict;
        must(found.needsDeployments.length === 0, 'asks for what it has', found);
        // An Envoy Gateway that reads another ConfigMap can change a verdict that did not ask for it, but not to a deletion.
        const isNoWorse = isAnyElsewhere && (found.action === 'keep' || verdict.action === 'delete');
        const same = isNoWorse || sameReason(verdict, found);
        must(same, 'asks for too little', found);
      });
      const ofVerdict = ({ needsDeployments: _, ...verdict }: Verdict) => JSON.stringify(verdict);
      asked.forEach((verdict, index) => {
        if (verdict.action === 'keep') return;
        const rested = verdict.restsOn.filter(({ kind }) => kind === 'Deployment');
        const again = judge(only(rested.map(({ namespace, name }) => `${namespace}/${name}`)))[index] as Verdict;
        must(ofVerdict(verdict) === ofVerdict(again), 'rests on too little', verdict);
      });
    });
  });
});

describe('an HPA is reported as missing', () => {
  const isOld = ({ metadata }: { metadata: Pick<Gateway['metadata'], 'creationTimestamp' | 'managedFields'> }) =>
    [metadata.creationTimestamp, ...(metadata.managedFields ?? []).map(({ time }) => time)].every(
      (time) => NOW.getTime() - Date.parse(time ?? '') >= 600_000,
    );

  test('only if every installation asks for it and has seen that for long enough, and no HPA of its names exists', () => {
    let reported = 0;
    onEveryCluster((snapshot) => {
      for (const { owner, namespace, name, explanation } of missingHpas(snapshot, NOW).missing) {
        reported += 1;
        const check = (condition: boolean, what: string) => {
          if (!condition) throw new Error(`${what}: ${namespace}/${name}: ${explanation}`);
        };
        const desired = desiredOf(owner, snapshot);
        const names = desired.flatMap((one) => one.names.map(objectKey));
        check(desired.length > 0 && desired.every(({ state }) => state === 'autoscaling'), 'not asked for by all');
        check(names.includes(`${namespace}/${name}`), `not one of ${names.join()}`);
        const existing = [...snapshot.hpas, ...[...(snapshot.scalers?.values() ?? [])].flat()];
        check(!existing.some(({ metadata }) => names.includes(objectKey(metadata))), 'it exists');
        const { proxies, installations, observed } = configOf(owner, snapshot);
        const objects = [...observed, ...proxies, ...installations.map(({ configMap }) => configMap)];
        check((objects as Parameters<typeof isOld>[0][]).every(isOld), 'asked for just now');
        check(observed.every(isSeen), 'not seen');
        check(!observed.some(({ metadata }) => metadata.deletionTimestamp), 'being deleted');
        const controllers = installations.map((one) => snapshot.deployments.get(objectKey(controllerOf(one))));
        check(!controllers.includes(undefined), 'Envoy Gateway was not read');
        const isRunning = snapshot.deployments.get(`${namespace}/envoy-ratelimit`);
        check(owner.kind !== 'ConfigMap' || Boolean(isRunning), 'the rate limit service does not run');
      }
    });
    expect(reported).toBeGreaterThan(RUNS / 20);
  });

  test('only if no verdict contradicts it', () => {
    onEveryCluster((snapshot, verdicts) => {
      for (const { owner, namespace, name } of missingHpas(snapshot, NOW).missing) {
        for (const verdict of verdicts) {
          must(keyOf(verdict.hpa) !== `${namespace}/${name}`, 'it is there', verdict);
          const isOfOwner = JSON.stringify(verdict.owner) === JSON.stringify(owner);
          must(!isOfOwner || verdict.reason !== 'AutoscalingRemoved', 'its owner asks for none', verdict);
          must(!isOfOwner || verdict.action === 'keep', 'its owner is not known to want it', verdict);
        }
      }
    });
  });
});

test('all reasons occur in what is generated', () => {
  const counts = Object.fromEntries(
    ROWS.flatMap(({ deletes, keeps }) => [...(deletes ? [deletes] : []), keeps]).map((reason) => [reason, 0]),
  );
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
