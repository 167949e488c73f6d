import { describe, expect, test } from 'vitest';
import { isAllowed, list, needlessWildcards, type Statement, unusedParts } from '../doubles/iam-policy.ts';
import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import type { Account, Call } from './account.ts';

/** What AWS does with the permissions of a role. None of these services runs here. */
const BY_AWS = [
  // Lambda polls the queue of changes, and deletes what the function did not report as failed.
  ...['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
  // Lambda and Scheduler send failed events to a queue.
  'sqs:SendMessage',
  // Lambda writes logs and traces.
  ...['logs:CreateLogStream', 'logs:PutLogEvents', 'xray:PutTraceSegments', 'xray:PutTelemetryRecords'],
  // SQS and CloudWatch Logs encrypt and decrypt with the permissions of the sender or receiver.
  ...['kms:GenerateDataKey', 'kms:Decrypt'],
  // Lambda connects a function to a VPC.
  ...['ec2:CreateNetworkInterface', 'ec2:DeleteNetworkInterface', 'ec2:DescribeNetworkInterfaces'],
  ...['ec2:DescribeSubnets', 'ec2:AssignPrivateIpAddresses', 'ec2:UnassignPrivateIpAddresses'],
];

/** The role and statement where IAM supports no resource. */
const EVERY_RESOURCE = [
  'backfill ListClusters',
  'enroll ListClusters',
  'enroll ListLogGroups',
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

const shortOf = (role: string) => role.replace(/^envoy-hpa-reaper-/, '').replace(`-${REGION}`, '');

/** What the statements allow, without what AWS does itself. */
const ofTheCode = (statements: readonly Statement[]): Statement[] =>
  statements
    .filter(({ Effect }) => Effect === 'Allow')
    .map((statement) => ({ ...statement, Action: list(statement.Action).filter((action) => !BY_AWS.includes(action)) }))
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
/** The parts of the permissions that a search finds, as `role part`. */
const found = (search: typeof unusedParts, roles: readonly Role[]) =>
  roles.flatMap(({ name, statements, calls }) => search(ofTheCode(statements), calls).map((part) => `${name} ${part}`));

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
      return (await account.permissions()).map(([role, statements]) => ({
        ...{ name: shortOf(role), statements },
        calls: calls.filter((call) => call.role === role),
      }));
    }

    test('every function and every schedule of the stack ran', () => {
      expect(accountOf().idle(), 'test/infra/whole-path.ts').toEqual([]);
    });

    test('every call is allowed by the role of its caller', async () => {
      const known = await roles();
      expect(known.flatMap(({ calls }) => calls)).toHaveLength(accountOf().calls().length);
      const denied = known.flatMap(({ statements, calls }) => calls.filter((call) => !passes(statements, call)));
      expect(denied).toEqual([]);
    });

    test('every allowed action was called, on each resource and with each value of a condition', async () => {
      const unused = found(unusedParts, await roles());
      expect(unused.toSorted(), 'allowed but not called: remove it, or call it in whole-path.ts').toEqual(
        notCalled.toSorted(),
      );
    });

    test('every action listed as done by AWS itself is allowed by a role', async () => {
      const allowed = new Set((await roles()).flatMap(({ statements }) => statements.flatMap(({ Action }) => Action)));
      expect(BY_AWS.filter((action) => !allowed.has(action))).toEqual([]);
    });

    test('every wildcard stands for different values', async () => {
      expect(found(needlessWildcards, await roles()).toSorted()).toEqual(SAME_IN_EVERY_CALL.toSorted());
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
  });
}

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
