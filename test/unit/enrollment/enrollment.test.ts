import { describe, expect, test } from 'vitest';
import type { AccessEntries } from '../../../functions/aws/access-entries.ts';
import type { SubscriptionFilters } from '../../../functions/aws/subscription-filters.ts';
import { type EnrollOptions, enrollClusters } from '../../../functions/enrollment/enroll-clusters.ts';
import {
  type AccessEntry,
  clusterOfLogGroup,
  FILTER_NAME,
  judgeEntry,
  judgeFilter,
  logGroupOf,
  STATIC_FILTER_NAME,
  stackOf,
  usernameOf,
} from '../../../functions/enrollment/enrollment.ts';
import { SUBSCRIPTION_PATTERN } from '../../../functions/events/audit-event.ts';
import type { AccountDirectory } from '../../../functions/kubernetes/directory.ts';
import { RetryableError } from '../../../functions/platform/errors.ts';

const TO = 'arn:aws:lambda:eu-central-1:123456789012:function:envoy-hpa-reaper-forward';
const role = { arn: 'arn:aws:iam::123456789012:role/envoy-hpa-reaper-reap-eu-central-1', id: 'AROAREAP' };
const filter = { name: FILTER_NAME, pattern: SUBSCRIPTION_PATTERN, destinationArn: TO };
const entry: AccessEntry = {
  groups: ['envoy-hpa-reaper'],
  username: 'arn:aws:sts::123456789012:assumed-role/envoy-hpa-reaper-reap-eu-central-1/{{SessionName}}',
  type: 'STANDARD',
  tags: { 'envoy-hpa-reaper/role-id': 'AROAREAP', team: 'edge' },
};

test('a log group belongs to the cluster whose control plane writes it, or to none', () => {
  expect(clusterOfLogGroup(logGroupOf('shop'))).toBe('shop');
  for (const name of ['/aws/eks/shop', '/aws/eks/a/b/cluster', '/aws/eks/shop/cluster/2', 'x/aws/eks/shop/cluster']) {
    expect(clusterOfLogGroup(name), name).toBeUndefined();
  }
});

test('the stack and the names of its sessions are those of the partition, the account and the Region', () => {
  const { destinationArn, roleArns } = stackOf('arn:aws-cn:eks:cn-north-1:123456789012:cluster/shop');
  expect(destinationArn).toBe('arn:aws-cn:lambda:cn-north-1:123456789012:function:envoy-hpa-reaper-forward');
  expect(Object.values(roleArns)).toEqual([
    'arn:aws-cn:iam::123456789012:role/envoy-hpa-reaper-reap-cn-north-1',
    'arn:aws-cn:iam::123456789012:role/envoy-hpa-reaper-backfill-cn-north-1',
  ]);
  expect(usernameOf({ arn: 'arn:aws-cn:iam::123456789012:role/some/path/reap', id: '' })).toBe(
    'arn:aws-cn:sts::123456789012:assumed-role/reap/{{SessionName}}',
  );
});

describe('a filter', () => {
  const theirs = { name: 'theirs', pattern: SUBSCRIPTION_PATTERN, destinationArn: TO };
  const ofTheStack = { ...filter, name: STATIC_FILTER_NAME };
  test.each([
    ['wanted, and there', [theirs, filter], true, 'right', 'none'],
    ['wanted, and there under the name of the stack', [ofTheStack], true, 'right', 'none'],
    ['wanted, and another of that destination', [theirs], true, 'absent', 'create'],
    [
      'wanted, and the one of the stack delivers elsewhere',
      [{ ...ofTheStack, destinationArn: 'x' }],
      true,
      'absent',
      'create',
    ],
    ['wanted, with another pattern', [{ ...filter, pattern: '' }], true, 'different', 'update'],
    ['wanted, with another destination', [{ ...filter, destinationArn: 'x' }], true, 'different', 'update'],
    ['unwanted, and there, whatever it says', [{ ...filter, pattern: '' }, theirs], false, 'unwanted', 'delete'],
    ['unwanted, and only others', [theirs, ofTheStack], false, 'absent', 'none'],
  ])('%s', (_, filters, wanted, found, action) => {
    expect(judgeFilter(filters, TO, wanted)).toMatchObject({ found, action });
  });
});

