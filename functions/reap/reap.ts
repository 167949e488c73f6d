import middy from '@middy/core';
import type { Context, SQSBatchResponse } from 'aws-lambda';
import * as z from 'zod/mini';
import type { EventBus } from '../aws/event-bus.ts';
import {
  CHANGE_DETAIL_TYPE,
  type ChangeDetail,
  changeDetailSchema,
  changeOf,
  EVENT_SOURCE,
} from '../events/change-event.ts';
import { type OutcomeEvent, outcomesOfProblem, sweepOutcomes } from '../events/outcome-event.ts';
import type { SweepReport } from '../events/report.ts';
import {
  clampToDeployment,
  HEARTBEAT_DETAIL_TYPE,
  heartbeatSchema,
  mostPermissive,
  SWEEP_DETAIL_TYPE,
  type SweepRequest,
  sweepRequestSchema,
} from '../events/sweep-request.ts';
import type { ClusterDirectory } from '../kubernetes/directory.ts';
import { eventBusSchema, placeSchema } from '../platform/config.ts';
import { partitionOf } from '../platform/eks-names.ts';
import { ClusterSkippedError, describeError, MalformedInputError, NoAnswerError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';
import { problemOf } from '../platform/problems.ts';
import { formatZodIssues } from '../platform/schema.ts';
import { measureHpas } from '../sweep/measure-hpas.ts';
import { publishOutcomes } from '../sweep/publish-outcomes.ts';
import { sweepCluster } from '../sweep/sweep-cluster.ts';
import { guardsOf, sweepSettings } from '../sweep/sweep-settings.ts';

/** The environment variables of `reap`. */
export const reapConfigSchema = z.object({
  ...placeSchema,
  ...sweepSettings,
  EVENT_BUS_NAME: eventBusSchema,
});
export type ReapConfig = z.infer<typeof reapConfigSchema>;

export interface ReapDependencies {
  config: ReapConfig;
  directory: ClusterDirectory;
  /** Gets the outcomes. */
  eventBus: EventBus;
  log: Log;
  metrics: MetricsRecorder;
  now: () => Date;
  /** Is given the report of every pass, for who wants more of it than the log. */
  onReport?: (report: SweepReport) => void;
}

/** With less time than this left, in milliseconds, no further cluster is begun. */
const LEAST_TIME_FOR_A_PASS = 10_000;
/** With less time than this left, in milliseconds, what conflicts is not tried again within the pass. */
const LEAST_TIME_FOR_ANOTHER_ATTEMPT = 20_000;
/** So many milliseconds before its time is up, the function stops waiting for the bus to take the outcomes. */
const LEFT_AFTER_OUTCOMES = 1_000;
/** At this receive of a message what settles is let go, one before the queue would call it a dead letter. */
const MAX_RECEIVES_WHILE_SETTLING = 7;
/** At this receive the request of a sweep that fails is let go: the next sweep asks again, and no dead letter is needed. */
const MAX_RECEIVES_SWEEP_REQUEST = 3;

const eventSchema = z.object({
  source: z.literal(EVENT_SOURCE),
  'detail-type': z.enum([CHANGE_DETAIL_TYPE, SWEEP_DETAIL_TYPE, HEARTBEAT_DETAIL_TYPE]),
  account: z.string(),
  region: z.string(),
  detail: z.looseObject({}),
});

/** What asks for a pass: something was written in a cluster, or somebody wants it looked at. */
type Trigger = { cluster: string; change: ChangeDetail } | { cluster: string; request: SweepRequest };

/** Who may invoke the function directly may also raise the limit, for this run. An event of the queue never does. */
const directEventSchema = z.object({
  maxDeletions: z.optional(z.number().check(z.int(), z.minimum(0))),
});

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

/** What a pass over one cluster came to, for who invokes the function by hand. */
export type ClusterResult = SweepReport | { cluster: string; skipped: string; message: string; remedy: string };

/**
 * The Lambda handler of `reap`: a batch of SQS messages with one EventBridge event each, answered with the messages that
 * failed; or one EventBridge event, answered with the report of the pass.
 *
 * @throws {MalformedInputError} for a direct invocation with anything else; and for a direct invocation whatever the pass
 * throws, so that Lambda tries it again
 */
export function createHandler(dependencies: ReapDependencies) {
  const { log } = dependencies;
  return middy<unknown, SQSBatchResponse | ClusterResult>()
    .onError(({ error }) => {
      // Returning nothing leaves the failure a failure.
      log.error('event not handled', { error: error?.name, reason: describeError(error) });
    })
    .handler(async (event: unknown, context: Context) => {
      const batch = sqsEventSchema.safeParse(event);
      if (batch.success) return { batchItemFailures: await reapBatch(batch.data.Records, context, dependencies) };
      const occasion = parseEvent(event, dependencies.config);
      if (occasion === 'heartbeat') {
        throw new MalformedInputError('a heartbeat that did not come through the queue says nothing');
      }
      const direct = directEventSchema.safeParse(event);
      if (!direct.success) throw new MalformedInputError('maxDeletions: expected a whole number, 0 or more');
      return await reapCluster(occasion.cluster, [occasion], context, dependencies, direct.data.maxDeletions);
    });
}

/** One pass for each cluster that the messages name. */
async function reapBatch(
  records: readonly SqsRecord[],
  context: Context,
  dependencies: ReapDependencies,
): Promise<SQSBatchResponse['batchItemFailures']> {
  const { log, metrics } = dependencies;
  const failures = new Set<string>();
  const byCluster = new Map<string, { record: SqsRecord; occasion: Trigger }[]>();
  for (const record of records) {
    try {
      const occasion = parseEvent(parseJson(record.body), dependencies.config);
      if (occasion === 'heartbeat') {
        metrics.add('Heartbeats', 1);
        continue;
      }
      byCluster.set(occasion.cluster, [...(byCluster.get(occasion.cluster) ?? []), { record, occasion }]);
    } catch (error) {
      log.error('message not understood', { messageId: record.messageId, reason: describeError(error) });
      metrics.add('MessagesMalformed', 1);
      failures.add(record.messageId);
    }
  }
  for (const [cluster, messages] of byCluster) {
    const fail = () => {
      for (const { record, occasion } of messages) {
        if ('change' in occasion || receivesOf(record) < MAX_RECEIVES_SWEEP_REQUEST) failures.add(record.messageId);
        else log.warn('tried for the last time, left to the next sweep', { cluster, messageId: record.messageId });
      }
    };
    if (context.getRemainingTimeInMillis() < LEAST_TIME_FOR_A_PASS) {
      log.warn('no time left for this cluster, its messages go back to the queue', { cluster });
      fail();
      continue;
    }
    try {
      const occasions = messages.map(({ occasion }) => occasion);
      const result = await reapCluster(cluster, occasions, context, dependencies);
      if ('skipped' in result) continue;
      if (result.hpas.some(({ outcome }) => outcome === 'Failed')) fail();
      else if (result.lookAgain) {
        for (const { record, occasion } of messages) {
          // What settles is news after a change; a request is followed by the next one.
          if ('request' in occasion) continue;
          if (receivesOf(record) < MAX_RECEIVES_WHILE_SETTLING) failures.add(record.messageId);
          else
            log.warn('looked at for the last time, left to the next event', { cluster, messageId: record.messageId });
        }
      }
    } catch (error) {
      log.error('pass failed, its messages go back to the queue', {
        ...{ cluster, sweepId: sweepIdOf(cluster, context), reason: describeError(error) },
        auditIDs: auditIDsOf(messages.map(({ occasion }) => occasion)),
      });
      metrics.add('SweepsFailed', 1);
      fail();
    }
  }
  return [...failures].map((itemIdentifier) => ({ itemIdentifier }));
}

const sweepIdOf = (cluster: string, { awsRequestId }: Context) => `${awsRequestId}/${cluster}`;

const auditIDsOf = (occasions: readonly Trigger[]) =>
  occasions.flatMap((occasion) => ('change' in occasion ? [occasion.change.auditID] : []));

const receivesOf = ({ attributes }: SqsRecord) => Number(attributes.ApproximateReceiveCount);

async function reapCluster(
  cluster: string,
  occasions: readonly Trigger[],
  context: Context,
  dependencies: ReapDependencies,
  raisedLimit?: number,
): Promise<ClusterResult> {
  const { config, directory, log, metrics, now, onReport } = dependencies;
  const changes = occasions.flatMap((occasion) => ('change' in occasion ? [changeOf(occasion.change)] : []));
  const requests = occasions.flatMap((occasion) => ('request' in occasion ? [occasion.request] : []));
  const own = { mode: config.MODE, maxDeletions: config.MAX_DELETIONS };
  const { mode, maxDeletions } = mostPermissive([
    ...changes.map(() => own),
    ...requests.map((request) => clampToDeployment(request, own)),
  ]);
  const sweepId = sweepIdOf(cluster, context);
  metrics.add('Sweeps', 1);
  const runIds = requests.map(({ runId }) => runId);
  const place = { cluster, region: config.AWS_REGION, sweepId };
  if (runIds.length > 0) log.info('sweep requested', { cluster, sweepId, runIds, mode, maxDeletions });
  try {
    const api = await directory.connect(cluster);
    const sentBefore = api.requestsSent();
    const report = await sweepCluster({
      cluster,
      api,
      mode,
      guards: { ...guardsOf(config), maxDeletions, raisedLimit },
      controllerNamespaces: config.CONTROLLER_NAMESPACES,
      hasTimeLeft: () => context.getRemainingTimeInMillis() > LEAST_TIME_FOR_ANOTHER_ATTEMPT,
      now,
      sweepId,
      log,
      changes,
    });
    metrics.add('RequestsPerPass', api.requestsSent() - sentBefore);
    measureHpas(report, metrics);
    for (const seconds of secondsToDeletion(report)) metrics.add('SecondsToDeletion', seconds);
    onReport?.(report);
    await tell(sweepOutcomes(place, report, { mode, runIds }), context, dependencies);
    return report;
  } catch (error) {
    // The cached endpoint, CA or token may no longer be valid.
    directory.forget(cluster);
    if (error instanceof NoAnswerError) metrics.add('ClustersUnreachable', 1);
    const isSkipped = error instanceof ClusterSkippedError;
    await tell(outcomesOfProblem(place, isSkipped ? 'skipped' : 'failed', problemOf(error)), context, dependencies);
    if (!isSkipped) throw error;
    const { reason, message, remedy } = error;
    const auditIDs = auditIDsOf(occasions);
    log.warn('cluster skipped', { cluster, sweepId, reason, explanation: message, remedy, auditIDs });
    metrics.add('ClustersSkipped', 1, reason);
    return { cluster, skipped: reason, message, remedy };
  }
}

/** Of each HPA that was deleted after a change: how long it was left behind, from the earliest change on. */
const secondsToDeletion = ({ hpas, finishedAt }: SweepReport): number[] =>
  hpas
    .filter(({ outcome, changes }) => outcome === 'Deleted' && changes.length > 0)
    .map(({ changes }) => (Date.parse(finishedAt) - Math.min(...changes.map(({ time }) => Date.parse(time)))) / 1000);

/** The deletions are done: whatever becomes of their events, no message comes back for it. */
async function tell(
  outcomes: readonly OutcomeEvent[],
  context: Context,
  { config, eventBus, log, metrics, now }: ReapDependencies,
): Promise<void> {
  const timeLeft = context.getRemainingTimeInMillis() - LEFT_AFTER_OUTCOMES;
  const place = { partition: partitionOf(context.invokedFunctionArn), account: config.ACCOUNT_ID };
  await publishOutcomes(outcomes, { place, eventBus, log, metrics, now, timeLeft });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new MalformedInputError('the message body is no JSON', { cause: error });
  }
}

