import { describe, expect, test } from 'vitest';
import { isAllowed, list, needlessWildcards, type Statement, unusedParts } from '../doubles/iam-policy.ts';
import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import type { Account, Call } from './account.ts';

/** What AWS does with the permissions of a role. None of these services runs here. */
const BY_AWS = {
  'sqs:ReceiveMessage': 'Lambda polls the queue',
  'sqs:DeleteMessage': 'Lambda deletes what the function did not report as failed',
  'sqs:GetQueueAttributes': 'Lambda reads the length of the queue',
  'sqs:SendMessage': 'Lambda and Scheduler send failed events to a queue',
  'logs:CreateLogStream': 'Lambda writes the logs of functions',
  'logs:PutLogEvents': 'Lambda writes the logs of functions',
  'kms:GenerateDataKey': 'SQS and CloudWatch Logs encrypt with the permissions of the sender',
  'kms:Decrypt': 'SQS and CloudWatch Logs decrypt with the permissions of the sender or receiver',
  'ec2:CreateNetworkInterface': 'Lambda connects a function to a VPC',
  'ec2:DeleteNetworkInterface': 'Lambda connects a function to a VPC',
  'ec2:DescribeNetworkInterfaces': 'Lambda connects a function to a VPC',
  'ec2:DescribeSubnets': 'Lambda connects a function to a VPC',
  'ec2:AssignPrivateIpAddresses': 'Lambda connects a function to a VPC',
  'ec2:UnassignPrivateIpAddresses': 'Lambda connects a function to a VPC',
  'xray:PutTraceSegments': 'Lambda writes the traces of invocations',
  'xray:PutTelemetryRecords': 'Lambda writes the traces of invocations',
} as const;

/** The role and statement where IAM supports no resource. */
const EVERY_RESOURCE = [
  'backfill ListClusters',
  'enroll ListClusters',
  ...['backfill', 'reap'].map((role) => `${role} SeeNetwork`),
  ...['backfill', 'enroll', 'forward', 'reap'].map((role) => `${role} WriteTraces`),
];

/** Allowed, but not called here. */
const NOT_CALLED = [
  // The request has no username, which IAM may evaluate as an empty one.
  'enroll CreateOurEntries StringEqualsIfExists eks:username ',
];

const place = `${REGION}:${ACCOUNT}`;
/** Wildcards with the same value in every call here. */
const SAME_IN_EVERY_CALL = [
  // Called with a prefix, which IAM does not evaluate.
  `enroll ListLogGroups arn:aws:logs:${place}:log-group:{:log-stream:}`,
  // The ARN of a log group ends with its streams, which these actions do not name.
  ...['ReadAndDeleteFilters', 'PutFilters'].map(
    (statement) => `enroll ${statement} arn:aws:logs:${place}:log-group:/aws/eks/*/cluster:{log-stream:}`,
  ),
];

/** Context keys of a call that repeat its resource, so that no condition needs them. */
const SAID_BY_THE_RESOURCE = ['Describe', 'Delete', 'Update'].map((verb) => `eks:${verb}AccessEntry eks:principalArn`);
/** Condition keys that the Service Authorization Reference does not list for the action, so they may be absent. */
const MAY_BE_ABSENT = ['logs:PutSubscriptionFilter logs:DestinationArn'];
/** A person may sweep clusters of other Regions. */
const IN_EVERY_REGION = ['backfill eks:DescribeCluster'];

/** Actions that no role may do. */
const NEVER = [
  ...['eks:AssociateAccessPolicy', 'eks:UpdateClusterConfig', 'eks:DeleteCluster', 'eks:UntagResource'],
  ...['iam:PassRole', 'iam:PutRolePolicy', 'sts:AssumeRole', 'lambda:UpdateFunctionCode', 'lambda:AddPermission'],
  ...['logs:CreateLogGroup', 'logs:DeleteLogGroup', 'logs:PutResourcePolicy', 'events:PutRule', 'events:PutTargets'],
  ...['sqs:PurgeQueue', 'sqs:DeleteQueue', 'sqs:SetQueueAttributes'],
];

const shortOf = (role: string) => role.replace(/^envoy-hpa-reaper-/, '').replace(`-${REGION}`, '');
const byAws = (action: string) => action in BY_AWS;

/** What the statements allow, without what AWS does itself. */
const ofTheCode = (statements: readonly Statement[]): Statement[] =>
  statements
    .filter(({ Effect }) => Effect === 'Allow')
    .map((statement) => ({ ...statement, Action: list(statement.Action).filter((action) => !byAws(action)) }))
    .filter(({ Action }) => Action.length > 0);

interface Role {
  name: string;
  statements: Statement[];
  /** The calls with its credentials. */
  calls: Call[];
}

/** @param statements of the role and of the bus policy */
const passes = (statements: readonly Statement[], { role, ...call }: Call) => {
  const principal = `arn:aws:iam::${ACCOUNT}:role/${role}`;
  return isAllowed(statements, statements, { ...call, context: { ...call.context, 'aws:PrincipalArn': [principal] } });
};
const deniedBy = (statements: readonly Statement[], calls: readonly Call[]) =>
  calls.filter((call) => !passes(statements, call));
const unused = ({ name, statements, calls }: Role) =>
  unusedParts(ofTheCode(statements), calls).map((part) => `${name} ${part}`);
const needless = ({ name, statements, calls }: Role) =>
  needlessWildcards(ofTheCode(statements), calls).map((part) => `${name} ${part}`);

/**
 * Compares what the roles of the stack allow with what was called.
 *
 * @param notPublished detail-types of outcomes that did not occur
 */
