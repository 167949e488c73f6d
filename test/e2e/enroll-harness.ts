import type { Context } from 'aws-lambda';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { EnrollmentReport } from '../../functions/enrollment/enroll-clusters.ts';
import { SUBSCRIPTION_PATTERN } from '../../functions/events/audit-event.ts';
import { type AccountCluster, EksAccountDouble } from '../doubles/eks.ts';
import { allowing, type RecordedCall, statementsOf } from '../doubles/iam-policy.ts';
import { type StoredFilter, SubscriptionFiltersDouble } from '../doubles/subscription-filters.ts';
import { ACCOUNT, lambdaContext, REGION } from '../embedded-cluster/event-path.ts';
import { captureOutput, type Output } from './harness.ts';
import { FUNCTION_ENVIRONMENT } from './reap-harness.ts';

const iam = `arn:aws:iam::${ACCOUNT}:role`;
export const FORWARD_ARN = `arn:aws:lambda:${REGION}:${ACCOUNT}:function:envoy-hpa-reaper-forward`;
export const REAP = { arn: `${iam}/envoy-hpa-reaper-reap-${REGION}`, id: 'AROAREAP' };
export const BACKFILL = { arn: `${iam}/envoy-hpa-reaper-backfill-${REGION}`, id: 'AROABACKFILL' };
const STS = `arn:aws:sts::${ACCOUNT}:assumed-role`;

/** The environment of the function. */
export const environment = {
  ...FUNCTION_ENVIRONMENT,
  FORWARD_FUNCTION_ARN: FORWARD_ARN,
  REAP_ROLE_ARN: REAP.arn,
  REAP_ROLE_ID: REAP.id,
  BACKFILL_ROLE_ARN: BACKFILL.arn,
  BACKFILL_ROLE_ID: BACKFILL.id,
  CLUSTERS: '',
};

/** The filter and the entries that enrollment writes. */
export const ourFilter = (): StoredFilter => ({
  filterName: 'envoy-hpa-reaper',
  filterPattern: SUBSCRIPTION_PATTERN,
  destinationArn: FORWARD_ARN,
});
export const ourEntry = ({ arn, id }: typeof REAP) => ({
  kubernetesGroups: ['envoy-hpa-reaper'],
  username: `${STS}/${arn.split('/')[1]}/{{SessionName}}`,
  type: 'STANDARD',
  tags: { 'envoy-hpa-reaper/role-id': id },
});
export const ourEntries = () => new Map([REAP, BACKFILL].map((role) => [role.arn, ourEntry(role)]));
export const logGroup = (cluster: string) => `/aws/eks/${cluster}/cluster`;

/** Gives each test its own EKS, CloudWatch Logs and environment of the function. */
export function enrollmentSurroundings() {
  const self = {
    eks: new EksAccountDouble(),
    logs: new SubscriptionFiltersDouble(),
    output: {} as Output,
    /** Every call to EKS and CloudWatch Logs of all tests of the file. */
    recorded: [] as RecordedCall[],
    /** Adds a cluster that nobody has enrolled. */
    fresh(name: string, change?: Partial<AccountCluster>): AccountCluster {
      self.logs.add(logGroup(name));
      return self.eks.add(name, change);
    },
    /** Adds a cluster that is enrolled. */
    enrolled(name: string, change?: Partial<AccountCluster>): AccountCluster {
      self.logs.add(logGroup(name), [ourFilter()]);
      return self.eks.add(name, { entries: ourEntries(), ...change });
    },
  };
  beforeEach(async () => {
    self.eks = new EksAccountDouble();
    self.logs = new SubscriptionFiltersDouble();
    self.output = captureOutput();
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    vi.stubEnv('AWS_ENDPOINT_URL_EKS', await self.eks.start());
    vi.stubEnv('AWS_ENDPOINT_URL_CLOUDWATCH_LOGS', await self.logs.start());
    vi.resetModules();
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    await Promise.all([self.eks.stop(), self.logs.stop()]);
    self.recorded.push(...self.eks.calls, ...self.logs.calls);
    expect(self.output.text).not.toMatch(/AKIDEXAMPLE|secret-access-key|secret-session-token/);
    expect(self.output.text).not.toContain('reserved key');
  });
  return self;
}

/** The statements of the function's role, with the values of this account and Region. */
export const enrollStatements = () =>
  statementsOf('infra/enrollment.yml', 'EnrollRole', {
    'AWS::Partition': 'aws',
    'AWS::Region': REGION,
    'AWS::AccountId': ACCOUNT,
    'ReapRole.Arn': REAP.arn,
    'BackfillRole.Arn': BACKFILL.arn,
    ReapRole: REAP.arn.split('/')[1] as string,
    BackfillRole: BACKFILL.arn.split('/')[1] as string,
    'ForwardLambdaFunction.Arn': FORWARD_ARN,
    'UnenrolledQueue.Arn': 'the queue',
    'EnrollLogGroup.Arn': 'the log group',
  });

/** The calls that the function's role would refuse. */
export const refusedByRole = (calls: readonly RecordedCall[]) =>
  calls.filter((call) => allowing(enrollStatements(), call).length === 0);

/** The function exactly as Lambda loads it into a new process. */
export async function loadEnroll() {
  vi.resetModules();
  const { handler } = await import('../../functions/enroll/handler.ts');
  return handler as unknown as (event: unknown, context: Context) => Promise<EnrollmentReport>;
}

/** One invocation of a new process. */
export async function enroll(event: unknown, remaining = 300_000): Promise<EnrollmentReport> {
  return await (await loadEnroll())(event, lambdaContext('envoy-hpa-reaper-enroll', remaining));
}

/** Of each cluster `aim: because`, then `name state, action outcome` of what enrollment writes, and the reasons of problems. */
export const summaryOf = ({ clusters }: EnrollmentReport) =>
  Object.fromEntries(
    clusters.map(({ cluster, aim, because, findings }) => [
      cluster,
      [
        `${aim}: ${because}`,
        ...findings.flatMap(({ name, state, action, outcome, reason }) => {
          const short = name?.split('/').at(-1)?.replace(`-${REGION}`, '');
          const written = `${short} ${state}${action === 'none' ? '' : `, ${action} ${outcome}`}`;
          return [...(short && state !== 'unknown' ? [written] : []), ...(reason ? [reason] : [])];
        }),
      ],
    ]),
  );
