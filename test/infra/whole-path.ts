import { PutSubscriptionFilterCommand } from '@aws-sdk/client-cloudwatch-logs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SUBSCRIPTION_PATTERN } from '../../functions/events/audit-event.ts';
import { logGroupOf } from '../../functions/platform/eks-names.ts';
import { type Connection, connect } from '../contract/connection.ts';
import { Installation, SYSTEM } from '../contract/envoy-gateway.ts';
import { type Server, waitFor } from '../contract/server.ts';
import { type AwsRequest, type ServiceAnswer, ServiceDouble } from '../doubles/service-double.ts';
import type { User } from '../embedded-cluster/authorization.ts';
import { ACCOUNT, REGION, subscriptionEvent } from '../embedded-cluster/event-path.ts';
import { type Account, deployTo, type Invocation } from './account.ts';
import { Moto } from './moto.ts';
import type { Packaging } from './packaged.ts';
import { describePermissions } from './permissions.ts';

const FORWARD = 'envoy-hpa-reaper-forward';
const BACKFILL = 'envoy-hpa-reaper-backfill';
const ENROLL = 'envoy-hpa-reaper-enroll';

const roleArn = (name: string) => `arn:aws:iam::${ACCOUNT}:role/envoy-hpa-reaper-${name}-${REGION}`;
const userOf = (name: string, session = '{{SessionName}}') =>
  `arn:aws:sts::${ACCOUNT}:assumed-role/envoy-hpa-reaper-${name}-${REGION}/${session}`;

/** The filter and the access entries of an enrolled cluster. */
const ENROLLED = {
  filters: [
    {
      filterName: 'envoy-hpa-reaper',
      filterPattern: SUBSCRIPTION_PATTERN,
      destinationArn: `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${FORWARD}`,
    },
  ],
  entries: Object.fromEntries(
    ['backfill', 'reap'].map((name) => [
      roleArn(name),
      {
        kubernetesGroups: ['envoy-hpa-reaper'],
        username: userOf(name),
        type: 'STANDARD',
        tags: { 'envoy-hpa-reaper/role-id': expect.stringMatching(/^AROA\w+$/) },
      },
    ]),
  ),
};
const NOT_ENROLLED = { filters: [], entries: {} };

/** The parameters that are off by default, and the mode that deletes. */
const ALL_ON = {
  Mode: 'delete',
  Tracing: 'active',
  NotifyEmail: 'sre@example.com',
  KmsKeyArn: `arn:aws:kms:${REGION}:${ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab`,
  SubnetIds: 'subnet-0a1b2c3d,subnet-4e5f6071',
  SecurityGroupIds: 'sg-0a1b2c3d',
  PermissionsBoundary: `arn:aws:iam::${ACCOUNT}:policy/boundary`,
};

/** Milliseconds, for about twenty invocations, each in its own process. */
const REQUEST_TIMEOUT_MS = 300_000;

/** Receives the responses of a custom resource. */
class ResponseDouble extends ServiceDouble {
  readonly responses: unknown[] = [];

  protected override answer(_request: AwsRequest, body: string): ServiceAnswer {
    this.responses.push(JSON.parse(body));
    return { status: 200, body: {} };
  }
}

/** Without the token of the reaper: the functions have their own. */
type ApiServer = Omit<Server, 'reaperToken'>;

export interface WholePathOptions {
  /** The bin folder of the virtual environment that install.sh creates. */
  bin: string;
  packaging: Packaging;
  /** @param userOf the user of a token */
  startServer(userOf: (token: string) => User | undefined): Promise<ApiServer>;
}

/**
 * Tests the deployed stack from creation to removal. One story runs once, part by part; each test checks the results of a part. The
 * account has the clusters `shop`, which is an API server, `dark`, where nothing answers, and `far`, in another Region and not enrolled.
 *
 * @param isOld whether objects are an hour old when they are created: no HPA is missing within ten minutes
 */
