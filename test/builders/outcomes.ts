import type { SweepReport, SweptHpa } from '../../functions/events/report.ts';

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
export const missingHpa = (gateway: string): SweepReport['missing'][number] => {
  const { namespace, name } = sweptHpa(gateway, 'Kept');
  const [ownNamespace, ownName] = gateway.split('/') as [string, string];
  return {
    ...{ namespace, name, reason: 'WantedButMissing', remedy: 'restart Envoy Gateway' },
    owner: { kind: 'Gateway', namespace: ownNamespace, name: ownName },
    explanation: `Gateway ${gateway} asks for autoscaling in EnvoyProxy ${gateway}, and there is no HPA ${namespace}/${name}.`,
  };
};
