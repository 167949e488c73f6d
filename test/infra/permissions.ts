import { describe, expect, test } from 'vitest';
import { isAllowed, list, needlessWildcards, type Statement, unusedParts } from '../doubles/iam-policy.ts';
import { PLACE } from '../embedded-cluster/event-path.ts';
import type { Account, Call } from './account.ts';

/** What Lambda and Scheduler do by themselves with a role that they are given. Neither of them runs here. */
const BY_AWS = {
  'sqs:ReceiveMessage': 'Lambda polls the queue',
  'sqs:DeleteMessage': 'Lambda deletes what the function did not give back',
  'sqs:GetQueueAttributes': 'Lambda asks how long the queue is',
  'sqs:SendMessage': 'Lambda and Scheduler put what failed to the last into a queue',
  'logs:CreateLogStream': "Lambda writes a function's log",
  'logs:PutLogEvents': "Lambda writes a function's log",
  'kms:GenerateDataKey': 'SQS, SNS and CloudWatch Logs encrypt in the name of who sends',
  'kms:Decrypt': 'SQS, SNS and CloudWatch Logs decrypt in the name of who sends or receives',
  'ec2:CreateNetworkInterface': 'Lambda lets a function into a VPC',
  'ec2:DeleteNetworkInterface': 'Lambda lets a function into a VPC',
  'ec2:DescribeNetworkInterfaces': 'Lambda lets a function into a VPC',
  'ec2:DescribeSubnets': 'Lambda lets a function into a VPC',
  'ec2:AssignPrivateIpAddresses': 'Lambda lets a function into a VPC',
  'ec2:UnassignPrivateIpAddresses': 'Lambda lets a function into a VPC',
  'xray:PutTraceSegments': 'Lambda writes the traces of invocations',
  'xray:PutTelemetryRecords': 'Lambda writes the traces of invocations',
} as const;

/** By role and statement, where IAM knows nothing narrower than `*`. */
const EVERY_RESOURCE = [
  // It tells names only.
  'backfill ListClusters',
  'enroll ListClusters',
  // Lambda asks for what there is.
  ...['backfill', 'reap'].map((role) => `${role} SeeNetwork`),
  // X-Ray has no resource that a trace could be about.
  ...['backfill', 'enroll', 'forward', 'reap'].map((role) => `${role} WriteTraces`),
];

/** Allowed, and not seen here. */
const NOT_CALLED = [
  // The request names no user; IAM may see an empty one.
  'enroll CreateOurEntries StringEqualsIfExists eks:username ',
];

const place = `${PLACE.region}:${PLACE.account}`;
/** Wildcards that every call here put the same into. */
const SAME_IN_EVERY_CALL = [
  // It is asked for a prefix that IAM is not told.
  `enroll ListLogGroups arn:aws:logs:${place}:log-group:{:log-stream:}`,
  // A log group's ARN goes on to its streams; which is named there, these actions do not say.
  ...['ReadAndDeleteFilters', 'PutFilters'].map(
    (statement) => `enroll ${statement} arn:aws:logs:${place}:log-group:/aws/eks/*/cluster:{log-stream:}`,
  ),
];

/** What a call says of itself beside its resource, and no condition needs to hold. */
const SAID_BY_THE_RESOURCE = ['Describe', 'Delete', 'Update'].map((verb) => `eks:${verb}AccessEntry eks:principalArn`);
/** Condition keys that the Service Authorization Reference does not list for the action: they may not be there. */
const MAY_BE_ABSENT = ['logs:PutSubscriptionFilter logs:DestinationArn'];
/** A person may have clusters of other Regions swept. */
const IN_EVERY_REGION = ['backfill eks:DescribeCluster'];

/** Nobody here has any business with these. */
const NEVER = [
  ...['eks:AssociateAccessPolicy', 'eks:UpdateClusterConfig', 'eks:DeleteCluster', 'eks:UntagResource'],
  ...['iam:PassRole', 'iam:PutRolePolicy', 'sts:AssumeRole', 'lambda:UpdateFunctionCode', 'lambda:AddPermission'],
  ...['logs:CreateLogGroup', 'logs:DeleteLogGroup', 'logs:PutResourcePolicy', 'events:PutRule', 'events:PutTargets'],
  ...['sqs:PurgeQueue', 'sqs:DeleteQueue', 'sqs:SetQueueAttributes'],
];