/** @throws {MalformedInputError} for anything but an event that this project put in this account and Region */
function parseEvent(event: unknown, config: ReapConfig): Trigger | 'heartbeat' {
  const { account, region, detail, 'detail-type': type } = parsed(eventSchema, event, []);
  if (account !== config.ACCOUNT_ID || region !== config.AWS_REGION) {
    throw new MalformedInputError(
      `the event is of account ${account} in ${region}, and this function serves ${config.ACCOUNT_ID} in ${config.AWS_REGION}`,
    );
  }
  if (type === CHANGE_DETAIL_TYPE) {
    const change = parsed(changeDetailSchema, detail, ['detail']);
    return { cluster: change.cluster, change };
  }
  if (type === HEARTBEAT_DETAIL_TYPE) {
    parsed(heartbeatSchema, detail, ['detail']);
    return 'heartbeat';
  }
  const request = parsed(sweepRequestSchema, detail, ['detail']);
  return { cluster: request.cluster, request };
}

function parsed<Schema extends z.ZodMiniType>(schema: Schema, value: unknown, at: readonly string[]): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new MalformedInputError(
    `not an event of this project: ${formatZodIssues(result.error, '(the event)', at)}; expected source ${EVENT_SOURCE}, ` +
      `detail-type ${CHANGE_DETAIL_TYPE}, ${SWEEP_DETAIL_TYPE} or ${HEARTBEAT_DETAIL_TYPE}`,
  );
}
