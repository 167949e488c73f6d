import { afterAll, describe, expect, test, vi } from 'vitest';
import { enrollmentReportSchema } from '../../functions/enrollment/enroll-clusters.ts';
import type { StoredEntry } from '../doubles/eks.ts';
import type { RecordedCall } from '../doubles/iam-policy.ts';
import { ACCOUNT, lambdaContext, REGION } from '../embedded-cluster/event-path.ts';
import {
  enroll,
  enrollmentSurroundings,
  enrollStatements,
  FORWARD_ARN,
  loadEnroll,
  logGroup,
  ourEntries,
  ourEntry,
  ourFilter,
  REAP,
  refusedByRole,
  summaryOf,
} from './enroll-harness.ts';

const around = enrollmentSurroundings();
const { fresh, enrolled } = around;

const THREE_CREATED = [
  'envoy-hpa-reaper absent, create done',
  'envoy-hpa-reaper-reap absent, create done',
  'envoy-hpa-reaper-backfill absent, create done',
];
const THREE_RIGHT = ['envoy-hpa-reaper right', 'envoy-hpa-reaper-reap right', 'envoy-hpa-reaper-backfill right'];
const THREE_DELETED = THREE_RIGHT.map((part) => part.replace('right', 'unwanted, delete done'));

const filtersOf = (name: string) => around.logs.groups.get(logGroup(name))?.filters;
const entriesOf = (name: string) => around.eks.clusters.get(name)?.entries;
const writes = () => [...around.eks.writes, ...around.logs.writes];

const theirs = { filterName: 'theirs', filterPattern: '', destinationArn: 'arn:aws:lambda:x:1:function:theirs' };
const ofTheStack = { ...ourFilter(), filterName: 'envoy-hpa-reaper-static' };
const toElsewhere = { ...ourFilter(), destinationArn: 'x' };

