import type { RbacManifest, User } from '../embedded-cluster/authorization.ts';

export const adminToken = 'admin-token';
export const readerToken = 'contract-reader-token';

/** The users that the contract suite speaks as. */
export const contractUsers: Readonly<Record<string, User>> = {
  [adminToken]: { username: 'admin', uid: 'admin', groups: ['system:masters'] },
  [readerToken]: { username: 'reader', uid: 'reader', groups: ['contract-readers'] },
};

/** What the reader may do: list HPAs, read two ConfigMaps by name, and get Deployments of one namespace. */
export const contractRbac: readonly RbacManifest[] = [
  {
    kind: 'ClusterRole',
    metadata: { name: 'contract-readers' },
    rules: [
      { apiGroups: ['autoscaling'], resources: ['horizontalpodautoscalers'], verbs: ['list'] },
      { apiGroups: [''], resources: ['configmaps'], resourceNames: ['one', 'two'], verbs: ['get', 'list'] },
    ],
  },
  {
    kind: 'ClusterRoleBinding',
    metadata: { name: 'contract-readers' },
    roleRef: { kind: 'ClusterRole', name: 'contract-readers' },
    subjects: [{ kind: 'Group', name: 'contract-readers' }],
  },
  {
    kind: 'Role',
    metadata: { name: 'contract-readers', namespace: 'default' },
    rules: [{ apiGroups: ['apps'], resources: ['deployments'], verbs: ['get'] }],
  },
  {
    kind: 'RoleBinding',
    metadata: { name: 'contract-readers', namespace: 'default' },
    roleRef: { kind: 'Role', name: 'contract-readers' },
    subjects: [{ kind: 'Group', name: 'contract-readers' }],
  },
];

export function autoscaler(name: string) {
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name, labels: { 'gateway.envoyproxy.io/owning-gateway-name': 'web' } as Record<string, string> },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
      minReplicas: 2,
      maxReplicas: 5,
      metrics: [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } },
      ],
    },
  };
}

export function envoyProxy(name: string) {
  return {
    apiVersion: 'gateway.envoyproxy.io/v1alpha1',
    kind: 'EnvoyProxy',
    metadata: { name } as { name?: string; finalizers?: string[] },
    spec: {
      // What the CRD's schema fills in otherwise, which the embedded cluster does not know.
      logging: { level: { default: 'warn' } },
      provider: { type: 'Kubernetes', kubernetes: { envoyHpa: { minReplicas: 2, maxReplicas: 5 } } },
    },
  };
}