export function describeWholePath(name: string, optionsOf: () => WholePathOptions, { isOld = false } = {}): void {
  describe(`the deployed stack, with ${name}`, () => {
    let account: Account;
    let server: ApiServer;
    let admin: Connection;
    let story: Awaited<ReturnType<typeof play>>;
    const open: (() => void | Promise<void>)[] = [];

    beforeAll(async () => {
      const { bin, packaging, startServer } = optionsOf();
      const moto = await Moto.start(bin);
      open.push(() => moto.stop());
      account = await deployTo(moto, bin, packaging, ALL_ON);
      open.push(account.stop);
      server = await startServer((token) => account.userOf('shop', token));
      open.push(server.close);
      admin = connect({ ...server, token: server.adminToken });
      open.push(admin.close);
      story = await play();
    }, REQUEST_TIMEOUT_MS);
    afterAll(async () => {
      for (const close of open.reverse()) await close();
    });

    const known = new Set<string>();
    /** One part of the story: an action, the deliveries and outcomes that follow, and the state after them. */
    async function part(act: () => Promise<Invocation | undefined>) {
      const done = await act();
      const deliveries = await account.deliver();
      const outcomes = (await account.outcomes()).filter(({ id }) => !known.has(id));
      for (const { id } of outcomes) known.add(id);
      const { body } = await admin.get(`/apis/autoscaling/v2/namespaces/${SYSTEM}/horizontalpodautoscalers`);
      return {
        answer: done?.answer,
        deliveries,
        outcomes,
        published: outcomes
          .map(({ 'detail-type': type, detail: { cluster, hpa, reason } }) =>
            [type, cluster, hpa?.name ?? reason].filter(Boolean).join(' '),
          )
          .sort(),
        hpas: body.items.map((hpa: { metadata: { name: string } }) => hpa.metadata.name).sort(),
        shop: await enrollmentOf('shop'),
        dark: await enrollmentOf('dark'),
      };
    }

    const enrollmentOf = async (cluster: string) => ({
      filters: await account.filtersOf(cluster),
      entries: structuredClone(Object.fromEntries(account.entriesOf(cluster))),
    });

    async function play() {
      const ca = server.caCertificate;
      await account.createCluster('shop', { endpoint: server.url, ca });
      await account.createCluster('dark', { endpoint: 'https://127.0.0.1:9', ca });
      await account.createCluster('far', { endpoint: 'https://127.0.0.1:9', ca, region: 'eu-west-1' });
      const kept = await Installation.withHpa(admin, 'kept');
      const heard = await Installation.withHpa(admin, 'heard');
      const swept = await Installation.withHpa(admin, 'swept');
      const byHand = await Installation.withHpa(admin, 'by-hand');
      const names = { kept: kept.hpaName, heard: heard.hpaName, swept: swept.hpaName, byHand: byHand.hpaName };

      const before = await part(() => account.invoke(BACKFILL, {}));
      const enrolled = await part(() => account.fire('EnrollmentSchedule'));

      for (const cluster of ['shop', 'dark']) {
        await account.logs.send(
          new PutSubscriptionFilterCommand({
            ...{ logGroupName: logGroupOf(cluster), filterName: 'envoy-hpa-reaper', filterPattern: 'something else' },
            destinationArn: ENROLLED.filters[0]?.destinationArn,
          }),
        );
        const entries = account.entriesOf(cluster);
        Object.assign(entries.get(roleArn('reap')) ?? {}, { kubernetesGroups: ['system:masters'] });
        Object.assign(entries.get(roleArn('backfill')) ?? {}, { username: 'somebody' });
      }
      const repaired = await part(() => account.fire('EnrollmentSchedule'));

      account.entriesOf('shop').delete(roleArn('backfill'));
      const ofAnotherRole = { tags: { 'envoy-hpa-reaper/role-id': 'AROAGONE' } };
      Object.assign(account.entriesOf('shop').get(roleArn('reap')) ?? {}, ofAnotherRole);
      const renewed = await part(() => account.fire('EnrollmentSchedule'));

      const since = (await server.audit()).length;
      await heard.setAutoscaling('off');
      const written = async () => (await server.audit()).slice(since);
      // The audit log is written behind the answer.
      await waitFor(async () => (await written()).some(({ verb }) => verb === 'patch'));
      const lines = subscriptionEvent('shop', await written());
      const changed = await part(() => account.invoke(FORWARD, lines));

      const beat = await part(() => account.fire('HeartbeatSchedule'));

      await swept.setAutoscaling('off');
      const reportOverBus = await part(() => account.invoke(BACKFILL, { dispatch: 'bus' }));
      const heldBackOverBus = await part(() =>
        account.invoke(BACKFILL, { dispatch: 'bus', mode: 'delete', maxDeletions: 0 }),
      );
      const sweptOverBus = await part(() => account.fire('SweepSchedule'));

      await byHand.setAutoscaling('off');
      const reported = await part(() => account.invoke(BACKFILL, { clusters: ['shop'] }));
      const heldBack = await part(() =>
        account.invoke(BACKFILL, { clusters: ['shop'], mode: 'delete', maxDeletions: 0 }),
      );
      const deleted = await part(() => account.invoke(BACKFILL, { clusters: ['shop'], mode: 'delete' }));
      const elsewhere = await part(() => account.invoke(BACKFILL, { regions: ['eu-west-1'] }));
      const notifications = await account.notifications();

      await kept.deleteHpa();
      const missingOverBus = await part(() => account.fire('SweepSchedule'));
      const missing = await part(() => account.invoke(BACKFILL, { clusters: ['shop'] }));
      await kept.applyHpa();

      Object.assign(account.clusters.get('dark') ?? {}, { tags: { 'envoy-hpa-reaper': 'off' } });
      const optedOut = await part(() => account.fire('EnrollmentSchedule'));
      const removed = await removeStack();
      return {
        ...{ names, before, enrolled, repaired, renewed, changed, beat },
        ...{ reportOverBus, heldBackOverBus, sweptOverBus, reported, heldBack, deleted, elsewhere },
        ...{ notifications, missingOverBus, missing, optedOut, removed },
      };
    }

    /** Invokes `enroll` as CloudFormation does, with a URL for the response. */
    async function removeStack() {
      const cloudFormation = new ResponseDouble();
      const ResponseURL = await cloudFormation.start();
      try {
        const removal = await part(() =>
          account.invoke(ENROLL, {
            ...{ RequestType: 'Delete', RequestId: 'request', LogicalResourceId: 'EnrollmentRemoval' },
            ...{ StackId: 'stack', PhysicalResourceId: 'envoy-hpa-reaper-enrollment', ResponseURL },
          }),
        );
        return { ...removal, responses: cloudFormation.responses };
      } finally {
        await cloudFormation.stop();
      }
    }

    const detailsOf = ({ deliveries }: { deliveries: { messages: Record<string, unknown>[] }[] }) =>
      deliveries.flatMap(({ messages }) => messages.map((message) => [message['detail-type'], message.detail]));

    test('no cluster authorizes the functions before it is enrolled, which is published', () => {
      const { before } = story;
      expect(before.shop).toEqual(NOT_ENROLLED);
      expect(before.published).toEqual([
        'Cluster Unreachable dark ClusterUnreachable',
        'Cluster Unreachable shop ClusterUnauthorized',
      ]);
    });

    test('enrollment creates filters and entries, repairs drift, and replaces entries that are missing or of a deleted role', () => {
      const { enrolled, repaired, renewed } = story;
      for (const [{ shop, dark, answer }, changes] of [
        [enrolled, 6],
        [repaired, 6],
        [renewed, 2],
      ] as const) {
        expect([shop, dark]).toEqual([ENROLLED, ENROLLED]);
        expect(answer.totals).toEqual({ clusters: 2, enrolled: 2, changes, problems: 0 });
      }
    });

    test('a change passes through forward, bus, and queue, and reap deletes exactly the stale HPA', () => {
      const { changed, names, repaired } = story;
      expect(detailsOf(changed)).toEqual([
        [
          'Envoy Gateway Configuration Changed',
          expect.objectContaining({
            cluster: 'shop',
            verb: 'patch',
            objectRef: expect.objectContaining({ resource: 'envoyproxies', namespace: 'heard', name: 'web' }),
          }),
        ],
      ]);
      expect(changed.deliveries.map(({ answer }) => answer)).toEqual([{ batchItemFailures: [] }]);
      expect(repaired.hpas).toEqual(Object.values(names).sort());
      expect(changed.hpas).toEqual(repaired.hpas.filter((hpa: string) => hpa !== names.heard));
      expect(changed.published).toEqual([`HPA Deleted shop ${names.heard}`, 'Sweep Completed shop']);
      expect(changed.outcomes.find(({ 'detail-type': type }) => type === 'HPA Deleted')).toMatchObject({
        source: 'envoy-hpa-reaper',
        resources: [`arn:aws:eks:${REGION}:${ACCOUNT}:cluster/shop`],
        detail: {
          hpa: { reason: 'AutoscalingRemoved' },
          changes: [{ username: 'admin', verb: 'patch', resource: 'envoyproxies' }],
          manifest: { kind: 'HorizontalPodAutoscaler', metadata: { name: names.heard } },
        },
      });
    });

    test('a heartbeat passes through the queue and is counted, and changes nothing', () => {
      const { beat, changed } = story;
      expect(detailsOf(beat)).toEqual([['Heartbeat', { version: '1' }]]);
      const [delivery] = beat.deliveries;
      expect(delivery?.answer).toEqual({ batchItemFailures: [] });
      expect(delivery?.lines.find(({ _aws }) => _aws !== undefined)).toMatchObject({ Heartbeats: 1 });
      expect(beat.published).toEqual([]);
      expect(beat.hpas).toEqual(changed.hpas);
    });

    const unreachable = 'Cluster Unreachable dark ClusterUnreachable';

    test('a sweep over the bus does what was requested, and only the message of the unreachable cluster stays', () => {
      const { reportOverBus, heldBackOverBus, sweptOverBus, names, beat } = story;
      for (const [sweep, result, hpas] of [
        [reportOverBus, 'HPA Reported', beat.hpas],
        [heldBackOverBus, 'HPA Held Back', beat.hpas],
        [sweptOverBus, 'HPA Deleted', beat.hpas.filter((hpa: string) => hpa !== names.swept)],
      ] as const) {
        expect(sweep.published).toEqual([unreachable, `${result} shop ${names.swept}`, 'Sweep Completed shop']);
        expect(sweep.hpas).toEqual(hpas);
      }
      const [delivery, ...others] = sweptOverBus.deliveries;
      expect([delivery?.messages.length, delivery?.answer.batchItemFailures.length, others]).toEqual([2, 1, []]);
    });

    test('a sweep by hand returns its report and does what was requested', () => {
      const { reported, heldBack, deleted, elsewhere, names, sweptOverBus } = story;
      for (const [sweep, result, hpas] of [
        [reported, 'HPA Reported', sweptOverBus.hpas],
        [heldBack, 'HPA Held Back', sweptOverBus.hpas],
        [deleted, 'HPA Deleted', [names.kept]],
      ] as const) {
        expect(sweep.published).toEqual([`${result} shop ${names.byHand}`, 'Sweep Completed shop']);
        expect(sweep.hpas).toEqual(hpas);
      }
      expect(deleted.answer.totals).toMatchObject({ swept: 1, failed: 0 });
      expect(elsewhere.published).toEqual(['Cluster Unreachable far ClusterUnreachable']);
    });

    test('the topic gets one message for each sweep that deleted or held back something', () => {
      const counted = (deleted: number, heldBack: number) =>
        expect.stringMatching(
          new RegExp(`^HPAs of cluster shop in ${REGION}: ${deleted} deleted, ${heldBack} held back, 0 missing\\.`),
        );
      expect(story.notifications).toEqual([counted(1, 0), counted(0, 1), counted(1, 0), counted(0, 1), counted(1, 0)]);
    });

    test('a missing HPA is published once Envoy Gateway has had the time to create it', () => {
      const { missingOverBus, missing, names } = story;
      const published = isOld ? [`HPA Missing shop ${names.kept}`] : [];
      expect(missingOverBus.published).toEqual([unreachable, ...published, 'Sweep Completed shop']);
      expect(missing.published).toEqual([...published, 'Sweep Completed shop']);
      expect([missingOverBus.hpas, missing.hpas, missing.answer.totals.missing]).toEqual([[], [], published.length]);
    });

    test('enrollment removes only a cluster that opts out', () => {
      expect(story.optedOut.dark).toEqual(NOT_ENROLLED);
      expect(story.optedOut.shop).toEqual(ENROLLED);
    });

    test('the removal of the stack removes filters and entries, and responds to CloudFormation', () => {
      const { removed, names } = story;
      expect([removed.shop, removed.dark]).toEqual([NOT_ENROLLED, NOT_ENROLLED]);
      expect(removed.responses).toEqual([expect.objectContaining({ Status: 'SUCCESS', RequestId: 'request' })]);
      expect(removed.hpas).toEqual([names.kept]);
    });

    test('each function has the user of its access entry, and only stale HPAs are written', async () => {
      const ours = (await server.audit()).filter(({ user }) => user.username?.includes('assumed-role'));
      expect(new Set(ours.map(({ user }) => user.username))).toEqual(
        new Set(['reap', 'backfill'].map((role) => userOf(role, 'session'))),
      );
      const { heard, swept, byHand } = story.names;
      const writes = ours.filter(({ verb }) => !['get', 'list'].includes(verb));
      expect(
        writes.map(({ verb, objectRef, responseStatus }) => [verb, objectRef?.name, responseStatus?.code]),
      ).toEqual(
        [heard, swept, byHand].flatMap((hpa) => [
          ['patch', hpa, 200],
          ['delete', hpa, 200],
        ]),
      );
    });

    test('no secret is printed', () => {
      expect(account.printed()).toContain('"sweep finished"');
      expect(account.printed()).not.toMatch(/secret-of-|session-token|k8s-aws-v1/);
    });

    describePermissions(() => account, isOld ? [] : ['HPA Missing']);
  });
}
