import type { EnvoyProxySpec } from '../../functions/judgement/kubernetes-objects.ts';
import {
  autoscaling,
  type ClusterObject,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
} from './cluster.ts';

export interface LargeCluster {
  /** Each with an EnvoyProxy of its own that asks for autoscaling, and with its HPA. */
  gateways: number;
  /** HPAs that Gateways left behind that are gone now. */
  leftBehind: number;
  /** Whether the Deployments of the HPAs that are left behind run: then these HPAs are kept. */
  deployments?: boolean;
}

const NAMESPACES = 100;
const placeOf = (number: number) => `team-${number % NAMESPACES}/web-${number}`;

/** What people put into an EnvoyProxy beside autoscaling, and kubectl and the controllers into any object. */
const BOOTSTRAP = `admin:\n  address: {}\n${'  # a line of a bootstrap patch as people write it\n'.repeat(40)}`;
const bulk = (spec: object) => ({
  annotations: { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(spec) },
  managedFields: [
    {
      manager: 'kubectl-client-side-apply',
      operation: 'Update',
      time: '2026-01-01T00:00:00Z',
      fieldsV1: { 'f:metadata': { 'f:annotations': { '.': {} } }, 'f:spec': { '.': {}, 'f:provider': { '.': {} } } },
    },
  ],
});

/** A cluster for what depends on size: its objects weigh what such objects do. */
export function largeCluster({ gateways, leftBehind, deployments = false }: LargeCluster): ClusterObject[] {
  const spec = { ...autoscaling(), bootstrap: { type: 'Merge', value: BOOTSTRAP } } as EnvoyProxySpec;
  const metadata = bulk(spec);
  const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index);
  const orphans = numbers(leftBehind, gateways).map(placeOf);
  return [
    gatewayClass(),
    envoyGatewayConfig(),
    ...numbers(gateways).flatMap((number) => {
      const place = placeOf(number);
      const name = place.split('/')[1] as string;
      return [envoyProxy(place, spec, { metadata }), gateway(place, { proxy: name, metadata }), envoyHpa(place)];
    }),
    ...orphans.map((place) => envoyHpa(place)),
    ...(deployments ? orphans.map((place) => deployment(`envoy-gateway-system/${hashedNameOf(place)}`)) : []),
  ];
}