describe('an entry', () => {
  test.each([
    ['right', {}, true, 'right', 'none'],
    ['of no group', { groups: [] }, true, 'different', 'update'],
    ['of one more group', { groups: ['envoy-hpa-reaper', 'x'] }, true, 'different', 'update'],
    ['of another group', { groups: ['x'] }, true, 'different', 'update'],
    ['of another user', { username: 'admin' }, true, 'different', 'update'],
    ['of another type', { type: 'EC2_LINUX' }, true, 'different', 'replace'],
    ['of the role that was there before', { tags: { 'envoy-hpa-reaper/role-id': 'AROAOLD' } }, true, 'dead', 'replace'],
    ['that is dead, and has more groups', { tags: {}, groups: ['x'] }, true, 'dead', 'replace'],
    ['that is unwanted', {}, false, 'unwanted', 'delete'],
  ])('%s', (_, change, wanted, found, action) => {
    expect(judgeEntry({ ...entry, ...change }, role, wanted)).toMatchObject({ found, action });
  });

  test('that is not there', () => {
    expect(judgeEntry(undefined, role, true)).toEqual({ found: 'absent', action: 'create' });
    expect(judgeEntry(undefined, role, false)).toEqual({ found: 'absent', action: 'none' });
  });
});

describe('enrollClusters', () => {
  const names = Array.from({ length: 20 }, (_, number) => `cluster-${String(number).padStart(2, '0')}`);

  function options(
    change: Partial<EnrollOptions> = {},
  ): EnrollOptions & { underWay: () => number; forgotten: string[] } {
    let now = 0;
    let most = 0;
    const forgotten: string[] = [];
    const directory = {
      list: async () => names,
      describe: async (name: string) => {
        now += 1;
        most = Math.max(most, now);
        await new Promise(setImmediate);
        now -= 1;
        if (name === 'cluster-03') throw new RetryableError('EKS could not describe it');
        return { tags: {}, auditLog: true, status: 'ACTIVE', authenticationMode: 'API' };
      },
      forget: (name: string) => void forgotten.push(name),
    } as unknown as AccountDirectory;
    const filters: SubscriptionFilters = {
      logGroups: async () => new Map(names.map((name) => [name, 'STANDARD'])),
      list: async () => [],
      put: async (cluster) => (cluster === 'cluster-05' ? 'noFreeSlot' : 'put'),
      delete: async () => {},
    };
    const entries: AccessEntries = {
      describe: async () => undefined,
      create: async (cluster) => {
        if (cluster === 'cluster-07') throw new RetryableError('EKS could not create it');
      },
      update: async () => {},
      delete: async () => {},
    };
    return {
      ...{ region: 'eu-central-1', directory, filters, entries, destinationArn: TO, roles: [role], allowed: [] },
      ...{ remove: false, dryRun: false, concurrency: 4, runId: 'run-1', now: () => new Date(0) },
      log: { info: () => {}, warn: () => {}, error: () => {} },
      underWay: () => most,
      forgotten,
      ...change,
    };
  }

  test('looks at no more clusters side by side than it may, and no failure stops another', async () => {
    const given = options();
    const report = await enrollClusters(given);
    expect(given.underWay()).toBe(4);
    expect(report.totals).toEqual({ clusters: 20, enrolled: 17, changes: 36, problems: 3 });
    expect(
      report.clusters.flatMap(({ cluster, problems }) => problems.map(({ reason }) => `${cluster} ${reason}`)),
    ).toEqual(['cluster-03 EnrollmentFailed', 'cluster-05 NoFreeFilterSlot', 'cluster-07 EnrollmentFailed']);
    // A tag that is changed after this run is heard by the next.
    expect(given.forgotten.toSorted()).toEqual(names);
  });

  test('begins none once it may not, and names them', async () => {
    let left = 6;
    const report = await enrollClusters(options({ concurrency: 1, hasTimeLeft: () => left-- > 0 }));
    expect(report.clusters).toHaveLength(6);
    expect(report.remaining).toEqual(names.slice(6));
  });

  test('takes only clusters that carry the tags', async () => {
    expect((await enrollClusters(options({ tags: { team: 'edge' } }))).clusters.map(({ cluster }) => cluster)).toEqual([
      'cluster-03', // What it carries is not known: it could not be described.
    ]);
  });
});
