import { styleText } from 'node:util';
import { tableLines } from '../../functions/cli/output/output.ts';
import { afterSentence } from '../../functions/cli/output/words.ts';
import { QUEUED_DETAILS } from '../../functions/events/queued-event.ts';
import type { SweepReport } from '../../functions/events/report.ts';
import { createHandler as createForward } from '../../functions/forward/forward.ts';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import type { AccountDirectory } from '../../functions/kubernetes/directory.ts';
import type { Log } from '../../functions/platform/logger.ts';
import { createHandler as createReap } from '../../functions/reap/reap.ts';
import {
  autoscaling,
  CONTROLLER_NAMESPACE,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
} from '../builders/cluster.ts';
import { connect } from '../contract/connection.ts';
import { connectionTo, type EmbeddedCluster, startEmbeddedCluster } from './embedded-cluster.ts';
import { ACCOUNT, type BusEvent, busEvent, lambdaContext, REGION, subscriptionEvent } from './event-path.ts';

const CLUSTER = 'production';

/**
 * `npm start`: the main job, on a cluster in this process. The state is that of envoyproxy/gateway issue 5357. The audit line, the
 * two handlers and every request to the API server are the real ones.
 */
async function main(): Promise<void> {
  const cluster = await startEmbeddedCluster({
    users: {
      'admin-token': { username: 'kubernetes-admin', groups: ['system:masters'] },
      'jane-token': { username: 'jane@example.com', groups: ['system:masters'] },
    },
  });
  const api = clusterApi(connectionTo(cluster));
  try {
    cluster.load({ items: OBJECTS });

    heading('1. Before: Envoy Gateway v1.3 has created two HPAs, and people have created two of their own');
    printHpas(cluster);

    heading('2. Jane removes autoscaling (spec.provider.kubernetes.envoyHpa) from EnvoyProxy shop/web');
    const jane = connect({ ...cluster, token: 'jane-token', userAgent: 'kubectl/v1.34.1' });
    const web = '/apis/gateway.envoyproxy.io/v1alpha1/namespaces/shop/envoyproxies/web?fieldManager=kubectl-patch';
    const { status } = await jane.merge(web, { spec: { provider: { kubernetes: { envoyHpa: null } } } });
    jane.close();
    if (status !== 200) throw new Error(`the patch was answered ${status}`);
    print('Envoy Gateway v1.3 forgets its HPA now. The API server has written to its audit log (never with the body):');
    print(`  ${JSON.stringify(cluster.audit[0])}`);

    heading('3. forward: CloudWatch Logs sends it the line, and it puts an event on the bus');
    const onTheBus: BusEvent[] = [];
    const forward = createForward({
      config: { ACCOUNT_ID: ACCOUNT, AWS_REGION: REGION, EVENT_BUS_NAME: 'envoy-hpa-reaper' },
      eventBus: { put: async (events) => void onTheBus.push(...events) },
      log,
      metrics,
    });
    await forward(subscriptionEvent(CLUSTER, cluster.audit), lambdaContext('forward'));
    for (const { detail, detailType, resources } of onTheBus) {
      const { objectRef, user, verb, auditID } = QUEUED_DETAILS['Envoy Gateway Configuration Changed'].parse(detail);
      print(
        `  ${detailType}: ${verb} ${objectRef.resource} ${objectRef.namespace}/${objectRef.name} by ${user.username}`,
      );
      print(`  in ${resources[0]}, auditID ${auditID}`);
    }

    heading('4. reap: sweeps the cluster: judges every HPA, and deletes what is stale');
    const directory: AccountDirectory = {
      list: async () => [CLUSTER],
      describe: async () => ({ tags: {} }),
      connect: async () => api,
      connection: async () => connectionTo(cluster),
      forget: () => {},
    };
    const reap = createReap({
      config: {
        ACCOUNT_ID: ACCOUNT,
        AWS_REGION: REGION,
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
      now: () => new Date(),
    });
    const [event] = onTheBus as [BusEvent];
    const deliver = async () => {
      cluster.requests.length = 0;
      const report = (await reap(busEvent(event), lambdaContext('reap'))) as SweepReport;
      printReport(report, cluster.requests.length);
      return report;
    };
    const first = await deliver();

    heading('5. After');
    printHpas(cluster);

    heading('6. The same event again: it is only a hint, so nothing happens twice');
    const second = await deliver();

    const deleted = ({ hpas }: SweepReport) =>
      hpas.filter(({ outcome }) => outcome === 'Deleted').map(({ name }) => name);
    const left = cluster.objects('horizontalpodautoscalers').length;
    if (deleted(first).join() !== WEB || deleted(second).length > 0 || left !== 3)
      throw new Error('unexpected outcome');
    print('\nThat is all. `npm run -s reaper -- scan` scans your own cluster and changes nothing.');
  } finally {
    api.close();
    await cluster.close();
  }
}

const WEB = hashedNameOf('shop/web');

const byKubectl = { labels: {}, managedFields: [{ manager: 'kubectl-create', operation: 'Update' }] };
const OBJECTS = [
  gatewayClass(),
  envoyGatewayConfig(),
  ...['web', 'api'].flatMap((name) => [
    gateway(`shop/${name}`, { proxy: name }),
    envoyProxy(`shop/${name}`, autoscaling()),
    deployment(`${CONTROLLER_NAMESPACE}/${hashedNameOf(`shop/${name}`)}`),
    envoyHpa(`shop/${name}`, { currentReplicas: 6 }),
  ]),
  deployment('shop/checkout'),
  envoyHpa('shop/checkout', { at: 'shop/checkout', metadata: byKubectl }),
  // A copy of Envoy Gateway's, with its labels, is still the person's own.
  envoyHpa('shop/web', {
    at: `${CONTROLLER_NAMESPACE}/web-at-night`,
    target: { apiVersion: 'apps/v1', kind: 'Deployment', name: WEB },
    metadata: { managedFields: byKubectl.managedFields },
  }),
];

function printHpas(cluster: EmbeddedCluster): void {
  const rows = cluster.objects('horizontalpodautoscalers').map(({ metadata, spec }) => {
    const { scaleTargetRef, minReplicas, maxReplicas } = spec as ReturnType<typeof envoyHpa>['spec'];
    const manager = String(metadata.managedFields?.[0]?.manager);
    return [metadata.namespace ?? '', metadata.name, scaleTargetRef.name, `${minReplicas}-${maxReplicas}`, manager];
  });
  print(tableLines([['NAMESPACE', 'NAME', 'SCALES', 'REPLICAS', 'CREATED BY'], ...rows]).join('\n'));
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
