import type { Context, SQSBatchResponse } from 'aws-lambda';
import * as z from 'zod/mini';
import { EVENT_SOURCE } from '../events/event-source.ts';
import { outcomesOfProblem, sweepOutcomes } from '../events/outcome-event.ts';
import { changeOf } from '../events/outcomes.ts';
import { QUEUED_DETAILS, sweepPolicy } from '../events/queued-event.ts';
import type { SweepReport } from '../events/report.ts';
import type { AccountDirectory } from '../kubernetes/directory.ts';
import {
  AwsAccessError,
  describeError,
  MalformedInputError,
  NoAnswerError,
  RetryableError,
} from '../platform/errors.ts';
import type { Handler } from '../platform/lambda.ts';
import { eventBusSchema, formatZodIssues, placeSchema } from '../platform/schema.ts';
import { type ClusterOutcome, forEachCluster } from '../sweep/for-each-cluster.ts';
import { measureHpas, type Publisher, publishOutcomes } from '../sweep/publish-outcomes.ts';
import { sweepCluster } from '../sweep/sweep-cluster.ts';
import { guardsOf, sweepSettings } from '../sweep/sweep-settings.ts';

/** The environment variables of `reap`. */
export const reapConfigSchema = z.object({ ...placeSchema, ...sweepSettings, EVENT_BUS_NAME: eventBusSchema });

interface ReapDependencies extends Publisher {
  readonly config: z.infer<typeof reapConfigSchema>;
  readonly directory: AccountDirectory;
}
type Invocation = ReapDependencies & { readonly context: Context };

/** Maximum concurrent clusters; each holds its lists in memory. */
const CONCURRENT_CLUSTERS = 5;
/** Milliseconds; with less time left, no further cluster is begun. */
const MIN_SWEEP_MS = 10_000;
/** Milliseconds; with less time left, a sweep does not follow up conflicts. */
const MIN_RETRY_MS = 20_000;
/** Milliseconds before the end at which unfinished sweeps are cut off: their messages come back, those of the others do not. */
const DEADLINE_MS = 5_000;
/**
 * At this receive, a change that still settles is consumed, one receive before the queue would move it to the dead-letter
 * queue.
 */
const MAX_RECEIVES_WHILE_SETTLING = 7;
/** At this receive, a failing sweep request is consumed: the next scheduled sweep retries. */
const MAX_RECEIVES_SWEEP_REQUEST = 3;

const LIMIT = 'expected a whole number, 0 or more';
const eventSchema = <Type extends keyof typeof QUEUED_DETAILS>(type: Type) =>
  z.object({
    source: z.literal(EVENT_SOURCE),
    account: z.string(),
    region: z.string(),
    /** Of a direct invocation, which may also raise the limit for this sweep. A message of the queue cannot. */
    maxDeletions: z.optional(z.number(LIMIT).check(z.int(LIMIT), z.minimum(0, LIMIT))),
    'detail-type': z.literal(type),
    detail: QUEUED_DETAILS[type],
  });
const reapEventSchema = z.discriminatedUnion('detail-type', [
  eventSchema('Envoy Gateway Configuration Changed'),
  eventSchema('Cluster Sweep Requested'),
  eventSchema('Heartbeat'),
]);
/** The event that starts a sweep: a change in a cluster, or a request. */
type Trigger = Exclude<z.infer<typeof reapEventSchema>, { 'detail-type': 'Heartbeat' }>;

const sqsEventSchema = z.object({
  Records: z.array(
    z.object({
      eventSource: z.literal('aws:sqs'),
      messageId: z.string(),
      body: z.string(),
      attributes: z.object({ ApproximateReceiveCount: z.string() }),
    }),
  ),
});
type SqsRecord = z.infer<typeof sqsEventSchema>['Records'][number];

/** The answer to a direct invocation. */
type ClusterResult = SweepReport | { cluster: string; skipped: string; message: string; remedy: string };

/**
 * The Lambda handler of `reap`: sweeps the clusters that a batch of SQS messages names, and answers with the messages to
 * retry; or sweeps the cluster of one EventBridge event, and answers with the report.
 *
 * @throws for a direct invocation {@link MalformedInputError}, or whatever the sweep throws, so that Lambda retries it
 */
