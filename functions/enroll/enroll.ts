import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod/mini';
import { type EnrollmentReport, type EnrollOptions, enrollClusters } from '../enrollment/enroll-clusters.ts';
import { clusterNameSchema } from '../platform/eks-names.ts';
import { describeError, RetryableError } from '../platform/errors.ts';
import type { Handler } from '../platform/lambda.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';
import { described, optional, parsePayload, placeSchema, textLike } from '../platform/schema.ts';

const roleArnSchema = textLike(/^arn:[^:]+:iam::\d{12}:role\/\S+$/, 'expected the ARN of a role');
const roleIdSchema = textLike(/^AROA[A-Z0-9]+$/, 'expected the unique id of a role (AROA…)');

/** The environment variables of `enroll`. */
export const enrollConfigSchema = z.object({
  ...placeSchema,
  FORWARD_FUNCTION_ARN: textLike(/^arn:[^:]+:lambda:[^:]+:\d{12}:function:\S+$/, 'expected the ARN of a function'),
  REAP_ROLE_ARN: roleArnSchema,
  REAP_ROLE_ID: roleIdSchema,
  BACKFILL_ROLE_ARN: roleArnSchema,
  BACKFILL_ROLE_ID: roleIdSchema,
  /** Comma-separated names; empty for all clusters. */
  CLUSTERS: textLike(/^([\w-]+(,[\w-]+)*)?$/, 'expected comma-separated names of clusters'),
});

interface EnrollDependencies extends Pick<EnrollOptions, 'directory' | 'filters' | 'entries' | 'log' | 'now'> {
  config: z.infer<typeof enrollConfigSchema>;
  metrics: MetricsRecorder;
}

/** Maximum concurrent clusters: the calls to EKS have low rate limits. */
const CONCURRENCY = 5;
/** Milliseconds that must be left to begin another cluster. */
const MIN_TIME_PER_CLUSTER_MS = 60_000;

const flag = (description: string) => optional(description, z.boolean('expected true or false'));
const clusterNamesSchema = z
  .array(clusterNameSchema, 'expected names of EKS clusters')
  .check(z.minLength(1, 'expected a name'));

/** A request of a person or the schedule. */
export const enrollmentRequestSchema = described(
  'The payload of `enroll`; {} enrolls every cluster',
  z.strictObject(
    {
      clusters: optional('The only clusters of this run; absent for all', clusterNamesSchema),
      remove: flag('Delete filters and access entries; the next scheduled run creates them again'),
      dryRun: flag('Report what would be done, and do nothing'),
    },
    'expected an object',
  ),
);

/** The payload with which CloudFormation invokes a function for a custom resource, as far as it is read here. */
const stackRequestSchema = z.object({
  RequestType: z.enum(['Create', 'Update', 'Delete']),
  /** Presigned: everybody who knows it can answer. */
  ResponseURL: z.url(),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  PhysicalResourceId: z.optional(z.string()),
});

/**
 * The Lambda handler of `enroll`. It returns the report for a request, and answers a request of CloudFormation about the stack
 * at CloudFormation's URL.
 *
 * @throws {MalformedInputError} for anything else, naming what is wrong with it
 * @throws {RetryableError} when the clusters or their log groups cannot be listed
 */
