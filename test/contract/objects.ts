export function autoscaler(name: string, metadata: object = {}) {
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name, labels: { 'gateway.envoyproxy.io/owning-gateway-name': 'web' }, ...metadata },
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

export const envoyProxy = (name: string) => ({
  apiVersion: 'gateway.envoyproxy.io/v1alpha1',
  kind: 'EnvoyProxy',
  metadata: { name },
  spec: {
    // What the CRD's schema sets otherwise, which the embedded cluster does not know.
    logging: { level: { default: 'warn' } },
    provider: { type: 'Kubernetes', kubernetes: { envoyHpa: { minReplicas: 2, maxReplicas: 5 } } },
  },
});

/** A Deployment of one container for each image, by the container's name. */
export const deployment = (name: string, images: Record<string, string>, metadata: object = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, ...metadata },
  spec: {
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: Object.entries(images).map(([container, image]) => ({ name: container, image })) },
    },
  },
});

/** The Deployment of Envoy Gateway itself, as of its Helm chart. */
export function controllerDeployment(release: string) {
  const labels = { 'app.kubernetes.io/name': 'gateway-helm', 'app.kubernetes.io/version': release };
  const manifest = deployment('envoy-gateway', {}, { labels });
  const container = {
    name: 'envoy-gateway',
    image: `docker.io/envoyproxy/gateway:${release}`,
    args: ['server', '--config-path=/config/envoy-gateway.yaml'],
    volumeMounts: [
      { name: 'envoy-gateway-config', mountPath: '/config', readOnly: true },
      { name: 'certs', mountPath: '/certs', readOnly: true },
    ],
  };
  const volumes = [
    { name: 'envoy-gateway-config', configMap: { name: 'envoy-gateway-config' } },
    { name: 'certs', secret: { secretName: 'envoy-gateway' } },
  ];
  Object.assign(manifest.spec.template.spec, { containers: [container], volumes });
  return manifest;
}
