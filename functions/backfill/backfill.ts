import * as z from 'zod/mini';
import { outcomesOfRun } from '../events/outcome-event.ts';
import type { ClusterReport, RunReport } from '../events/report.ts';
import { shortenReport } from '../events/shortened-report.ts';
import type { AccountDirectory } from '../kubernetes/directory.ts';
import { clusterArn, clusterNameSchema } from '../platform/eks-names.ts';
import { UsageError } from '../platform/errors.ts';
import type { Handler } from '../platform/lambda.ts';
import { described, eventBusSchema, optional, parsePayload, placeSchema, wholeNumber } from '../platform/schema.ts';
import { measureHpas, type Publisher, publishOutcomes } from '../sweep/publish-outcomes.ts';
import { dispatchSweeps, sweepAccount } from '../sweep/sweep-account.ts';
import { guardsOf, sweepSettings } from '../sweep/sweep-settings.ts';

/** The environment variables of `backfill`. */
export const backfillConfigSchema = z.object({
  ...placeSchema,
  ...sweepSettings,
  MAX_DELETIONS_PER_RUN: wholeNumber(100, 0, 10_000),
  EVENT_BUS_NAME: eventBusSchema,
});

/** One of some values; the first is the default. */
const oneOf = <const Values extends readonly [string, ...string[]]>(values: Values, description: string) =>
  z._default(described(description, z.enum(values, `expected ${values.join(' or ')}`)), values[0]);

const wholeNumberBetween = (least: number, most: number, description: string) => {
  const expected = `expected a whole number from ${least} to ${most}`;
  const schema = z.number(expected).check(z.int(expected), z.minimum(least, expected), z.maximum(most, expected));
  return described(description, schema);
};

/** An empty list is rejected: it could mean all or none. */
const namesOf = <Schema extends z.ZodMiniType>(name: Schema, description: string) =>
  described(description, z.array(name, 'expected a list').check(z.minLength(1, 'names nothing; leave it out for all')));

const tagsSchema = z.record(z.string(), z.string('expected the value of a tag'), 'expected tags by key');

/** The payload of an invocation. Every description ends up in docs/schemas. */
export const payloadSchema = described(
  'What the function backfill is invoked with',
  z.strictObject(
    {
      clusters: z.optional(namesOf(clusterNameSchema, 'Names of EKS clusters; without it all of them')),
      regions: z.optional(namesOf(placeSchema.AWS_REGION, "AWS Regions; without it the function's own")),
      tags: optional('Only clusters that carry all of these tags', tagsSchema),
      mode: oneOf(['report', 'delete'], 'delete needs a deployment in mode delete; report writes nothing'),
      dispatch: oneOf(
        ['inline', 'bus'],
        'inline: sweep here and answer with the report; bus: have reap do it, through the queue',
      ),
      maxDeletions: z.optional(
        wholeNumberBetween(
          0,
          10_000,
          "inline: the limit of the whole run, in place of every other limit on how many HPAs may go at once; bus: a lower limit for each cluster than the deployment's",
        ),
      ),
      concurrency: z._default(wholeNumberBetween(1, 50, 'Maximum concurrent clusters'), 10),
    },
    'expected an object',
  ),
);
type Payload = z.infer<typeof payloadSchema>;

interface BackfillDependencies extends Publisher {
  readonly config: z.infer<typeof backfillConfigSchema>;
  /** A new directory for each invocation, so that the end of one that ran out of time does not affect the next. */
  readonly directoryOf: (region: string) => AccountDirectory;
}

/** Milliseconds; with less time left, no further cluster is begun and nothing more is written. */
const DRAIN_MS = 30_000;
/** Milliseconds; with less time left, connections are closed and the report is returned. */
const DEADLINE_MS = 5_000;
/** Lambda's limit for an answer is 6,291,556 bytes. */
const MAX_ANSWER_BYTES = 6_000_000;

/**
 * The Lambda handler of `backfill`: sweeps every cluster that the payload names (`dispatch: inline`), or requests that `reap`
 * does (`dispatch: bus`), and answers with one report.
 *
 * @throws {MalformedInputError} for a payload that does not fit
 * @throws {UsageError} for a payload that asks for more than the deployment allows
 * @throws {RetryableError} when no cluster can be listed, or events did not reach the bus
 */
