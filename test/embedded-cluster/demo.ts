import { request } from 'node:https';
import { styleText } from 'node:util';
import type { SQSBatchResponse } from 'aws-lambda';
import type { BusEvent } from '../../functions/aws/event-bus.ts';
import { table } from '../../functions/cli/output/output.ts';
import { afterSentence } from '../../functions/cli/output/words.ts';
import { changeDetailSchema } from '../../functions/events/change-event.ts';
import type { SweepReport } from '../../functions/events/report.ts';
import { createHandler as createForward } from '../../functions/forward/forward.ts';
import { hashedName } from '../../functions/judgement/effective-proxy.ts';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import type { AccountDirectory } from '../../functions/kubernetes/directory.ts';
import type { Log } from '../../functions/platform/logger.ts';
import { createHandler as createReap } from '../../functions/reap/reap.ts';
import { connectionTo } from './connection.ts';
import { type EmbeddedCluster, startEmbeddedCluster } from './embedded-cluster.ts';
import { busEvent, lambdaContext, PLACE, queueBatch, subscriptionEvent } from './event-path.ts';

const CLUSTER = 'production';
const HOUR = 3_600_000;

/**
 * `npm start`: the main job, on a cluster in this process. The state is that of envoyproxy/gateway issue 5357; the audit
 * line, the two handlers and every request to the API server are the real ones.
 */
async function main(): Promise<void> {
  // Everything was set up an hour ago; what was written just now would be left to settle.
  let clock = () => new Date(Date.now() - HOUR);
  const cluster = await startEmbeddedCluster({
    now: () => clock(),
    users: {
      'admin-token': { username: 'kubernetes-admin', groups: ['system:masters'] },
      'jane-token': { username: 'jane@example.com', groups: ['system:masters'] },
    },
  });
  const api = clusterApi(connectionTo(cluster));
  try {
    await setUp(cluster);
    clock = () => new Date();

    heading('1. Before: Envoy Gateway v1.3 has made two HPAs, and people have made two of their own');
    printHpas(cluster);

    heading('2. Jane takes autoscaling (spec.provider.kubernetes.envoyHpa) out of EnvoyProxy shop/web');
    cluster.audit.length = 0;
    await send(cluster, 'jane-token', 'PATCH', `${PROXIES}/web?fieldManager=kubectl-patch`, {
      spec: { provider: { kubernetes: { envoyHpa: null } } },
    });
    print(
      'Envoy Gateway v1.3 forgets its HPA now. The API server has written to its audit log (which never has the body):',
    );
    print(`  ${JSON.stringify(cluster.audit[0])}`);

    heading('3. forward: CloudWatch Logs hands it the line, it puts an event on the bus');
    const onTheBus: BusEvent[] = [];
    const forward = createForward({
      config: { ACCOUNT_ID: PLACE.account, AWS_REGION: PLACE.region, EVENT_BUS_NAME: 'envoy-hpa-reaper' },
      eventBus: { put: async (events) => void onTheBus.push(...events) },
      log,
      metrics,
    });
    await forward(subscriptionEvent(CLUSTER, cluster.audit), lambdaContext('forward'));
    for (const { detail, detailType, resources } of onTheBus) {
      const { objectRef, user, verb, auditID } = changeDetailSchema.parse(detail);
      print(
        `  ${detailType}: ${verb} ${objectRef.resource} ${objectRef.namespace}/${objectRef.name} by ${user.username}`,
      );
      print(`  in ${resources[0]}, auditID ${auditID}`);
    }

    heading('4. reap: looks at the cluster, judges every HPA, deletes what is stale');
    const directory: AccountDirectory = {
      list: async () => [CLUSTER],
      describe: async () => ({ tags: {} }),
      connect: async () => api,
      forget: () => {},
    };
    const reports: SweepReport[] = [];
    const reap = createReap({
      config: {
        ACCOUNT_ID: PLACE.account,
        AWS_REGION: PLACE.region,
        MODE: 'delete',
        MAX_DELETIONS: 25,
        SETTLE_HPA_SECONDS: 120,
        SETTLE_CONFIG_SECONDS: 180,
        EVENT_BUS_NAME: 'envoy-hpa-reaper',
      },
      directory,
      eventBus: { put: async () => {} },
      log,
      metrics,
      now: () => clock(),
      onReport: (report) => reports.push(report),
    });
    const batch = queueBatch(onTheBus.map((event) => JSON.stringify(busEvent(event))));
    const deliver = async () => {
      cluster.requests.length = 0;
      const { batchItemFailures } = (await reap(batch, lambdaContext('reap'))) as SQSBatchResponse;
      const report = reports.at(-1);
      if (report === undefined || batchItemFailures.length > 0) throw new Error('the pass failed');
      printReport(report, cluster.requests.length);
      return report;
    };
    const first = await deliver();

    heading('5. After');
    printHpas(cluster);

    heading('6. The same event once more: it is only a hint, so nothing happens twice');
    const second = await deliver();

    const deleted = ({ hpas }: SweepReport) =>
      hpas.filter(({ outcome }) => outcome === 'Deleted').map(({ name }) => name);
    const left = cluster.objects('horizontalpodautoscalers').length;
    if (deleted(first).join() !== WEB || deleted(second).length > 0 || left !== 3)
      throw new Error('not what was to be shown');
    print('\nThat is all. `npm run -s reaper -- scan` looks at your own cluster and changes nothing.');
  } finally {
    api.close();
    await cluster.close();
  }
}

const WEB = hashedName('shop/web');
const API = hashedName('shop/api');
const SYSTEM = 'envoy-gateway-system';
const PROXIES = '/apis/gateway.envoyproxy.io/v1alpha1/namespaces/shop/envoyproxies';
const HPAS = `/apis/autoscaling/v2/namespaces`;