const shortOf = (role: string) => role.replace(/^envoy-hpa-reaper-/, '').replace(`-${PLACE.region}`, '');
const byAws = (action: string) => action in BY_AWS;

/** What is allowed, without what is done by AWS itself. */
const ofTheCode = (statements: readonly Statement[]): Statement[] =>
  statements
    .filter(({ Effect }) => Effect === 'Allow')
    .map((statement) => ({ ...statement, Action: list(statement.Action).filter((action) => !byAws(action)) }))
    .filter(({ Action }) => Action.length > 0);

interface Role {
  name: string;
  statements: Statement[];
  /** What was called with it. */
  calls: Call[];
}

/** @param statements of the role, and those that deny something to everybody */
const letsPass = (statements: readonly Statement[], { role, ...call }: Call) => {
  const principal = `arn:aws:iam::${PLACE.account}:role/${role}`;
  return isAllowed(statements, statements, { ...call, context: { ...call.context, 'aws:PrincipalArn': [principal] } });
};
const refusedBy = (statements: readonly Statement[], calls: readonly Call[]) =>
  calls.filter((call) => !letsPass(statements, call));
const unused = ({ name, statements, calls }: Role) =>
  unusedParts(ofTheCode(statements), calls).map((part) => `${name} ${part}`);
const needless = ({ name, statements, calls }: Role) =>
  needlessWildcards(ofTheCode(statements), calls).map((part) => `${name} ${part}`);

/**
 * Holds what the roles of the stack allow to what was called with them, both ways.
 *
 * @param notTold detail-types of outcomes that did not come to pass
 */
export function describePermissions(accountOf: () => Account, notTold: readonly string[] = []): void {
  const notCalled = [
    ...['reap', 'backfill'].flatMap((role) =>
      notTold.map((type) => `${role} PutOutcomes ForAllValues:StringEquals events:detail-type ${type}`),
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

    test('every function of the stack ran, and every schedule came round', () => {
      const account = accountOf();
      expect([...account.invoked].sort(), 'test/infra/whole-path.ts').toEqual([...account.functions].sort());
      expect([...account.fired].sort(), 'test/infra/whole-path.ts').toEqual([...account.schedules].sort());
    });

    test('every call is allowed by the role of who made it', async () => {
      const known = await roles();
      expect(known.flatMap(({ calls }) => calls)).toHaveLength(accountOf().calls().length);
      for (const { name, statements, calls } of known) expect(refusedBy(statements, calls), name).toEqual([]);
    });

    test('every action that is allowed was called, on each resource and with each value', async () => {
      const found = (await roles()).flatMap(unused).toSorted();
      expect(found, 'allowed, and no call recorded: take it away, or make the call in whole-path.ts').toEqual(
        notCalled.toSorted(),
      );
    });

    test('nothing is listed as done by AWS itself that no role allows', async () => {
      const allowed = new Set((await roles()).flatMap(({ statements }) => statements.flatMap(({ Action }) => Action)));
      expect(Object.keys(BY_AWS).filter((action) => !allowed.has(action))).toEqual([]);
    });

    test('a wildcard stands for different things', async () => {
      const [all, written] = [(await roles()).flatMap(needless), SAME_IN_EVERY_CALL];
      expect(all.sort()).toEqual(written.toSorted());
    });

    test('every resource is named but where IAM knows none', async () => {
      const everything = (await roles()).flatMap(({ name, statements }) =>
        statements
          .filter(({ Effect, Resource }) => Effect === 'Allow' && list(Resource).includes('*'))
          .map(({ Sid }) => `${name} ${Sid}`),
      );
      expect(everything.sort()).toEqual(EVERY_RESOURCE.toSorted());
    });

    test('the same calls elsewhere, or with something else in them, are refused', async () => {
      for (const { name, statements, calls } of await roles()) {
        const allowed = nearMisses(name, calls).filter(({ call }) => letsPass(statements, call));
        expect(allowed, name).toEqual([]);
      }
    });

    test('what nobody here has to do is refused to everybody', async () => {
      for (const { name, statements, calls } of await roles()) {
        const resources = ['*', ...calls.map(({ resource }) => resource)];
        const never = NEVER.flatMap((action) =>
          resources.map((resource) => ({ role: name, action, resource, context: {} })),
        );
        expect(
          never.filter((call) => letsPass(statements, call)),
          name,
        ).toEqual([]);
      }
    });

    test('what a function does is refused to the others that never do it', async () => {
      const all = await roles();
      for (const { name, statements, calls } of all) {
        const own = new Set(calls.flatMap(doings));
        const others = all
          .flatMap((role) => role.calls)
          .filter((call) => doings(call).some((doing) => !own.has(doing)));
        expect(others.length, name).toBeGreaterThan(0);
        expect(refusedBy(statements, others), name).toEqual(others);
      }
    });

    test('a statement that was narrower, or wider, would show above', async () => {
      const known = [...SAME_IN_EVERY_CALL, ...notCalled];
      const shows = (role: Role) =>
        refusedBy(role.statements, role.calls).length > 0 ||
        [...unused(role), ...needless(role)].some((part) => !known.includes(part)) ||
        nearMisses(role.name, role.calls).some(({ call }) => letsPass(role.statements, call));
      for (const role of await roles()) {
        expect(shows(role), role.name).toBe(false);
        const others = (statement: Statement) => role.statements.filter((other) => other !== statement);
        for (const statement of ofTheCode(role.statements)) {
          const original = role.statements.find(({ Sid }) => Sid === statement.Sid) as Statement;
          // What was not told cannot show that it may be told.
          const lacks = (mutant: Statement) =>
            notTold.some((type) => contains(original, type) && !contains(mutant, type));
          for (const mutant of [...narrower(original), ...wider(original)].filter((one) => !lacks(one))) {
            expect(shows({ ...role, statements: [...others(original), mutant] }), JSON.stringify(mutant)).toBe(true);
          }
        }
      }
    });
  });
}