export function createHandler(dependencies: BackfillDependencies): Handler<RunReport> {
  const { config, directoryOf, eventBus, log, now } = dependencies;
  return async (event, context) => {
    const payload = parsePayload(payloadSchema, event);
    refuseWhatIsNotAllowed(payload, config);
    const { clusters, tags, mode, concurrency, maxDeletions, regions = [config.AWS_REGION] } = payload;
    const signalAt = (left: number) =>
      AbortSignal.timeout(Math.max(0, Math.floor(context.getRemainingTimeInMillis() - left)));
    const options = {
      scopes: [...new Set(regions)].map((region) => ({ region, directory: directoryOf(region) })),
      clusters,
      tags,
      mode,
      concurrency,
      runId: context.awsRequestId,
      now,
      log,
      drainSignal: signalAt(DRAIN_MS),
      deadlineSignal: signalAt(DEADLINE_MS),
    };
    const arnOf = (cluster: string) => clusterArn(context.invokedFunctionArn, cluster);
    const report =
      payload.dispatch === 'bus'
        ? await dispatchSweeps({ ...options, eventBus, maxDeletions, arnOf })
        : await sweepAccount({
            ...options,
            guards: { ...guardsOf(config), raisedLimit: maxDeletions },
            controllerNamespaces: config.CONTROLLER_NAMESPACES,
            maxDeletionsOfRun: maxDeletions ?? config.MAX_DELETIONS_PER_RUN,
            logEveryHpa: true,
          });
    measure(report, payload, dependencies);
    await publishOutcomes(outcomesOfRun(report, config.AWS_REGION), context, dependencies);
    const answer = shortenReport(report, MAX_ANSWER_BYTES);
    if (answer.shortened) log.warn('report shortened', { runId: report.runId, leftOut: answer.shortened });
    return answer;
  };
}

function measure(report: RunReport, payload: Payload, { config, metrics }: BackfillDependencies): void {
  const { totals, clusters, regions, remaining } = report;
  measureHpas(
    { hpas: clusters.flatMap(({ hpas }) => hpas), missing: clusters.flatMap(({ missing }) => missing) },
    metrics,
  );
  metrics.add('ClustersSwept', totals.swept);
  metrics.add('ClustersDispatched', totals.dispatched ?? 0);
  metrics.add('ClustersFailed', totals.failed);
  metrics.add('ClustersRemaining', remaining.length);
  const withResult = (wanted: ClusterReport['result']) => clusters.filter(({ result }) => result === wanted);
  for (const [reason, { length }] of Map.groupBy(withResult('skipped'), ({ problem }) => problem?.reason)) {
    metrics.add('ClustersSkipped', length, reason);
  }
  metrics.add('ClustersUnreachable', clusters.filter(isUnreachable).length);
  const own = config.AWS_REGION;
  const includesAll = !payload.clusters && !payload.tags && (payload.regions ?? [own]).includes(own);
  // Skipped clusters, and those whose API server gave no answer, do not count: they have their own metrics.
  const failed = withResult('failed').filter((cluster) => !isUnreachable(cluster));
  const isCompleted = includesAll && ![...regions, ...remaining, ...failed].some(({ region }) => region === own);
  if (isCompleted) metrics.add('SweepsCompleted', 1);
}

const isUnreachable = ({ problem }: ClusterReport) =>
  problem !== undefined && ['ClusterUnreachable', 'ClusterEndpointPrivate'].includes(problem.reason);

/** @throws {UsageError} instead of silently doing less than requested */
function refuseWhatIsNotAllowed(
  { mode, dispatch, regions, maxDeletions }: Payload,
  config: BackfillDependencies['config'],
): void {
  const others = (regions ?? []).filter((region) => region !== config.AWS_REGION);
  const faults = [
    mode === 'delete' &&
      config.MODE === 'report' &&
      'mode delete, and this deployment only reports: deploy with --parameter-overrides Mode=delete',
    dispatch === 'bus' &&
      others.length > 0 &&
      `dispatch bus leads to clusters in ${config.AWS_REGION} only, not to ${others.join(', ')}: ` +
        'invoke the function of the stack in that Region, or use dispatch inline',
    dispatch === 'bus' &&
      maxDeletions !== undefined &&
      maxDeletions > config.MAX_DELETIONS &&
      `maxDeletions ${maxDeletions}, and dispatch bus cannot raise the limit of ${config.MAX_DELETIONS}: use dispatch inline`,
  ].filter((fault) => fault !== false);
  if (faults.length > 0) throw new UsageError(`refused: ${faults.join('; ')}`);
}