describe('a scheduled run', () => {
  test('enrolls every active cluster, over all pages, and reports, logs and counts it', async () => {
    for (const name of ['a', 'b', 'c']) fresh(name);
    for (const status of ['CREATING', 'UPDATING']) fresh(status, { status });
    around.logs.add('/aws/eks/a/somebody-elses');
    const report = await enroll({});

    expect(enrollmentReportSchema.parse(report)).toEqual(report);
    expect(summaryOf(report)).toEqual({
      ...Object.fromEntries(['a', 'b', 'c'].map((name) => [name, ['enroll: Active', ...THREE_CREATED]])),
      CREATING: ['leave: NotActive'],
      UPDATING: ['leave: NotActive'],
    });
    expect(report).toMatchObject({ totals: { clusters: 5, enrolled: 3, changes: 9, problems: 0 }, remaining: [] });
    for (const name of ['a', 'b', 'c']) {
      expect(filtersOf(name)).toEqual([ourFilter()]);
      expect(entriesOf(name)).toEqual(ourEntries());
    }
    expect(entriesOf('UPDATING')).toEqual(new Map());
    expect(around.output.counted('ClustersEnrolled')).toBe(3);
    expect(around.output.counted('EnrollmentChanges')).toBe(9);
    expect(around.output.logged().filter(({ message }) => message === 'enrollment changed')).toHaveLength(9);
  });

  test('writes nothing the second time, and sees a tag that was changed since', async () => {
    fresh('a');
    const optingOut = fresh('b');
    const handler = await loadEnroll();
    const context = lambdaContext('envoy-hpa-reaper-enroll', 300_000);
    await handler({}, context);
    expect(writes()).toHaveLength(10); // Creating an entry with a tag is two actions in IAM.
    around.eks.calls.length = 0;
    around.logs.calls.length = 0;
    expect(summaryOf(await handler({}, context))).toEqual({
      a: ['enroll: Active', ...THREE_RIGHT],
      b: ['enroll: Active', ...THREE_RIGHT],
    });
    expect(writes()).toEqual([]);
    optingOut.tags = { 'envoy-hpa-reaper': 'off' };
    expect(summaryOf(await handler({}, context)).b).toEqual(['remove: OptedOut', ...THREE_DELETED]);
  });

  const UPDATED = ['eks:UpdateAccessEntry'];
  const REPLACED = ['eks:DeleteAccessEntry', 'eks:CreateAccessEntry', 'eks:TagResource'];
  const BEFORE = { 'envoy-hpa-reaper/role-id': 'AROABEFORE' };
  const REFUSED = 'that IAM refuses to update';

  test.each<[string, Partial<StoredEntry>, string, string[]]>([
    ['of other groups', { kubernetesGroups: ['viewers'] }, 'different, update done', UPDATED],
    ['of one more group', { kubernetesGroups: ['envoy-hpa-reaper', 'x'] }, 'different, update done', UPDATED],
    ['of another user', { username: 'admin' }, 'different, update done', UPDATED],
    ['of another type', { type: 'EC2_LINUX' }, 'different, replace done', REPLACED],
    ['of an unknown role', { tags: {} }, 'untagged, replace done', REPLACED],
    ['of a role before this one', { tags: BEFORE, kubernetesGroups: ['x'] }, 'dead, replace done', REPLACED],
    [REFUSED, { username: 'x' }, 'different, update done', [...UPDATED, ...REPLACED]],
  ])('fixes an entry %s, and no other', async (what, change, fixed, calls) => {
    if (what === REFUSED) around.eks.refuse(/^POST .*access-entries\/.*reap-eu/, 403, 'AccessDeniedException');
    const theirEntry = { ...ourEntry(REAP), kubernetesGroups: ['admins'] };
    const { entries } = enrolled('changed');
    entries.set(REAP.arn, { ...ourEntry(REAP), ...change }).set('arn:aws:iam::1:role/theirs', theirEntry);
    const [filter, reap, backfill] = THREE_RIGHT;
    expect(summaryOf(await enroll({}))).toEqual({
      changed: ['enroll: Active', filter, reap?.replace('right', fixed), backfill],
    });
    expect(entries).toEqual(ourEntries().set('arn:aws:iam::1:role/theirs', theirEntry));
    expect(writes()).toEqual(calls);
  });

  test.each([
    ['of theirs', [theirs], 'absent, create done'],
    ['of ours with another pattern', [theirs, { ...ourFilter(), filterPattern: '' }], 'different, update done'],
    ['of ours to elsewhere', [toElsewhere], 'different, update done'],
    ['of the stack, and of ours to elsewhere', [ofTheStack, toElsewhere], 'different, update done'],
    ['of the stack to elsewhere', [{ ...ofTheStack, destinationArn: 'x' }], 'absent, create done'],
    ['of the stack', [ofTheStack], undefined],
  ])(
    'makes the lines reach the function where there is a filter %s, and touches no other',
    async (_, filters, fixed) => {
      around.logs.add(logGroup('shop'), [...filters]);
      around.eks.add('shop', { entries: ourEntries() });
      const [right, ...entries] = THREE_RIGHT;
      const filter = fixed ? `envoy-hpa-reaper ${fixed}` : right?.replace(' ', '-static ');
      expect(summaryOf(await enroll({}))).toEqual({ shop: ['enroll: Active', filter, ...entries] });
      const others = filters.filter(({ filterName }) => filterName !== 'envoy-hpa-reaper');
      expect(new Set(filtersOf('shop'))).toEqual(new Set([...others, ...(fixed ? [ourFilter()] : [])]));
      expect(writes()).toEqual(fixed ? ['logs:PutSubscriptionFilter'] : []);
    },
  );

  test('deletes ours where a cluster opts out, leaves the list or is gone, and nothing else', async () => {
    vi.stubEnv('CLUSTERS', 'listed,opted-out');
    enrolled('opted-out', { tags: { 'envoy-hpa-reaper': 'off' }, auditLog: false });
    filtersOf('opted-out')?.unshift(theirs);
    enrolled('not-listed').entries.set('arn:aws:iam::1:role/theirs', ourEntry(REAP));
    filtersOf('not-listed')?.push(ofTheStack);
    enrolled('listed', { tags: { 'envoy-hpa-reaper': 'on' } });
    around.logs.add(logGroup('gone'), [ourFilter(), theirs]);
    around.logs.add(logGroup('long-gone'), [theirs]);

    expect(summaryOf(await enroll({}))).toEqual({
      'opted-out': ['remove: OptedOut', ...THREE_DELETED],
      'not-listed': ['remove: NotListed', ...THREE_DELETED],
      listed: ['enroll: Active', ...THREE_RIGHT],
      gone: ['remove: Gone', THREE_DELETED[0]],
    });
    expect(filtersOf('opted-out')).toEqual([theirs]);
    expect(filtersOf('not-listed')).toEqual([ofTheStack]);
    expect(filtersOf('gone')).toEqual([theirs]);
    expect(filtersOf('long-gone')).toEqual([theirs]);
    expect([...(entriesOf('opted-out')?.keys() ?? [])]).toEqual([]);
    expect([...(entriesOf('not-listed')?.keys() ?? [])]).toEqual(['arn:aws:iam::1:role/theirs']);
  });

  test('leaves a cluster that is being deleted, and deletes its filter once it is gone', async () => {
    enrolled('a', { status: 'DELETING' });
    expect(summaryOf(await enroll({}))).toEqual({ a: ['leave: NotActive'] });
    expect(filtersOf('a')).toEqual([ourFilter()]);
    around.eks.clusters.delete('a');
    expect(summaryOf(await enroll({}))).toEqual({ a: ['remove: Gone', THREE_DELETED[0]] });
    expect(filtersOf('a')).toEqual([]);
  });

  test('does not report a deleted cluster whose log group is deleted during the run', async () => {
    around.logs.add(logGroup('gone'), [ourFilter()]);
    around.logs.refuse(/^DescribeSubscriptionFilters /, 400, 'ResourceNotFoundException');
    expect(await enroll({})).toMatchObject({ clusters: [], totals: { problems: 0 } });
  });

  test('reports each problem of a cluster with its remedy, turns nothing on, and enrolls the others', async () => {
    fresh('audit-off', { auditLog: false });
    around.eks.add('never-logged', { auditLog: false });
    around.eks.add('no-log-group');
    around.eks.add('other-class');
    around.logs.add(logGroup('other-class'), [], 'INFREQUENT_ACCESS');
    around.eks.add('full');
    around.logs.add(logGroup('full'), [theirs, { ...theirs, filterName: 'more' }]);
    fresh('config-map', { authenticationMode: 'CONFIG_MAP' });
    fresh('denied');
    around.eks.refuse(/denied\/access-entries.*reap-eu/, 403, 'AccessDeniedException');
    fresh('broken');
    around.logs.refuse(/^PutSubscriptionFilter .*broken/, 400, 'InvalidParameterException');
    fresh('undescribed');
    around.eks.refuse(/^GET \/clusters\/undescribed$/, 403, 'AccessDeniedException');
    fresh('well');
    around.eks.add('opted-out', { auditLog: false, tags: { 'envoy-hpa-reaper': 'off' } });

    const report = await enroll({});
    const entries = THREE_CREATED.slice(1);
    expect(summaryOf(report)).toEqual({
      'audit-off': ['enroll: Active', 'AuditLogOff', ...THREE_CREATED],
      'never-logged': ['enroll: Active', 'AuditLogOff', ...entries],
      'no-log-group': ['enroll: Active', 'LogGroupMissing', ...entries],
      'other-class': ['enroll: Active', 'LogGroupNotStandard', ...entries],
      full: ['enroll: Active', 'envoy-hpa-reaper absent, create failed', 'NoFreeFilterSlot', ...entries],
      'config-map': ['enroll: Active', 'NoAccessEntries', THREE_CREATED[0]],
      denied: ['enroll: Active', THREE_CREATED[0], 'AwsAccessRefused', entries[1]],
      broken: ['enroll: Active', 'envoy-hpa-reaper absent, create failed', 'EnrollmentFailed', ...entries],
      undescribed: ['leave: NotDescribed', 'AwsAccessRefused'],
      well: ['enroll: Active', ...THREE_CREATED],
      'opted-out': ['remove: OptedOut', ...THREE_RIGHT.slice(1)],
    });
    expect(report.totals).toEqual({ clusters: 11, enrolled: 1, changes: 19, problems: 9 });
    expect(filtersOf('full')).toEqual([theirs, { ...theirs, filterName: 'more' }]);
    const warned = around.output.logged().filter(({ message }) => message === 'enrollment problem');
    expect(warned).toHaveLength(9);
    const line = { level: 'WARN', cluster: 'full', reason: 'NoFreeFilterSlot', explanation: expect.any(String) };
    expect(warned).toContainEqual(expect.objectContaining(line));
    const counted = warned.filter(({ reason }) => reason !== 'AuditLogOff');
    expect(counted).toHaveLength(7);
    expect(around.output.counted('EnrollmentProblems')).toBe(counted.length);
  });

  test.each([
    ['the clusters', /^EKS could not list the clusters of eu-central-1$/],
    ['the log groups', /^CloudWatch Logs could not list the log groups \/aws\/eks\/\*$/],
  ])('fails when %s cannot be listed', async (what, message) => {
    fresh('a');
    if (what === 'the clusters') around.eks.refuse(/^GET \/clusters$/, 403, 'AccessDeniedException');
    else around.logs.refuse(/^DescribeLogGroups/, 400, 'AccessDeniedException');
    await expect(enroll({})).rejects.toThrow(message);
    expect(writes()).toEqual([]);
    expect(around.output.logged().at(-1)).toMatchObject({ level: 'ERROR', message: 'enrollment failed' });
  });

  test('names and counts the clusters that it had no time for', async () => {
    for (const name of ['a', 'b']) fresh(name);
    expect(await enroll({}, 59_000)).toMatchObject({ clusters: [], remaining: ['a', 'b'] });
    expect(writes()).toEqual([]);
    expect(around.output.counted('EnrollmentClustersLeft')).toBe(2);
  });
});

