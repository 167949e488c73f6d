import { judge, type Verdict } from '../../functions/judgement/judge.ts';
import type { EnvoyProxySpec } from '../../functions/judgement/kubernetes-objects.ts';
import { type ClusterObject, snapshotOf } from './cluster.ts';

/** The verdict on the first HPA among these objects, which are the whole cluster. */
export const judged = (...objects: ClusterObject[]): Verdict => judge(snapshotOf(objects))[0] as Verdict;

/** `action reason` */
export const inShort = ({ action, reason }: Verdict): string => `${action} ${reason}`;

export const WANTED = 'keep AutoscalingConfigured';
export const REMOVED = 'delete AutoscalingRemoved';

/** An EnvoyProxy that asks for no autoscaling. */
export const NO_AUTOSCALING: EnvoyProxySpec = { provider: { type: 'Kubernetes', kubernetes: {} } };

/** An EnvoyProxy by which its class merges its Gateways. */
export const merging = (spec: EnvoyProxySpec = {}): EnvoyProxySpec => ({ ...spec, mergeGateways: true });
