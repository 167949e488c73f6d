import { afterAll, describe, expect, test, vi } from 'vitest';
import { enrollmentReportSchema } from '../../functions/enrollment/enrollment.ts';
import type { RecordedCall } from '../doubles/iam-policy.ts';
import { lambdaContext, PLACE } from '../embedded-cluster/event-path.ts';
import {
  BACKFILL,
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
  told,
} from './enroll-harness.ts';

const around = enrollmentSurroundings();

const THREE_CREATED = [
  'envoy-hpa-reaper absent, create done',
  'envoy-hpa-reaper-reap absent, create done',
  'envoy-hpa-reaper-backfill absent, create done',
];
const THREE_RIGHT = ['envoy-hpa-reaper right', 'envoy-hpa-reaper-reap right', 'envoy-hpa-reaper-backfill right'];
const THREE_DELETED = THREE_RIGHT.map((part) => part.replace('right', 'unwanted, delete done'));

/** A cluster as it is before anybody enrolled it. */
function fresh(name: string, change: Parameters<typeof around.eks.add>[1] = {}) {
  around.logs.add(logGroup(name));
  return around.eks.add(name, change);
}
/** A cluster as enrollment leaves it. */
function enrolled(name: string, change: Parameters<typeof around.eks.add>[1] = {}) {
  around.logs.add(logGroup(name), [ourFilter()]);
  return around.eks.add(name, { entries: ourEntries(), ...change });
}
const filtersOf = (name: string) => around.logs.groups.get(logGroup(name))?.filters;
const entriesOf = (name: string) => around.eks.clusters.get(name)?.entries;
const writes = () => [...around.eks.writes, ...around.logs.writes];

