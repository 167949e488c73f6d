import type { Snapshot } from '../judgement/cluster-index.ts';
import { controllerOf } from '../judgement/controller.ts';
import { CONFIG_MAP_NAME, readEnvoyGatewayConfig } from '../judgement/envoy-gateway-config.ts';
import { deploymentOf } from '../judgement/judge.ts';
import { objectKey, SCHEMAS } from '../judgement/kubernetes-objects.ts';
import { carriesOwningLabels } from '../judgement/ownership.ts';
import { MalformedInputError } from '../platform/errors.ts';
import { checkedObject, KINDS, type Kind, kindOf, projectedObject } from './kinds.ts';

/** Saves a List for {@link snapshotOfList}. */
export const LIST_COMMAND = `kubectl get -A -o json --show-managed-fields ${Object.values(KINDS)
  .map(({ group, plural }) => (group === '' ? plural : `${plural}.${group}`))
  .join(',')}`;

/**
 * A snapshot from a saved List, as {@link LIST_COMMAND} prints it. The List counts as the whole cluster: a Deployment that is
 * not in it does not exist. It may contain objects of other kinds.
 *
 * @param incomplete whether a kind that the List does not contain is not in the cluster either
 * @throws {MalformedInputError} when it is no List, or misses what a judgement needs; {@link checkedObject}'s error when an
 * object in it has another shape
 */
export function snapshotOfList(list: unknown, incomplete = false): Snapshot {
  const { kind, items } = (list ?? {}) as { kind?: unknown; items?: unknown };
  if (kind !== 'List' || !Array.isArray(items)) {
    throw new MalformedInputError(
      `expected a List, as \`kubectl get … -o json\` prints it (kind: List, items: […]), found ${typeof kind === 'string' ? `a ${kind}` : 'no kind'}`,
    );
  }
  const ofKind = (wanted: Kind) => items.filter((item) => kindOf(item) === wanted);
  const missing = (Object.keys(KINDS) as Kind[]).filter((known) => ofKind(known).length === 0);
  if (missing.length > 0 && !incomplete) {
    throw new MalformedInputError(
      `it has no ${missing.join(', no ')}, and what is not in it counts as gone. List them too (\`${LIST_COMMAND}\`), or give --incomplete if the cluster has none`,
    );
  }

  const projected = <K extends Kind>(one: K) => ofKind(one).map((object) => projectedObject(one, object));
  const all = ofKind('HorizontalPodAutoscaler');
  const hpas = all.filter(carriesOwningLabels).map((hpa) => checkedObject('HorizontalPodAutoscaler', hpa));
  if (hpas.length > 0 && hpas.every(({ metadata }) => metadata.managedFields == null)) {
    throw new MalformedInputError(
      'its HPAs have no managedFields, so nothing shows which of them Envoy Gateway created: save it with --show-managed-fields',
    );
  }
  const configMaps = ofKind('ConfigMap').filter(({ metadata }) => metadata?.name === CONFIG_MAP_NAME);
  const envoyGatewayConfigs = configMaps.map((one) => readEnvoyGatewayConfig(checkedObject('ConfigMap', one)));
  const absent = [...hpas.map(deploymentOf), ...envoyGatewayConfigs.map(controllerOf)];
  const scalers = all.map((hpa) => projectedObject('HorizontalPodAutoscaler', hpa, SCHEMAS.Scaler));
  return {
    hpas,
    gatewayClasses: projected('GatewayClass'),
    gateways: projected('Gateway'),
    envoyProxies: projected('EnvoyProxy'),
    envoyGatewayConfigs,
    deployments: new Map([
      ...absent.map((name) => [objectKey(name), null] as const),
      ...projected('Deployment').map((one) => [objectKey(one.metadata), one] as const),
    ]),
    scalers: new Map(
      scalers.map(({ metadata: { namespace } }) => [
        namespace,
        scalers.filter(({ metadata }) => metadata.namespace === namespace),
      ]),
    ),
  };
}