export function createHandler({
  config,
  metrics,
  ...clients
}: EnrollDependencies): Handler<EnrollmentReport | undefined> {
  return async (event, context) => {
    const run = async ({ clusters, remove = false, dryRun = false }: z.infer<typeof enrollmentRequestSchema>) => {
      const report = await enrollClusters({
        ...clients,
        clusters,
        remove,
        dryRun,
        region: config.AWS_REGION,
        destinationArn: config.FORWARD_FUNCTION_ARN,
        roles: [
          { arn: config.REAP_ROLE_ARN, id: config.REAP_ROLE_ID },
          { arn: config.BACKFILL_ROLE_ARN, id: config.BACKFILL_ROLE_ID },
        ],
        allowed: config.CLUSTERS === '' ? [] : config.CLUSTERS.split(','),
        concurrency: CONCURRENCY,
        hasTimeLeft: () => context.getRemainingTimeInMillis() > MIN_TIME_PER_CLUSTER_MS,
        runId: context.awsRequestId,
      });
      metrics.add('ClustersEnrolled', report.totals.enrolled);
      metrics.add('EnrollmentChanges', report.totals.changes);
      const problems = report.clusters.flatMap(({ findings }) => findings.flatMap(({ reason }) => reason ?? []));
      metrics.add('EnrollmentProblems', problems.filter((reason) => reason !== 'AuditLogOff').length);
      metrics.add('EnrollmentClustersLeft', report.remaining.length);
      return report;
    };
    const stackRequest = stackRequestSchema.safeParse(event);
    if (!stackRequest.success) return await run(parsePayload(enrollmentRequestSchema, event));
    const { RequestType } = stackRequest.data;
    const time = context.getRemainingTimeInMillis();
    const reason = RequestType === 'Delete' ? await whyNotRemoved(() => run({ remove: true }), time) : undefined;
    if (reason !== undefined) clients.log.error('removal not complete', { reason });
    const status = await answerStack(stackRequest.data, reason);
    clients.log.info('stack answered', { requestType: RequestType, status });
    return undefined;
  };
}

/** Milliseconds that are reserved for the answer, whatever is still under way. */
const ANSWER_TIME_MS = 20_000;
const ATTEMPTS = 3;
const ANSWER_TIMEOUT_MS = 4_000;
/** CloudFormation accepts no answer above 4 KB. */
const MAX_REASON_LENGTH = 1_000;
/** Always the same: an update that changes it is followed by a deletion. */
const PHYSICAL_ID = 'envoy-hpa-reaper-enrollment';

/**
 * Deletes what enrollment has created, in the time that CloudFormation's answer leaves.
 *
 * @param time milliseconds until Lambda ends this process
 * @returns why something is left, or `undefined`
 */
async function whyNotRemoved(removeAll: () => Promise<EnrollmentReport>, time: number): Promise<string | undefined> {
  const removal = async () => {
    const { clusters, remaining } = await removeAll();
    const problems = clusters.flatMap(({ cluster, findings }) =>
      findings.filter(({ reason }) => reason).map(({ found, remedy }) => `${cluster}: ${found}. ${remedy}`),
    );
    const late = `no time was left for ${remaining.length} clusters: delete the stack again`;
    return [...(remaining.length > 0 ? [late] : []), ...problems].join(' ') || undefined;
  };
  const timeout = Math.max(0, time - ANSWER_TIME_MS);
  return await Promise.race([
    removal().catch(describeError),
    delay(timeout, 'it took too long: delete the stack again', { ref: false }),
  ]);
}

/**
 * Answers CloudFormation, which would otherwise wait for an hour.
 *
 * @param reason of a failure: it keeps the stack, so that its deletion can be retried
 * @returns the status in the answer
 * @throws {RetryableError} when CloudFormation did not accept the answer
 */
async function answerStack(request: z.infer<typeof stackRequestSchema>, reason: string | undefined): Promise<string> {
  const { ResponseURL, StackId, RequestId, LogicalResourceId, PhysicalResourceId = PHYSICAL_ID } = request;
  const answer = {
    Status: reason === undefined ? 'SUCCESS' : 'FAILED',
    Reason: reason?.slice(0, MAX_REASON_LENGTH),
    ...{ PhysicalResourceId, StackId, RequestId, LogicalResourceId },
  };
  // The signature is for a request without a content type; fetch adds none to bytes.
  const body = new TextEncoder().encode(JSON.stringify(answer));
  for (let attempt = 1; ; attempt += 1) {
    try {
      const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
      const { ok, status } = await fetch(ResponseURL, { method: 'PUT', body, signal });
      if (ok) return answer.Status;
      throw new Error(`it answered ${status}`);
    } catch (error) {
      if (attempt === ATTEMPTS) {
        throw new RetryableError(`CloudFormation did not accept the answer: ${(error as Error).message}`);
      }
      await delay(500 * attempt);
    }
  }
}