async function setUp(cluster: EmbeddedCluster): Promise<void> {
  const controllerName = 'gateway.envoyproxy.io/gatewayclass-controller';
  const autoscaled = {
    type: 'Kubernetes',
    kubernetes: { envoyDeployment: { replicas: 2 }, envoyHpa: { minReplicas: 2, maxReplicas: 10 } },
  };
  // Envoy Gateway has seen it as it is.
  const status = { conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted', observedGeneration: 1 }] };
  const gateway = (name: string) => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'shop', generation: 1 },
    status,
    spec: {
      gatewayClassName: 'envoy',
      infrastructure: { parametersRef: { group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name } },
      listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }],
    },
  });
  const proxy = (name: string) => ({
    apiVersion: 'gateway.envoyproxy.io/v1alpha1',
    kind: 'EnvoyProxy',
    metadata: { name, namespace: 'shop' },
    spec: { provider: autoscaled },
  });
  const deployment = (namespace: string, name: string) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: { replicas: 2, selector: { matchLabels: { name } } },
  });
  const config = `kind: EnvoyGateway\napiVersion: gateway.envoyproxy.io/v1alpha1\ngateway:\n  controllerName: ${controllerName}\n`;
  cluster.load({
    items: [
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'GatewayClass',
        metadata: { name: 'envoy', generation: 1 },
        spec: { controllerName },
        status,
      },
      ...['web', 'api'].flatMap((name) => [gateway(name), proxy(name)]),
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'envoy-gateway-config', namespace: SYSTEM },
        data: { 'envoy-gateway.yaml': config },
      },
      ...[WEB, API].map((name) => deployment(SYSTEM, name)),
      deployment('shop', 'checkout'),
    ],
  });

  const hpa = (namespace: string, name: string, target: string, labels?: Record<string, string>) => ({
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name, namespace, labels },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: target },
      minReplicas: 2,
      maxReplicas: 10,
    },
  });
  const owned = (gatewayName: string) => ({
    'gateway.envoyproxy.io/owning-gateway-name': gatewayName,
    'gateway.envoyproxy.io/owning-gateway-namespace': 'shop',
  });
  for (const [name, gatewayName] of [
    [WEB, 'web'],
    [API, 'api'],
  ] as const) {
    const path = `${HPAS}/${SYSTEM}/horizontalpodautoscalers/${name}`;
    await send(
      cluster,
      'admin-token',
      'PATCH',
      `${path}?fieldManager=envoy-gateway&force=true`,
      hpa(SYSTEM, name, name, owned(gatewayName)),
      'application/apply-patch+yaml',
    );
    await send(cluster, 'admin-token', 'PATCH', `${path}/status?fieldManager=kube-controller-manager`, {
      status: { currentReplicas: 6, desiredReplicas: 6 },
    });
  }
  await send(
    cluster,
    'jane-token',
    'POST',
    `${HPAS}/shop/horizontalpodautoscalers?fieldManager=kubectl-create`,
    hpa('shop', 'checkout', 'checkout'),
  );
  // Copied from Envoy Gateway's, label and all: it is hers all the same.
  await send(
    cluster,
    'jane-token',
    'POST',
    `${HPAS}/${SYSTEM}/horizontalpodautoscalers?fieldManager=kubectl-create`,
    hpa(SYSTEM, 'web-at-night', WEB, owned('web')),
  );
}

/** One request, as kubectl or Envoy Gateway would send it. */
async function send(
  cluster: EmbeddedCluster,
  token: string,
  method: string,
  path: string,
  body: object,
  contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
): Promise<void> {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': contentType, 'user-agent': 'kubectl/v1.34.1' };
    request(`${cluster.url}${path}`, { method, headers, ca: cluster.caCertificate, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    })
      .on('error', reject)
      .end(JSON.stringify(body));
  });
  if (status === undefined || status > 299) throw new Error(`${method} ${path} was answered ${status}`);
}

function printHpas(cluster: EmbeddedCluster): void {
  const rows = cluster.objects('horizontalpodautoscalers').map(({ metadata, spec }) => {
    const { scaleTargetRef, minReplicas, maxReplicas } = spec as {
      scaleTargetRef: { name: string };
      minReplicas: number;
      maxReplicas: number;
    };
    const manager = metadata.managedFields?.[0]?.manager ?? '';
    return [
      metadata.namespace ?? '',
      metadata.name,
      scaleTargetRef.name,
      `${minReplicas}-${maxReplicas}`,
      String(manager),
    ];
  });
  print(table([['NAMESPACE', 'NAME', 'SCALES', 'REPLICAS', 'MADE BY'], ...rows]).trimEnd());
}

function printReport({ hpas }: SweepReport, requests: number): void {
  for (const { namespace, name, outcome, reason, explanation, replicas, changes } of hpas) {
    print(`  ${styleText('bold', outcome)}: ${namespace}/${name} (${reason})`);
    print(`    ${explanation}`);
    if (outcome !== 'Deleted') continue;
    print(`    ${replicas.current} replicas run now. ${afterSentence(replicas) ?? ''}`);
    for (const { username, verb, resource, auditID } of changes)
      print(`    Changed by ${username} (${verb} ${resource}, auditID ${auditID}).`);
  }
  print(`  ${requests} requests to the API server`);
}

const log: Log = {
  info: () => {},
  warn: () => {},
  error: (message, attributes) => console.error(message, attributes ?? ''),
};
const metrics = { add: () => {} };
const print = (line: string) => console.log(line);
const heading = (text: string) => print(`\n${styleText('bold', text)}`);

await main();
