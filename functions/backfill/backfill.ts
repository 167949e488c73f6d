import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import * as z from 'zod/mini';
import type { EventBus } from '../aws/event-bus.ts';
import { outcomesOfRun } from '../events/outcome-event.ts';
import type { ClusterReport, RunReport } from '../events/report.ts';
import { shortenReport } from '../events/shortened-report.ts';
import type { AccountDirectory } from '../kubernetes/directory.ts';
import { eventBusSchema, placeSchema, regionSchema, wholeNumber } from '../platform/config.ts';
import { clusterArn, clusterNameSchema, partitionOf } from '../platform/eks-names.ts';
import { describeError, MalformedInputError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';
import { parsePayload } from '../platform/schema.ts';
import { measureHpas } from '../sweep/measure-hpas.ts';
import { publishOutcomes } from '../sweep/publish-outcomes.ts';
import { dispatchSweeps, sweepAccount } from '../sweep/sweep-account.ts';
import { guardsOf, sweepSettings } from '../sweep/sweep-settings.ts';

/** The environment variables of `backfill`. */
export const backfillConfigSchema = z.object({
  ...placeSchema,
  ...sweepSettings,
  MAX_DELETIONS_PER_RUN: wholeNumber(100, 0, 10_000),
  EVENT_BUS_NAME: eventBusSchema,
});
export type BackfillConfig = z.infer<typeof backfillConfigSchema>;

const described = <Schema extends z.ZodMiniType>(schema: Schema, description: string) =>
  schema.check(z.describe(description));

const oneOf = <const Values extends readonly [string, ...string[]]>(...values: Values) =>
  z.enum(values, `expected ${values.join(' or ')}`);

const wholeNumberBetween = (least: number, most: number) => {
  const expected = `expected a whole number from ${least} to ${most}`;
  return z.number(expected).check(z.int(expected), z.minimum(least, expected), z.maximum(most, expected));
};

/** An empty list would be read as all of them by the one and as none by the other. */
const namesOf = <Schema extends z.ZodMiniType>(name: Schema) =>
  z.array(name, 'expected a list').check(z.minLength(1, 'names nothing; leave it out for all'));

/** Every description ends up in docs/schemas. */
export const payloadSchema = z
  .strictObject(
    {
      clusters: z.optional(described(namesOf(clusterNameSchema), 'Names of EKS clusters; without it all of them')),
      regions: z.optional(described(namesOf(regionSchema), "AWS Regions; without it the function's own")),
      tags: z.optional(
        described(
          z.record(z.string(), z.string('expected the value of a tag'), 'expected tags by key'),
          'Only clusters that carry all of these tags',
        ),
      ),
      mode: z._default(
        described(oneOf('report', 'delete'), 'delete needs a deployment in mode delete; report writes nothing'),
        'report',
      ),
      dispatch: z._default(
        described(
          oneOf('inline', 'bus'),
          'inline: sweep here and answer with the report; bus: have reap do it, through the queue',
        ),
        'inline',
      ),
      maxDeletions: z.optional(
        described(
          wholeNumberBetween(0, 10_000),
          "inline: the limit of the whole run, in place of every other limit on how many HPAs may go at once; bus: a lower limit for each cluster than the deployment's",
        ),
      ),
      concurrency: z._default(described(wholeNumberBetween(1, 50), 'Clusters side by side'), 10),
    },
    'expected an object',
  )
  .check(z.describe('What the function backfill is invoked with'));
export type Payload = z.infer<typeof payloadSchema>;

export interface BackfillDependencies {
  config: BackfillConfig;
  /** A directory that no other invocation knows: what is left of one that ran out of time must not touch the next. */
  directoryOf: (region: string) => AccountDirectory;
  eventBus: EventBus;
  log: Log;
  metrics: MetricsRecorder;
  now: () => Date;
  /** Acts once, so many milliseconds later; the function that it gives takes that back. */
  startTimer: (milliseconds: number, act: () => void) => () => void;
}

/** With so much time left, in milliseconds, no further cluster is begun and nothing more is written. */
const STOP_AT = 30_000;
/** With so much time left, in milliseconds, connections end and the report is returned. */
const GIVE_UP_AT = 5_000;
/** So much time is left for the answer when the bus has not taken the outcomes. */
const LEFT_AFTER_OUTCOMES = 2_000;
/** Lambda's limit for an answer is 6 MB, 6,291,556 bytes by its error message. */
const MAX_ANSWER_BYTES = 6_000_000;

/**
 * The Lambda handler of `backfill`: sweeps every cluster that the payload names (`dispatch: inline`), or has `reap` do it
 * (`dispatch: bus`), and answers with one report.
 *
 * @throws {MalformedInputError} for a payload that does not fit, or asks for more than the deployment allows
 * @throws {RetryableError} when no cluster can be listed, or events did not reach the bus
 */
export function createHandler(dependencies: BackfillDependencies) {
  const { config, log } = dependencies;
  return middy<unknown, RunReport>()
    .onError(({ error }) => {
      // Returning nothing leaves the failure a failure.
      log.error('run failed', { error: error?.name, reason: describeError(error) });
    })
    .handler(async (event: unknown, context: Context) => {
      const payload = parsePayload(payloadSchema, event);
      refuseWhatIsNotAllowed(payload, config);
      const report = await run(payload, context, dependencies);
      measure(report, payload, dependencies);
      await tell(report, context, dependencies);
      const answer = shortenReport(report, MAX_ANSWER_BYTES);
      if (answer.shortened) log.warn('report shortened', { runId: report.runId, leftOut: answer.shortened });
      return answer;
    });
}

async function run(payload: Payload, context: Context, dependencies: BackfillDependencies): Promise<RunReport> {
  const { config, directoryOf, eventBus, log, now, startTimer } = dependencies;
  const { clusters, tags, mode, concurrency, maxDeletions } = payload;
  const stop = new AbortController();
  const deadlineSignal = new AbortController();
  const cancel = (
    [
      [stop, STOP_AT],
      [deadlineSignal, GIVE_UP_AT],
    ] as const
  ).map(([controller, left]) =>
    startTimer(Math.max(0, context.getRemainingTimeInMillis() - left), () => controller.abort()),
  );
  const common = {
    ...{ clusters, tags, mode, concurrency, now, log },
    runId: context.awsRequestId,
    drainSignal: stop.signal,
    deadlineSignal: deadlineSignal.signal,
  };
  const scopeOf = (region: string) => ({ region, directory: directoryOf(region) });
  try {
    if (payload.dispatch === 'bus') {
      const region = config.AWS_REGION;
      const place = { partition: partitionOf(context.invokedFunctionArn), region, account: config.ACCOUNT_ID };
      const arnOf = (cluster: string) => clusterArn(place, cluster);
      return await dispatchSweeps({ ...common, scopes: [scopeOf(region)], eventBus, maxDeletions, arnOf });
    }
    return await sweepAccount({
      ...common,
      scopes: [...new Set(payload.regions ?? [config.AWS_REGION])].map(scopeOf),
      guards: { ...guardsOf(config), raisedLimit: maxDeletions },
      controllerNamespaces: config.CONTROLLER_NAMESPACES,
      maxDeletionsOfRun: maxDeletions ?? config.MAX_DELETIONS_PER_RUN,
      logEveryHpa: true,
    });
  } finally {
    for (const take of cancel) take();
  }
}

function measure(report: RunReport, payload: Payload, { config, metrics }: BackfillDependencies): void {
  const { totals, clusters, remaining } = report;
  const ofAll = { hpas: clusters.flatMap(({ hpas }) => hpas), missing: clusters.flatMap(({ missing }) => missing) };
  measureHpas(ofAll, metrics);
  metrics.add('ClustersSwept', totals.swept);
  metrics.add('ClustersDispatched', totals.dispatched ?? 0);
  metrics.add('ClustersFailed', totals.failed);
  metrics.add('ClustersRemaining', remaining.length);
  const skipped = clusters.flatMap(({ result, problem }) => (result === 'skipped' && problem ? [problem.reason] : []));
  for (const [reason, { length }] of Map.groupBy(skipped, (one) => one)) {
    metrics.add('ClustersSkipped', length, reason);
  }
  metrics.add('ClustersUnreachable', clusters.filter(isUnreachable).length);
  if (isCompleted(report, payload, config.AWS_REGION)) metrics.add('SweepsCompleted', 1);
}

/**
 * Whether every cluster of the function's own Region was swept, or asked for over the bus: but for those that are skipped, or
 * whose API server gave no answer, which are told of by themselves.
 */
function isCompleted({ clusters, regions, remaining }: RunReport, payload: Payload, ownRegion: string): boolean {
  const isOfAll = payload.clusters === undefined && payload.tags === undefined;
  const isOfOwn = payload.regions === undefined || payload.regions.includes(ownRegion);
  const failed = clusters.filter((cluster) => cluster.result === 'failed' && !isUnreachable(cluster));
  return isOfAll && isOfOwn && ![...regions, ...remaining, ...failed].some(({ region }) => region === ownRegion);
}

const isUnreachable = ({ problem }: ClusterReport) => problem !== undefined && UNREACHABLE.includes(problem.reason);

/** The report is the answer, whatever becomes of its events. */
async function tell(
  report: RunReport,
  context: Context,
  { config, eventBus, log, metrics, now }: BackfillDependencies,
): Promise<void> {
  const timeLeft = context.getRemainingTimeInMillis() - LEFT_AFTER_OUTCOMES;
  const place = { partition: partitionOf(context.invokedFunctionArn), account: config.ACCOUNT_ID };
  await publishOutcomes(outcomesOfRun(report, config.AWS_REGION), { place, eventBus, log, metrics, now, timeLeft });
}

/** Of a cluster's problem. */
const UNREACHABLE = ['ClusterUnreachable', 'ClusterEndpointPrivate'];

/** @throws {MalformedInputError} in place of doing less than what was asked for without a word */
function refuseWhatIsNotAllowed({ mode, dispatch, regions, maxDeletions }: Payload, config: BackfillConfig): void {
  const faults: string[] = [];
  if (mode === 'delete' && config.MODE === 'report') {
    faults.push(
      'mode delete, and this deployment only reports: set mode: delete in infra/configuration.yml and deploy again',
    );
  }
  const others = (regions ?? []).filter((region) => region !== config.AWS_REGION);
  if (dispatch === 'bus' && others.length > 0) {
    faults.push(
      `dispatch bus leads to clusters in ${config.AWS_REGION} only, not to ${others.join(', ')}: ` +
        'invoke the function of the stack in that Region, or use dispatch inline',
    );
  }
  if (dispatch === 'bus' && maxDeletions !== undefined && maxDeletions > config.MAX_DELETIONS) {
    faults.push(
      `maxDeletions ${maxDeletions}, and dispatch bus cannot raise the limit of ${config.MAX_DELETIONS}: use dispatch inline`,
    );
  }
  if (faults.length > 0) throw new MalformedInputError(`refused: ${faults.join('; ')}`);
}