describe('a run by hand', () => {
  test('reports in a dry run what would be done, and does nothing', async () => {
    fresh('a');
    enrolled('b', { tags: { 'envoy-hpa-reaper': 'off' } });
    const report = await enroll({ dryRun: true });
    const planned = (findings: readonly string[]) => findings.map((finding) => finding.replace('done', 'planned'));
    expect(summaryOf(report)).toEqual({
      a: ['enroll: Active', ...planned(THREE_CREATED)],
      b: ['remove: OptedOut', ...planned(THREE_DELETED)],
    });
    expect(report).toMatchObject({ dryRun: true, totals: { changes: 6 } });
    expect(writes()).toEqual([]);
  });

  test('takes only the clusters that are named', async () => {
    for (const name of ['a', 'b']) fresh(name);
    expect(summaryOf(await enroll({ clusters: ['b', 'c'] }))).toEqual({
      b: ['enroll: Active', ...THREE_CREATED],
      c: ['leave: NotFound', 'ClusterNotFound'],
    });
    expect(entriesOf('a')).toEqual(new Map());
  });

  test('removes from all, whatever their tags and status', async () => {
    enrolled('a', { tags: { 'envoy-hpa-reaper': 'off' } });
    enrolled('b', { status: 'UPDATING' });
    enrolled('c', { status: 'DELETING' });
    around.logs.add(logGroup('gone'), [ourFilter()]);
    expect(summaryOf(await enroll({ remove: true }))).toEqual({
      a: ['remove: Asked', ...THREE_DELETED],
      b: ['remove: Asked', ...THREE_DELETED],
      c: ['remove: Deleting', THREE_DELETED[0]],
      gone: ['remove: Gone', THREE_DELETED[0]],
    });
  });

  test.each([
    [{ cluster: 'a', Remove: true }, 'unknown cluster, Remove'],
    [{ clusters: ['a', 'a/b'] }, 'clusters.1: expected the name of an EKS cluster'],
    [{ clusters: [], dryRun: 1 }, 'clusters: expected a name; dryRun: expected true or false'],
    ['all', '(the payload): expected an object'],
  ])('refuses %j, names the faults, and asks AWS nothing', async (payload, fault) => {
    await expect(enroll(payload)).rejects.toThrow(
      `the payload does not fit: ${fault}; it may have clusters, remove, dryRun`,
    );
    expect([...around.eks.calls, ...around.logs.calls]).toEqual([]);
  });
});

