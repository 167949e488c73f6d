import type { Snapshot } from '../../functions/judgement/cluster-index.ts';
import { judge, type Verdict } from '../../functions/judgement/judge.ts';
import type { EnvoyProxySpec } from '../../functions/judgement/kubernetes-objects.ts';
import {
  type ClusterObject,
  CONTROLLER_NAMESPACE,
  deployment,
  envoyGatewayConfig,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
  snapshotOf,
} from './cluster.ts';

/** The verdict on the first HPA among these objects, which are the whole cluster. */
export const judged = (...objects: ClusterObject[]): Verdict => judge(snapshotOf(objects))[0] as Verdict;

/** `action reason` */
export const inShort = ({ action, reason }: Verdict): string => `${action} ${reason}`;
export const shortVerdict = (...objects: ClusterObject[]): string => inShort(judged(...objects));
export const shortVerdicts = (...objects: ClusterObject[]): string[] => judge(snapshotOf(objects)).map(inShort);

/** The verdict on the first HPA while only these Deployments have been read. */
export const judgedWith = (deployments: Snapshot['deployments'], ...objects: ClusterObject[]): Verdict =>
  judge({ ...snapshotOf(objects), deployments })[0] as Verdict;

export const WANTED = 'keep AutoscalingConfigured';
export const REMOVED = 'delete AutoscalingRemoved';
export const RENAMED = 'delete Renamed';
export const NOT_OBSERVED = 'keep NotObserved';
export const STILL_RUNS = 'keep ScaleTargetStillRuns';
export const UNREADABLE = 'keep DefaultsUnreadable';
export const UNRESOLVED = 'keep ParametersUnresolved';

/** The HPA of Gateway `shop/web` and that of class `eg`, and their Deployments. */
export const WEB = `${CONTROLLER_NAMESPACE}/${hashedNameOf('shop/web')}`;
export const EG = `${CONTROLLER_NAMESPACE}/${hashedNameOf('eg')}`;
export const webRuns = deployment(WEB);
export const egRuns = deployment(EG);
export const config = envoyGatewayConfig();
export const namespaceMode = envoyGatewayConfig({ gatewayNamespaceMode: true });
export const byDefault = (spec: EnvoyProxySpec) => envoyGatewayConfig({ envoyProxy: spec });

/** An EnvoyProxy that asks for no autoscaling. */
export const NO_AUTOSCALING: EnvoyProxySpec = { provider: { type: 'Kubernetes', kubernetes: {} } };

/** An EnvoyProxy by which its class merges its Gateways. */
export const merging = (spec: EnvoyProxySpec = {}): EnvoyProxySpec => ({ ...spec, mergeGateways: true });

/** Class `eg` without an EnvoyProxy, and Gateway `shop/web` with this one. */
export const ownProxy = (spec: EnvoyProxySpec | undefined): ClusterObject[] => [
  gatewayClass(),
  gateway('shop/web', { proxy: 'own' }),
  envoyProxy('shop/own', spec),
];

/** Class `eg` with this EnvoyProxy. */
export const classProxy = (
  spec: EnvoyProxySpec | undefined,
  options: Parameters<typeof gatewayClass>[1] = {},
): ClusterObject[] => [gatewayClass('eg', { proxy: 'shop/class', ...options }), envoyProxy('shop/class', spec)];