export function createHandler(dependencies: ReapDependencies): Handler<SQSBatchResponse | ClusterResult> {
  return async (event, context) => {
    const batch = sqsEventSchema.safeParse(event);
    const invocation = { ...dependencies, context };
    if (!batch.success) return await reapEvent(event, invocation);
    const retried = await reapBatch(batch.data.Records, invocation);
    return { batchItemFailures: retried.map((itemIdentifier) => ({ itemIdentifier })) };
  };
}

async function reapEvent(event: unknown, invocation: Invocation): Promise<ClusterResult> {
  const trigger = parseEvent(event, invocation.config);
  if (trigger['detail-type'] === 'Heartbeat') throw new MalformedInputError('a heartbeat must come through the queue');
  const { cluster } = trigger.detail;
  const outcome = (await sweepClusters([trigger], invocation, trigger.maxDeletions)).get(cluster);
  if (outcome === undefined) throw new RetryableError('no time left for this cluster');
  if ('value' in outcome) return outcome.value;
  const { result, problem, error } = outcome;
  if (result === 'failed') throw error;
  return { cluster, skipped: problem.reason, message: problem.message, remedy: problem.remedy };
}

/** @returns the ids of the messages to retry */
async function reapBatch(records: readonly SqsRecord[], invocation: Invocation): Promise<string[]> {
  const { config, log, metrics } = invocation;
  const retried: string[] = [];
  const messages: { messageId: string; receives: number; trigger: Trigger }[] = [];
  for (const { messageId, body, attributes } of records) {
    try {
      const trigger = parseEvent(parseJson(body), config);
      if (trigger['detail-type'] === 'Heartbeat') metrics.add('Heartbeats', 1);
      else messages.push({ messageId, receives: Number(attributes.ApproximateReceiveCount), trigger });
    } catch (error) {
      log.error('message not understood', { messageId, reason: describeError(error) });
      metrics.add('MessagesMalformed', 1);
      retried.push(messageId);
    }
  }
  const triggers = messages.map(({ trigger }) => trigger);
  const outcomes = await sweepClusters(triggers, invocation);
  for (const { messageId, receives, trigger } of messages) {
    const { cluster } = trigger.detail;
    const maxReceives = maxReceivesAfter(outcomes.get(cluster), trigger);
    if (receives < maxReceives) retried.push(messageId);
    else if (maxReceives > 0) {
      log.warn(`giving up after ${receives} receives; the next sweep retries`, { cluster, messageId });
    }
  }
  return retried;
}

/** The receive at which a message is consumed after this outcome; 0 if it is done. */
function maxReceivesAfter(outcome: ClusterOutcome<SweepReport> | undefined, trigger: Trigger): number {
  // A sweep that was not begun does not count.
  if (outcome === undefined) return Number.POSITIVE_INFINITY;
  const isRequest = trigger['detail-type'] === 'Cluster Sweep Requested';
  const whenFailed = isRequest ? MAX_RECEIVES_SWEEP_REQUEST : Number.POSITIVE_INFINITY;
  if ('problem' in outcome) {
    // A missing permission is not retried: a person has to grant it.
    return outcome.result === 'failed' && !(outcome.error instanceof AwsAccessError) ? whenFailed : 0;
  }
  if (outcome.value.hpas.some((hpa) => hpa.outcome === 'Failed')) return whenFailed;
  // What settles after a change has to be swept again; a request is followed by the next one.
  return outcome.value.lookAgain && !isRequest ? MAX_RECEIVES_WHILE_SETTLING : 0;
}