describe('a scheduled run', () => {
  test('enrolls every active cluster, over all pages, and says what it did', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) fresh(name);
    around.eks.add('creating', { status: 'CREATING' });
    around.eks.add('updating', { status: 'UPDATING' });
    around.logs.add('/aws/eks/a/somebody-elses');
    const report = await enroll({});

    expect(enrollmentReportSchema.parse(report)).toEqual(report);
    expect(told(report)).toEqual({
      ...Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((name) => [name, ['enroll: Active', ...THREE_CREATED]])),
      creating: ['leave: NotActive'],
      updating: ['leave: NotActive'],
    });
    expect(report.totals).toEqual({ clusters: 7, enrolled: 5, changes: 15, problems: 0 });
    expect(report.remaining).toEqual([]);
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      expect(filtersOf(name)).toEqual([ourFilter()]);
      expect(entriesOf(name)).toEqual(ourEntries());
    }
    expect(entriesOf('updating')).toEqual(new Map());
    expect(around.output.counted('ClustersEnrolled')).toBe(5);
    expect(around.output.counted('EnrollmentChanges')).toBe(15);
    expect(around.output.logged().filter(({ message }) => message === 'enrollment changed')).toHaveLength(15);
  });

  test('writes nothing the second time', async () => {
    fresh('a');
    fresh('b', { tags: { 'envoy-hpa-reaper': 'off' } });
    const handler = await loadEnroll();
    const context = lambdaContext('envoy-hpa-reaper-enroll', 300_000);
    await handler({}, context);
    expect(writes()).toHaveLength(5); // Creating an entry with a tag is two actions of IAM's.
    around.eks.calls.length = 0;
    around.logs.calls.length = 0;
    const report = await handler({}, context);
    expect(writes()).toEqual([]);
    expect(told(report)).toEqual({
      a: ['enroll: Active', ...THREE_RIGHT],
      b: ['remove: OptedOut', ...THREE_RIGHT.map((part) => part.replace('right', 'absent'))],
    });
  });

  test('mends what somebody changed, and leaves what is not ours', async () => {
    const theirs = { filterName: 'datadog', filterPattern: '', destinationArn: 'arn:aws:lambda:x:1:function:datadog' };
    const admin = { kubernetesGroups: ['admins'], username: 'admin', type: 'STANDARD', tags: {} };
    const { entries } = enrolled('pattern');
    entries.set('arn:aws:iam::123456789012:role/admin', admin);
    around.logs.groups.get(logGroup('pattern'))?.filters.splice(0, 1, { ...ourFilter(), filterPattern: '' }, theirs);
    enrolled('destination');
    around.logs.groups.set(logGroup('destination'), {
      logGroupClass: 'STANDARD',
      filters: [{ ...ourFilter(), destinationArn: `${FORWARD_ARN}-2` }],
    });
    enrolled('groups').entries.set(REAP.arn, {
      ...ourEntry(REAP),
      kubernetesGroups: ['envoy-hpa-reaper', 'system:masters'],
    });
    enrolled('username').entries.set(BACKFILL.arn, { ...ourEntry(BACKFILL), username: 'somebody' });
    enrolled('type').entries.set(REAP.arn, { ...ourEntry(REAP), type: 'EC2_LINUX' });

    const report = await enroll({});
    expect(told(report)).toEqual({
      pattern: ['enroll: Active', 'envoy-hpa-reaper different, update done', ...THREE_RIGHT.slice(1)],
      destination: ['enroll: Active', 'envoy-hpa-reaper different, update done', ...THREE_RIGHT.slice(1)],
      groups: ['enroll: Active', THREE_RIGHT[0], 'envoy-hpa-reaper-reap different, update done', THREE_RIGHT[2]],
      username: ['enroll: Active', ...THREE_RIGHT.slice(0, 2), 'envoy-hpa-reaper-backfill different, update done'],
      type: ['enroll: Active', THREE_RIGHT[0], 'envoy-hpa-reaper-reap different, replace done', THREE_RIGHT[2]],
    });
    for (const name of ['destination', 'groups', 'username', 'type']) {
      expect(filtersOf(name)).toEqual([ourFilter()]);
      expect(entriesOf(name)).toEqual(ourEntries());
    }
    expect(filtersOf('pattern')).toEqual([ourFilter(), theirs]);
    expect(entriesOf('pattern')?.get('arn:aws:iam::123456789012:role/admin')).toEqual(admin);
    const differs = report.clusters.flatMap(({ parts }) => parts.flatMap((part) => part.differs ?? []));
    expect(differs).toEqual([
      `destination ${FORWARD_ARN}-2`,
      'groups envoy-hpa-reaper, system:masters',
      'pattern',
      'type EC2_LINUX',
      'username somebody',
    ]);
    expect(writes().sort()).toEqual([
      'eks:CreateAccessEntry',
      'eks:DeleteAccessEntry',
      'eks:TagResource',
      'eks:UpdateAccessEntry',
      'eks:UpdateAccessEntry',
      'logs:PutSubscriptionFilter',
      'logs:PutSubscriptionFilter',
    ]);
  });

  test.each([
    ['of a role that was made again', { 'envoy-hpa-reaper/role-id': 'AROABEFORE' }, 'made for role id AROABEFORE'],
    ['that is not tagged', {}, 'made for role id (not tagged)'],
  ])('makes an entry %s anew: it is dead', async (_, tags, differs) => {
    enrolled('a').entries.set(REAP.arn, { ...ourEntry(REAP), tags });
    const report = await enroll({});
    expect(report.clusters[0]?.parts[1]).toEqual({
      ...{ part: 'accessEntry', name: REAP.arn, found: 'dead', differs, action: 'replace', outcome: 'done' },
    });
    expect(around.eks.writes).toEqual(['eks:DeleteAccessEntry', 'eks:CreateAccessEntry', 'eks:TagResource']);
    expect(entriesOf('a')).toEqual(ourEntries());
  });

  test('takes ours away where a cluster opts out, leaves the list or is gone, and nothing else', async () => {
    vi.stubEnv('CLUSTERS', 'listed,opted-out');
    const theirs = { filterName: 'theirs', filterPattern: '', destinationArn: 'arn:aws:lambda:x:1:function:theirs' };
    const ofTheStack = { ...ourFilter(), filterName: 'envoy-hpa-reaper-static' };
    enrolled('opted-out', { tags: { 'envoy-hpa-reaper': 'off' } });
    around.logs.groups.get(logGroup('opted-out'))?.filters.unshift(theirs);
    enrolled('not-listed').entries.set('arn:aws:iam::1:role/theirs', ourEntry(REAP));
    around.logs.groups.get(logGroup('not-listed'))?.filters.push(ofTheStack);
    enrolled('listed', { tags: { 'envoy-hpa-reaper': 'on' } });
    around.logs.add(logGroup('gone'), [ourFilter(), theirs]);
    around.logs.add(logGroup('long-gone'), [theirs]);

    const report = await enroll({});
    expect(told(report)).toEqual({
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

  test('leaves a cluster that is being deleted, and takes its filter once it is gone', async () => {
    enrolled('a', { status: 'DELETING' });
    expect(told(await enroll({}))).toEqual({ a: ['leave: NotActive'] });
    expect(filtersOf('a')).toEqual([ourFilter()]);
    around.eks.clusters.delete('a');
    expect(told(await enroll({}))).toEqual({ a: ['remove: Gone', THREE_DELETED[0]] });
    expect(filtersOf('a')).toEqual([]);
  });

  test('says nothing of a cluster that is gone, and whose log group goes while it is looked at', async () => {
    around.logs.add(logGroup('gone'), [ourFilter()]);
    around.logs.refuse(/^DescribeSubscriptionFilters /, 'ResourceNotFoundException');
    expect(await enroll({})).toMatchObject({ clusters: [], totals: { problems: 0 } });
  });

  test('hears in a warm process of a tag that was changed since the last run', async () => {
    const cluster = enrolled('a');
    const run = await loadEnroll();
    const context = lambdaContext('envoy-hpa-reaper-enroll', 300_000);
    expect(told(await run({}, context))).toEqual({ a: ['enroll: Active', ...THREE_RIGHT] });
    cluster.tags = { 'envoy-hpa-reaper': 'off' };
    expect(told(await run({}, context))).toEqual({ a: ['remove: OptedOut', ...THREE_DELETED] });
  });

  test('is content with the filter that the stack itself has', async () => {
    around.eks.add('a', { entries: ourEntries() });
    around.logs.add(logGroup('a'), [{ ...ourFilter(), filterName: 'envoy-hpa-reaper-static' }]);
    around.eks.add('b', { entries: ourEntries() });
    around.logs.add(logGroup('b'), [{ ...ourFilter(), filterName: 'envoy-hpa-reaper-static', filterPattern: '' }]);
    const report = await enroll({});
    expect(told(report).a?.[1]).toBe('envoy-hpa-reaper-static right');
    expect(told(report).b?.[1]).toBe('envoy-hpa-reaper absent, create done');
  });
});

describe('what stands in the way', () => {
  test('is reported for each cluster with its remedy, switches nothing on, and stops no other', async () => {
    fresh('audit-off', { auditLog: false });
    around.eks.add('never-logged', { auditLog: false });
    around.eks.add('no-log-group');
    around.eks.add('other-class');
    around.logs.add(logGroup('other-class'), [], 'INFREQUENT_ACCESS');
    around.eks.add('full');
    const theirs = ['one', 'two'].map((filterName) => ({ filterName, filterPattern: '', destinationArn: 'theirs' }));
    around.logs.add(logGroup('full'), [...theirs]);
    fresh('config-map', { authenticationMode: 'CONFIG_MAP' });
    fresh('denied');
    around.eks.refuse(/denied\/access-entries.*reap-eu/, 403, 'AccessDeniedException');
    fresh('broken');
    around.logs.refuse(/^PutSubscriptionFilter .*broken/, 'InvalidParameterException');
    fresh('undescribed');
    around.eks.refuse(/^GET \/clusters\/undescribed$/, 403, 'AccessDeniedException');
    fresh('well');

    const report = await enroll({});
    const entries = THREE_CREATED.slice(1);
    expect(told(report)).toEqual({
      'audit-off': ['enroll: Active', ...THREE_CREATED, 'AuditLogOff'],
      'never-logged': ['enroll: Active', ...entries, 'AuditLogOff'],
      'no-log-group': ['enroll: Active', ...entries, 'LogGroupMissing'],
      'other-class': ['enroll: Active', ...entries, 'LogGroupNotStandard'],
      full: ['enroll: Active', 'envoy-hpa-reaper absent, create failed', ...entries, 'NoFreeFilterSlot'],
      'config-map': ['enroll: Active', THREE_CREATED[0], 'NoAccessEntries'],
      denied: ['enroll: Active', THREE_CREATED[0], entries[1], 'AwsAccessRefused'],
      broken: ['enroll: Active', 'envoy-hpa-reaper absent, create failed', ...entries, 'EnrollmentFailed'],
      undescribed: ['leave: NotDescribed', 'AwsAccessRefused'],
      well: ['enroll: Active', ...THREE_CREATED],
    });
    expect(report.totals).toEqual({ clusters: 10, enrolled: 1, changes: 19, problems: 9 });
    expect(filtersOf('full')).toEqual(theirs);
    const remedies = Object.fromEntries(
      report.clusters.flatMap(({ problems }) => problems.map(({ reason, remedy }) => [reason, remedy])),
    );
    expect(remedies.AuditLogOff).toMatch(
      /^aws eks update-cluster-config --region eu-central-1 --name never-logged --logging .*charges/,
    );
    expect(remedies.NoAccessEntries).toMatch(/authenticationMode=API_AND_CONFIG_MAP/);
    expect(remedies.NoFreeFilterSlot).toContain(
      'describe-subscription-filters --region eu-central-1 --log-group-name /aws/eks/full/cluster',
    );
    for (const remedy of Object.values(remedies)) expect(remedy).toMatch(/\S/);
    const warned = around.output.logged().filter(({ message }) => message === 'enrollment problem');
    expect(warned).toHaveLength(9);
    expect(warned).toContainEqual(
      expect.objectContaining({
        level: 'WARN',
        cluster: 'full',
        reason: 'NoFreeFilterSlot',
        explanation: expect.any(String),
      }),
    );
    expect(around.output.counted('EnrollmentProblems')).toBe(9);
  });

  test('of a cluster that is not to be enrolled, nothing is', async () => {
    around.eks.add('a', { auditLog: false, authenticationMode: 'CONFIG_MAP', tags: { 'envoy-hpa-reaper': 'off' } });
    around.logs.add(logGroup('a'), [], 'INFREQUENT_ACCESS');
    expect(told(await enroll({}))).toEqual({ a: ['remove: OptedOut'] });
  });

  test.each([
    ['the clusters', /^EKS could not list the clusters of eu-central-1$/],
    ['the log groups', /^CloudWatch Logs could not list the log groups \/aws\/eks\/\*$/],
  ])('fails as a whole where %s cannot be listed', async (what, message) => {
    fresh('a');
    if (what === 'the clusters') around.eks.refuse(/^GET \/clusters$/, 403, 'AccessDeniedException');
    else around.logs.refuse(/^DescribeLogGroups/, 'AccessDeniedException');
    await expect(enroll({})).rejects.toThrow(message);
    expect(writes()).toEqual([]);
    expect(around.output.logged().at(-1)).toMatchObject({ level: 'ERROR', message: 'enrollment failed' });
  });

  test('a run that has no time left names the clusters that it did not get to', async () => {
    for (const name of ['a', 'b']) fresh(name);
    const report = await enroll({}, 59_000);
    expect(report).toMatchObject({ clusters: [], remaining: ['a', 'b'] });
    expect(writes()).toEqual([]);
    expect(around.output.counted('EnrollmentClustersLeft')).toBe(2);
  });
});

describe('by hand', () => {
  test('a dry run tells what would be done, and does nothing', async () => {
    fresh('a');
    enrolled('b', { tags: { 'envoy-hpa-reaper': 'off' } });
    const report = await enroll({ dryRun: true });
    expect(told(report)).toEqual({
      a: ['enroll: Active', ...THREE_CREATED.map((part) => part.replace('done', 'planned'))],
      b: ['remove: OptedOut', ...THREE_DELETED.map((part) => part.replace('done', 'planned'))],
    });
    expect(report).toMatchObject({ dryRun: true, totals: { changes: 6 } });
    expect(writes()).toEqual([]);
  });

  test('takes only the clusters that are named', async () => {
    for (const name of ['a', 'b']) fresh(name);
    expect(told(await enroll({ clusters: ['b', 'c'] }))).toEqual({
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
    expect(told(await enroll({ remove: true }))).toEqual({
      a: ['remove: Asked', ...THREE_DELETED],
      b: ['remove: Asked', ...THREE_DELETED],
      c: ['remove: Deleting', THREE_DELETED[0]],
      gone: ['remove: Gone', THREE_DELETED[0]],
    });
  });

  test.each([
    [{ cluster: 'a', Remove: true }, 'unknown cluster, Remove'],
    [{ clusters: [] }, 'clusters: expected a name'],
    [{ clusters: ['a', 'a/b'] }, 'clusters.1: expected the name of an EKS cluster'],
    [{ remove: 'yes', dryRun: 1 }, 'remove: expected true or false; dryRun: expected true or false'],
    ['all', '(the payload): expected an object'],
  ])('refuses %j, by name, and asks AWS nothing', async (payload, fault) => {
    await expect(enroll(payload)).rejects.toThrow(
      `the payload does not fit: ${fault}; it may have clusters, remove, dryRun`,
    );
    expect([...around.eks.calls, ...around.logs.calls]).toEqual([]);
  });
});

test('does not start without its environment, and names what is wrong with it', async () => {
  vi.stubEnv('REAP_ROLE_ID', 'reap');
  vi.stubEnv('CLUSTERS', 'a, b');
  await expect(loadEnroll()).rejects.toThrow(/CLUSTERS: expected the names.*|REAP_ROLE_ID: expected the unique id/);
});

describe('the role of the function refuses', () => {
  const eks = `arn:aws:eks:${PLACE.region}:${PLACE.account}`;
  const logs = `arn:aws:logs:${PLACE.region}:${PLACE.account}:log-group`;
  const entryOf = (role: string) => `${eks}:access-entry/shop/role/${PLACE.account}/${role}/0123`;
  const reap = REAP.arn.split('/')[1] as string;
  const create = {
    action: 'eks:CreateAccessEntry',
    resource: `${eks}:cluster/shop`,
    context: {
      'eks:principalArn': [REAP.arn],
      'eks:accessEntryType': ['STANDARD'],
      'eks:kubernetesGroups': ['envoy-hpa-reaper'],
    } as Record<string, string[]>,
  };
  const update = {
    action: 'eks:UpdateAccessEntry',
    resource: entryOf(reap),
    context: { 'eks:username': [ourEntry(REAP).username], 'eks:kubernetesGroups': ['envoy-hpa-reaper'] },
  };
  const put = {
    action: 'logs:PutSubscriptionFilter',
    resource: `${logs}:/aws/eks/shop/cluster:log-stream:`,
    context: { 'logs:DestinationArn': [FORWARD_ARN] },
  };
  const but = <Call extends RecordedCall>(call: Call, context: Record<string, string[] | undefined>): RecordedCall => ({
    ...call,
    context: Object.fromEntries(
      Object.entries({ ...call.context, ...context }).filter(([, value]) => value !== undefined),
    ) as RecordedCall['context'],
  });

  test('nothing of these, which the others are near misses of', () => {
    expect(refusedByRole([create, update, put])).toEqual([]);
    // Whether IAM is told an empty user or none where the request has none is not documented.
    expect(refusedByRole([but(create, { 'eks:username': [''] })])).toEqual([]);
    // Nor is it that it is told the destination of a filter.
    expect(refusedByRole([but(put, { 'logs:DestinationArn': undefined })])).toEqual([]);
  });

  test.each([
    ['an entry of another role', but(create, { 'eks:principalArn': ['arn:aws:iam::123456789012:role/admin'] })],
    [
      'an entry of the same name in another account',
      but(create, { 'eks:principalArn': [REAP.arn.replace('1234', '4321')] }),
    ],
    ['an entry with another group', but(create, { 'eks:kubernetesGroups': ['system:masters'] })],
    ['an entry with one more group', but(create, { 'eks:kubernetesGroups': ['envoy-hpa-reaper', 'x'] })],
    ['an entry without a group', but(create, { 'eks:kubernetesGroups': undefined })],
    ['an entry with a user of its own', but(create, { 'eks:username': ['admin'] })],
    ['an entry for a node', but(create, { 'eks:accessEntryType': ['EC2_LINUX'] })],
    ['an entry of no type', but(create, { 'eks:accessEntryType': undefined })],
    ['a cluster of another Region', { ...create, resource: create.resource.replace(PLACE.region, 'us-east-1') }],
    ['a change of another role', { ...update, resource: entryOf('admin') }],
    ['a change to another group', but(update, { 'eks:kubernetesGroups': ['system:masters'] })],
    ['a change to no group', but(update, { 'eks:kubernetesGroups': undefined })],
    ['a change to another user', but(update, { 'eks:username': ['admin'] })],
    ['a change that leaves the user', but(update, { 'eks:username': undefined })],
    ['the deletion of another entry', { action: 'eks:DeleteAccessEntry', resource: entryOf('admin'), context: {} }],
    [
      'the deletion of an entry of a longer name',
      { action: 'eks:DeleteAccessEntry', resource: entryOf(`${reap}-2`), context: {} },
    ],
    ['a policy', { action: 'eks:AssociateAccessPolicy', resource: entryOf(reap), context: {} }],
    ['another tag', { action: 'eks:TagResource', resource: entryOf(reap), context: { 'aws:TagKeys': ['team'] } }],
    [
      'a tag on a cluster',
      {
        action: 'eks:TagResource',
        resource: create.resource,
        context: { 'aws:TagKeys': ['envoy-hpa-reaper/role-id'] },
      },
    ],
    ['a filter to elsewhere', but(put, { 'logs:DestinationArn': [`${FORWARD_ARN}-2`] })],
    ['a filter on another log group', { ...put, resource: `${logs}:/aws/lambda/shop:log-stream:` }],
    ['the audit log', { action: 'eks:UpdateClusterConfig', resource: create.resource, context: {} }],
    ['the deletion of a log group', { action: 'logs:DeleteLogGroup', resource: put.resource, context: {} }],
  ])('%s', (_, call) => {
    expect(refusedByRole([call])).toEqual([call]);
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
