import { EVENT_SOURCE } from '../../functions/events/change-event.ts';
import { type OutcomeEvent, outcomesOfProblem, sweepOutcomes } from '../../functions/events/outcome-event.ts';
import type { MissingHpaReport, Problem, SweptHpa } from '../../functions/events/report.ts';
import { busEvent, PLACE } from '../embedded-cluster/event-path.ts';

/** Outcomes as EventBridge writes them to the log group, one JSON an event. */
const logged = (outcomes: readonly OutcomeEvent[], time: string): string[] =>
  outcomes.map((outcome) =>
    JSON.stringify(busEvent({ ...outcome, source: EVENT_SOURCE, resources: [], time: new Date(time) })),
  );

const placeOf = (cluster: string, region: string) => ({ cluster, region, sweepId: `pass/${cluster}` });

/** Of a stale HPA whose Gateway asks for no autoscaling. */
export const sweptHpa = (gateway: string, outcome: SweptHpa['outcome'], hpa: Partial<SweptHpa> = {}): SweptHpa => ({
  ...{
    namespace: 'envoy-gateway-system',
    name: `envoy-${gateway.replace('/', '-')}-0a1b2c3d`,
    uid: `uid of ${gateway}`,
  },
  ...{ action: 'delete', reason: 'AutoscalingRemoved', outcome },
  explanation: `Gateway ${gateway} asks for no autoscaling: no envoyHpa in EnvoyProxy ${gateway}.`,
  ...{ restsOn: [], replicas: { min: 1, max: 5 }, dropsCapacity: false, changes: [] },
  ...hpa,
});

/** Of an HPA that a Gateway asks for in an EnvoyProxy of its name. */
export const missingHpa = (gateway: string): MissingHpaReport => {
  const { namespace, name } = sweptHpa(gateway, 'Kept');
  const [ownNamespace, ownName] = gateway.split('/') as [string, string];
  return {
    ...{ namespace, name, reason: 'WantedButMissing', remedy: 'restart Envoy Gateway' },
    owner: { kind: 'Gateway', namespace: ownNamespace, name: ownName },
    explanation: `Gateway ${gateway} asks for autoscaling in EnvoyProxy ${gateway}, and there is no HPA ${namespace}/${name}.`,
  };
};

export const changeBy = (username: string, time: string, change: Partial<SweptHpa['changes'][number]> = {}) => ({
  ...{
    username,
    auditID: `audit-of-${username}`,
    verb: 'patch',
    resource: 'envoyproxies',
    namespace: 'shop',
    name: 'web',
  },
  ...{ time, ...change },
});

/** @param sweep whether a schedule or a person asked for the pass */
export const sweepLogged = (
  { cluster = 'shop', region = PLACE.region, sweep = false }: { cluster?: string; region?: string; sweep?: boolean },
  time: string,
  hpas: readonly SweptHpa[] = [],
  missing: readonly MissingHpaReport[] = [],
): string[] =>
  logged(
    sweepOutcomes(
      placeOf(cluster, region),
      { hpas: [...hpas], missing: [...missing] },
      sweep ? { mode: 'delete', runIds: ['run-1'] } : undefined,
    ),
    time,
  );

export const problemLogged = (
  cluster: string,
  time: string,
  problem: Problem = { reason: 'ClusterUnreachable', message: 'no whole answer', remedy: 'Let reap reach it.' },
): string[] => logged(outcomesOfProblem(placeOf(cluster, PLACE.region), 'failed', problem), time);