/** @returns by cluster; those that there was no time for are absent */
async function sweepClusters(
  triggers: readonly Trigger[],
  invocation: Invocation,
  raisedLimit?: number,
): Promise<Map<string, ClusterOutcome<SweepReport>>> {
  const { config, context, directory, log, metrics } = invocation;
  const region = config.AWS_REGION;
  const byCluster = Map.groupBy(triggers, ({ detail }) => detail.cluster);
  const { clusters } = await forEachCluster(
    {
      scopes: [{ region, directory }],
      clusters: [...byCluster.keys()],
      concurrency: CONCURRENT_CLUSTERS,
      hasTimeLeft: () => context.getRemainingTimeInMillis() >= MIN_SWEEP_MS,
      deadlineSignal: AbortSignal.timeout(Math.max(0, context.getRemainingTimeInMillis() - DEADLINE_MS)),
      keepsConnections: true,
    },
    ({ cluster }) => sweep(cluster, byCluster.get(cluster) ?? [], invocation, raisedLimit),
  );
  for (const outcome of clusters) {
    metrics.add('Sweeps', 1);
    if ('value' in outcome) continue;
    const { cluster, result, problem, error } = outcome;
    const { reason, message: explanation, remedy } = problem;
    const sweepId = sweepIdOf(cluster, context);
    const auditIDs = changesIn(byCluster.get(cluster) ?? []).map((one) => one.auditID);
    const line = { cluster, sweepId, reason, explanation, remedy, auditIDs };
    if (error instanceof NoAnswerError) metrics.add('ClustersUnreachable', 1);
    if (result === 'skipped') {
      metrics.add('ClustersSkipped', 1, reason);
      log.warn('cluster skipped', line);
    } else {
      metrics.add('SweepsFailed', 1);
      log.error('sweep failed', line);
    }
    await publishOutcomes(outcomesOfProblem({ cluster, region, sweepId }, result, problem), context, invocation);
  }
  const outcomes = new Map(clusters.map((outcome) => [outcome.cluster, outcome]));
  for (const cluster of byCluster.keys()) {
    if (outcomes.has(cluster)) continue;
    log.warn('no time left for this cluster, its messages go back to the queue', { cluster });
  }
  return outcomes;
}

async function sweep(
  cluster: string,
  triggers: readonly Trigger[],
  invocation: Invocation,
  raisedLimit: number | undefined,
): Promise<SweepReport> {
  const { config, context, directory, log, metrics, now } = invocation;
  const changes = changesIn(triggers);
  const runIds = triggers.flatMap((one) =>
    one['detail-type'] === 'Cluster Sweep Requested' ? [one.detail.runId] : [],
  );
  const { mode, maxDeletions } = sweepPolicy(
    triggers.map(({ detail }) => ({ mode: 'delete', ...detail })),
    { mode: config.MODE, maxDeletions: config.MAX_DELETIONS },
  );
  const sweepId = sweepIdOf(cluster, context);
  if (runIds.length > 0) log.info('sweep requested', { cluster, sweepId, runIds, mode, maxDeletions });
  const api = await directory.connect(cluster);
  const sentBefore = api.requestsSent();
  const report = await sweepCluster({
    cluster,
    api,
    mode,
    guards: { ...guardsOf(config), maxDeletions, raisedLimit },
    controllerNamespaces: config.CONTROLLER_NAMESPACES,
    hasTimeLeft: () => context.getRemainingTimeInMillis() > MIN_RETRY_MS,
    now,
    sweepId,
    log,
    changes: changes.map(changeOf),
  });
  metrics.add('RequestsPerSweep', api.requestsSent() - sentBefore);
  measureHpas(report, metrics);
  for (const hpa of report.hpas) {
    if (hpa.outcome !== 'Deleted' || hpa.changes.length === 0) continue;
    const earliest = Math.min(...hpa.changes.map(({ time }) => Date.parse(time)));
    metrics.add('SecondsToDeletion', (Date.parse(report.finishedAt) - earliest) / 1000);
  }
  const ref = { cluster, region: config.AWS_REGION, sweepId };
  await publishOutcomes(sweepOutcomes(ref, report, { mode, runIds }), context, invocation);
  return report;
}

const sweepIdOf = (cluster: string, { awsRequestId }: Context) => `${awsRequestId}/${cluster}`;

const changesIn = (triggers: readonly Trigger[]) =>
  triggers.flatMap((one) => (one['detail-type'] === 'Envoy Gateway Configuration Changed' ? [one.detail] : []));

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Without the cause, which quotes the text.
    throw new MalformedInputError('the message body is not JSON');
  }
}

/** @throws {MalformedInputError} for anything but an event of this project from this account and Region */
function parseEvent(event: unknown, { ACCOUNT_ID, AWS_REGION }: ReapDependencies['config']) {
  const parsed = reapEventSchema.safeParse(event);
  if (!parsed.success) {
    throw new MalformedInputError(
      `not an event of this project: ${formatZodIssues(parsed.error, '(the event)')}; expected source ${EVENT_SOURCE}, ` +
        'detail-type Envoy Gateway Configuration Changed, Cluster Sweep Requested or Heartbeat',
    );
  }
  const { account, region } = parsed.data;
  if (account === ACCOUNT_ID && region === AWS_REGION) return parsed.data;
  throw new MalformedInputError(
    `the event is from account ${account} in ${region}, and this function serves ${ACCOUNT_ID} in ${AWS_REGION}`,
  );
}
