import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import * as z from 'zod/mini';
import { type EnrollmentReport, type EnrollOptions, enrollClusters } from '../enrollment/enroll-clusters.ts';
import { placeSchema } from '../platform/config.ts';
import { clusterNameSchema } from '../platform/eks-names.ts';
import { describeError } from '../platform/errors.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';
import { parsePayload } from '../platform/schema.ts';
import { answerStack, isStackRequest } from './stack-request.ts';

const roleArnSchema = z.string().check(z.regex(/^arn:[^:]+:iam::\d{12}:role\/\S+$/, 'expected the ARN of a role'));
const roleIdSchema = z.string().check(z.regex(/^AROA[A-Z0-9]+$/, 'expected the unique id of a role (AROA…)'));

/** The environment variables of `enroll`. */
export const enrollConfigSchema = z.object({
  ...placeSchema,
  FORWARD_FUNCTION_ARN: z
    .string()
    .check(z.regex(/^arn:[^:]+:lambda:[^:]+:\d{12}:function:\S+$/, 'expected the ARN of a function')),
  REAP_ROLE_ARN: roleArnSchema,
  REAP_ROLE_ID: roleIdSchema,
  BACKFILL_ROLE_ARN: roleArnSchema,
  BACKFILL_ROLE_ID: roleIdSchema,
  /** Comma-separated names; empty for all clusters. */
  CLUSTERS: z.string().check(z.regex(/^([\w-]+(,[\w-]+)*)?$/, 'expected comma-separated names of clusters')),
});
type EnrollConfig = z.infer<typeof enrollConfigSchema>;

interface EnrollDependencies extends Pick<EnrollOptions, 'directory' | 'filters' | 'entries' | 'log' | 'now'> {
  config: EnrollConfig;
  metrics: MetricsRecorder;
}

/** Maximum concurrent clusters: the calls to EKS have low rate limits. */
const CONCURRENCY = 5;
/** Milliseconds that must be left to begin another cluster. */
const MIN_TIME_PER_CLUSTER_MS = 60_000;

const flag = (description: string) => z.optional(z.boolean('expected true or false').check(z.describe(description)));
const clusterNamesSchema = z
  .array(clusterNameSchema, 'expected names of EKS clusters')
  .check(z.minLength(1, 'expected a name'), z.describe('The only clusters of this run; absent for all'));

/** A request of a person or the schedule. */
export const enrollmentRequestSchema = z
  .strictObject(
    {
      clusters: z.optional(clusterNamesSchema),
      remove: flag('Delete filters and access entries; the next scheduled run creates them again'),
      dryRun: flag('Report what would be done, and do nothing'),
    },
    'expected an object',
  )
  .check(z.describe('The payload of `enroll`; {} enrolls every cluster'));
type EnrollmentRequest = z.infer<typeof enrollmentRequestSchema>;

/**
 * The Lambda handler of `enroll`. It returns the report for a request, and answers a request of CloudFormation about the stack
 * at CloudFormation's URL.
 *
 * @throws {MalformedInputError} for anything else, naming what is wrong with it
 * @throws {RetryableError} when the clusters or their log groups cannot be listed
 */
export function createHandler(dependencies: EnrollDependencies) {
  const { config, metrics, ...clients } = dependencies;
  const { log } = clients;
  return middy<unknown, EnrollmentReport | undefined>()
    .onError(({ error }) => {
      // Returning nothing leaves the failure a failure.
      log.error('enrollment failed', { error: error?.name, reason: describeError(error) });
    })
    .handler(async (event: unknown, context: Context): Promise<EnrollmentReport | undefined> => {
      const run = async ({ clusters, remove = false, dryRun = false }: EnrollmentRequest) => {
        const report = await enrollClusters({
          ...clients,
          ...{ clusters, remove, dryRun },
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
        metrics.add('EnrollmentProblems', report.totals.problems);
        metrics.add('EnrollmentClustersLeft', report.remaining.length);
        return report;
      };
      if (!isStackRequest(event)) return await run(parsePayload(enrollmentRequestSchema, event));
      const time = context.getRemainingTimeInMillis();
      await answerStack(event, { removeAll: () => run({ remove: true }), time, log });
      return undefined;
    });
}