export function describePermissions(accountOf: () => Account, notPublished: readonly string[] = []): void {
  const notCalled = [
    ...['reap', 'backfill'].flatMap((role) =>
      notPublished.map((type) => `${role} PutOutcomes ForAllValues:StringEquals events:detail-type ${type}`),
    ),
    ...NOT_CALLED,
  ];
  describe('the permissions', () => {
    async function roles(): Promise<Role[]> {
      const account = accountOf();
      const calls = account.calls();
      const [permissions, ofTheBus] = [[...(await account.permissions())], await account.busPolicy()];
      return permissions.map(([role, statements]) => ({
        name: shortOf(role),
        statements: [...statements, ...ofTheBus],
        calls: calls.filter((call) => call.role === role),
      }));
    }

    test('every function and every schedule of the stack ran', () => {
      const account = accountOf();
      expect([...account.invoked].sort(), 'test/infra/whole-path.ts').toEqual([...account.functions].sort());
      expect([...account.fired].sort(), 'test/infra/whole-path.ts').toEqual([...account.schedules].sort());
    });

    test('every call is allowed by the role of its caller', async () => {
      const known = await roles();
      expect(known.flatMap(({ calls }) => calls)).toHaveLength(accountOf().calls().length);
      for (const { name, statements, calls } of known) expect(deniedBy(statements, calls), name).toEqual([]);
    });

    test('every allowed action was called, on each resource and with each value of a condition', async () => {
      const found = (await roles()).flatMap(unused).toSorted();
      expect(found, 'allowed but not called: remove it, or call it in whole-path.ts').toEqual(notCalled.toSorted());
    });

    test('every action listed as done by AWS itself is allowed by a role', async () => {
      const allowed = new Set((await roles()).flatMap(({ statements }) => statements.flatMap(({ Action }) => Action)));
      expect(Object.keys(BY_AWS).filter((action) => !allowed.has(action))).toEqual([]);
    });

    test('every wildcard stands for different values', async () => {
      const [all, written] = [(await roles()).flatMap(needless), SAME_IN_EVERY_CALL];
      expect(all.sort()).toEqual(written.toSorted());
    });

    test('every resource is named, except where IAM supports none', async () => {
      const everything = (await roles()).flatMap(({ name, statements }) =>
        statements
          .filter(({ Effect, Resource }) => Effect === 'Allow' && list(Resource).includes('*'))
          .map(({ Sid }) => `${name} ${Sid}`),
      );
      expect(everything.sort()).toEqual(EVERY_RESOURCE.toSorted());
    });

    test('the same calls are denied for other resources and other values', async () => {
      for (const { name, statements, calls } of await roles()) {
        const allowed = nearMisses(name, calls).filter(({ call }) => passes(statements, call));
        expect(allowed, name).toEqual([]);
      }
    });

    test('what no role needs is denied to all of them', async () => {
      for (const { name, statements, calls } of await roles()) {
        const resources = ['*', ...calls.map(({ resource }) => resource)];
        const never = NEVER.flatMap((action) =>
          resources.map((resource) => ({ role: name, action, resource, context: {} })),
        );
        expect(
          never.filter((call) => passes(statements, call)),
          name,
        ).toEqual([]);
      }
    });

    test('what one function does is denied to the functions that do not', async () => {
      const all = await roles();
      for (const { name, statements, calls } of all) {
        const own = new Set(calls.flatMap(doings));
        const others = all
          .flatMap((role) => role.calls)
          .filter((call) => doings(call).some((doing) => !own.has(doing)));
        expect(others.length, name).toBeGreaterThan(0);
        expect(deniedBy(statements, others), name).toEqual(others);
      }
    });
  });
}

/** An action, and what it is done with: an event of a kind is one, and one of another kind is another. */
const doings = ({ action, context }: Call): string[] =>
  (context['events:detail-type'] ?? ['']).map((detailType) => `${action} ${detailType}`);

/** Calls that differ from the recorded ones in one resource or value. */
function nearMisses(role: string, calls: readonly Call[]): { what: string; call: Call }[] {
  return calls.flatMap((call) => {
    const { action, resource, context } = call;
    const elsewhere = [
      { what: 'another account', resource: resource.replace(ACCOUNT, '210987654321') },
      { what: 'another Region', resource: resource.replace(REGION, 'ap-south-2') },
      { what: 'another name', resource: resource.replace(/envoy-hpa-reaper[\w-]*/, 'another') },
      { what: 'a longer name', resource: resource.replace(/envoy-hpa-reaper[\w-]*/, '$&-2') },
      { what: 'logs of something else', resource: resource.replace('/aws/eks/', '/aws/lambda/') },
    ]
      .filter((miss) => miss.resource !== resource)
      .filter(({ what }) => what !== 'another Region' || !IN_EVERY_REGION.includes(`${role} ${action}`))
      .map(({ what, resource: other }) => ({ what, call: { ...call, resource: other } }));
    const changed = Object.keys(context)
      .filter((key) => !SAID_BY_THE_RESOURCE.includes(`${action} ${key}`))
      .flatMap((key) => {
        const { [key]: values = [], ...others } = context;
        const misses = [['another'], [...values, 'another']].map((other) => ({
          what: `another ${key}`,
          call: { ...call, context: { ...context, [key]: other } },
        }));
        const absent = { what: `no ${key}`, call: { ...call, context: others } };
        return MAY_BE_ABSENT.includes(`${action} ${key}`) ? misses : [...misses, absent];
      });
    const named = { what: 'a user', call: { ...call, context: { ...context, 'eks:username': ['admin'] } } };
    return [...elsewhere, ...changed, ...(action === 'eks:CreateAccessEntry' ? [named] : [])];
  });
}
