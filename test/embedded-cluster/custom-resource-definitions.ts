import type { KubernetesObject } from './objects.ts';
import type { ResourceType } from './resource-types.ts';

/** The release of the Gateway API that Envoy Gateway v1.9.1 brings along. */
const GATEWAY_API_BUNDLE = {
  'gateway.networking.k8s.io/bundle-version': 'v1.6.1',
  'gateway.networking.k8s.io/channel': 'experimental',
};

/** The definition of a custom resource, without its schema. */
export function definitionOf(
  { group, version, plural, kind, namespaced }: ResourceType,
  creationTimestamp: string,
): KubernetesObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      uid: '',
      resourceVersion: '',
      creationTimestamp,
      ...(group === 'gateway.networking.k8s.io' && { annotations: GATEWAY_API_BUNDLE }),
    },
    spec: {
      group,
      names: { plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List` },
      scope: namespaced ? 'Namespaced' : 'Cluster',
      versions: [{ name: version, served: true, storage: true }],
    },
    status: { storedVersions: [version] },
  };
}