test('does not start with a malformed environment, and names the variables', async () => {
  vi.stubEnv('REAP_ROLE_ID', 'reap');
  vi.stubEnv('CLUSTERS', 'a, b');
  await expect(loadEnroll()).rejects.toThrow(
    /REAP_ROLE_ID: expected the unique id.*CLUSTERS: expected comma-separated/,
  );
});

describe('the role of the function refuses', () => {
  const eks = `arn:aws:eks:${REGION}:${ACCOUNT}`;
  const logs = `arn:aws:logs:${REGION}:${ACCOUNT}:log-group`;
  const reap = REAP.arn.split('/')[1] as string;
  const cluster = `${eks}:cluster/shop`;
  const entryOf = (role: string) => `${eks}:access-entry/shop/role/${ACCOUNT}/${role}/0123`;
  const call = (action: string, resource: string, context: Record<string, string[]> = {}): RecordedCall => ({
    ...{ action, resource, context },
  });
  const create = call('eks:CreateAccessEntry', cluster, {
    'eks:principalArn': [REAP.arn],
    'eks:accessEntryType': ['STANDARD'],
    'eks:kubernetesGroups': ['envoy-hpa-reaper'],
  });
  const update = call('eks:UpdateAccessEntry', entryOf(reap), {
    'eks:username': [ourEntry(REAP).username],
    'eks:kubernetesGroups': ['envoy-hpa-reaper'],
  });
  const put = call('logs:PutSubscriptionFilter', `${logs}:/aws/eks/shop/cluster:log-stream:`, {
    'logs:DestinationArn': [FORWARD_ARN],
  });
  const but = ({ context, ...rest }: RecordedCall, key: string, values?: string[]): RecordedCall => {
    const { [key]: _, ...others } = context;
    return { ...rest, context: values ? { ...others, [key]: values } : others };
  };

  test('none of the calls that the refused ones below differ from in one value', () => {
    expect(refusedByRole([create, update, put])).toEqual([]);
    // IAM may evaluate an absent username as an empty one.
    expect(refusedByRole([but(create, 'eks:username', [''])])).toEqual([]);
    // IAM may not evaluate the destination of a filter.
    expect(refusedByRole([but(put, 'logs:DestinationArn')])).toEqual([]);
  });

  test.each([
    ['an entry of another role', but(create, 'eks:principalArn', ['arn:aws:iam::123456789012:role/admin'])],
    ['an entry of another account', but(create, 'eks:principalArn', [REAP.arn.replace('1234', '4321')])],
    ['an entry with another group', but(create, 'eks:kubernetesGroups', ['system:masters'])],
    ['an entry with one more group', but(create, 'eks:kubernetesGroups', ['envoy-hpa-reaper', 'x'])],
    ['an entry without a group', but(create, 'eks:kubernetesGroups')],
    ['an entry with a user of its own', but(create, 'eks:username', ['admin'])],
    ['an entry for a node', but(create, 'eks:accessEntryType', ['EC2_LINUX'])],
    ['an entry of no type', but(create, 'eks:accessEntryType')],
    ['a cluster of another Region', { ...create, resource: cluster.replace(REGION, 'us-east-1') }],
    ['a change of another role', { ...update, resource: entryOf('admin') }],
    ['a change to another group', but(update, 'eks:kubernetesGroups', ['system:masters'])],
    ['a change to no group', but(update, 'eks:kubernetesGroups')],
    ['a change to another user', but(update, 'eks:username', ['admin'])],
    ['a change that leaves the user', but(update, 'eks:username')],
    ['the deletion of another entry', call('eks:DeleteAccessEntry', entryOf('admin'))],
    ['the deletion of an entry of a longer name', call('eks:DeleteAccessEntry', entryOf(`${reap}-2`))],
    ['a policy', call('eks:AssociateAccessPolicy', entryOf(reap))],
    ['another tag', call('eks:TagResource', entryOf(reap), { 'aws:TagKeys': ['team'] })],
    ['a tag on a cluster', call('eks:TagResource', cluster, { 'aws:TagKeys': ['envoy-hpa-reaper/role-id'] })],
    ['a filter to elsewhere', but(put, 'logs:DestinationArn', [`${FORWARD_ARN}-2`])],
    ['a filter on another log group', { ...put, resource: `${logs}:/aws/lambda/shop:log-stream:` }],
    ['the audit log', call('eks:UpdateClusterConfig', cluster)],
    ['the deletion of a log group', call('logs:DeleteLogGroup', put.resource)],
  ])('%s', (_, refused) => {
    expect(refusedByRole([refused])).toEqual([refused]);
  });
});

// The role of the function, and what the tests above called.
afterAll(() => {
  expect(around.recorded.length).toBeGreaterThan(100);
  expect(refusedByRole(around.recorded)).toEqual([]);
  const called = new Set(around.recorded.map(({ action }) => action));
  const allowed = enrollStatements().flatMap(({ Action }) => Action);
  // Lambda makes these itself.
  const byLambda = ['sqs:SendMessage', 'logs:CreateLogStream', 'logs:PutLogEvents'];
  expect([...called].sort()).toEqual(allowed.filter((action) => !byLambda.includes(action)).sort());
});