const contains = (statement: Statement, text: string) => JSON.stringify(statement).includes(`"${text}"`);

/** An action, and what it is done with: an event of a kind is one, and one of another kind is another. */
const doings = ({ action, context }: Call): string[] =>
  (context['events:detail-type'] ?? ['']).map((detailType) => `${action} ${detailType}`);

/** Calls that differ from the recorded in one thing that the role must hold. */
function nearMisses(role: string, calls: readonly Call[]): { what: string; call: Call }[] {
  return calls.flatMap((call) => {
    const { action, resource, context } = call;
    const elsewhere = [
      { what: 'another account', resource: resource.replace(PLACE.account, '210987654321') },
      { what: 'another Region', resource: resource.replace(PLACE.region, 'ap-south-2') },
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

/** The statement without one of its actions, resources or values. */
function narrower(statement: Statement): Statement[] {
  const { Action, Resource, Condition = {} } = statement;
  const without = <T>(values: readonly T[]) => values.map((value) => values.filter((other) => other !== value));
  return [
    ...without(list(Action).filter((action) => !byAws(action))).map((actions) => ({ ...statement, Action: actions })),
    ...without(list(Resource)).map((resources) => ({ ...statement, Resource: resources })),
    ...Object.entries(Condition)
      .filter(([operator]) => operator !== 'Null' && !operator.endsWith('IfExists'))
      .flatMap(([operator, keys]) =>
        Object.entries(keys).flatMap(([key, values]) =>
          without(list(values)).map((fewer) => ({
            ...statement,
            Condition: { ...Condition, [operator]: { ...keys, [key]: fewer } },
          })),
        ),
      ),
  ];
}

/** The statement with one action, resource or value more, with a wildcard in place of a name, or without a condition. */
function wider(statement: Statement): Statement[] {
  const { Action, Resource, Condition = {} } = statement;
  const resources = list(Resource);
  return [
    { ...statement, Action: [...list(Action), 'eks:DeleteCluster'] },
    ...(resources.includes('*') ? [] : [{ ...statement, Resource: [...resources, 'arn:aws:eks:::cluster/another'] }]),
    ...resources
      .filter((resource) => resource.includes(PLACE.account))
      .map((resource) => ({
        ...statement,
        Resource: resources.map((other) => (other === resource ? resource.replace(PLACE.account, '*') : other)),
      })),
    ...Object.entries(Condition).flatMap(([operator, keys]) =>
      Object.entries(keys).flatMap(([key, values]) => {
        const { [key]: _, ...others } = keys;
        const without = { ...statement, Condition: { ...Condition, [operator]: others } };
        const more = {
          ...statement,
          Condition: { ...Condition, [operator]: { ...keys, [key]: [...list(values), 'x'] } },
        };
        return operator === 'Null' ? [without] : [without, more];
      }),
    ),
  ];
}
