import { expect, test } from 'vitest';
import { type EnrollOptions, enrollClusters } from '../../../functions/enrollment/enroll-clusters.ts';
import { entryOf, stackOf } from '../../../functions/enrollment/findings.ts';
import type { AccountDirectory } from '../../../functions/kubernetes/directory.ts';
import { RetryableError } from '../../../functions/platform/errors.ts';
import { SILENT } from '../../../functions/platform/logger.ts';

// What findings say is in the snapshot of test/unit/doctor/checks.test.ts, what enrollment does in test/e2e/enroll.test.ts.

test('names the stack and the sessions of its roles by the partition, the account and the Region', () => {
  const { destinationArn, roleArns } = stackOf('arn:aws-cn:eks:cn-north-1:123456789012:cluster/shop');
  expect(destinationArn).toBe('arn:aws-cn:lambda:cn-north-1:123456789012:function:envoy-hpa-reaper-forward');
  expect(Object.values(roleArns)).toEqual([
    'arn:aws-cn:iam::123456789012:role/envoy-hpa-reaper-reap-cn-north-1',
    'arn:aws-cn:iam::123456789012:role/envoy-hpa-reaper-backfill-cn-north-1',
  ]);
  expect(entryOf({ arn: 'arn:aws-cn:iam::123456789012:role/some/path/reap', id: 'AROAREAP' }).username).toBe(
    'arn:aws-cn:sts::123456789012:assumed-role/reap/{{SessionName}}',
  );
});

/** Three clusters: one has the tag, one does not, and one cannot be described. */
const directory = {
  list: async () => ['edge', 'other', 'undescribed'],
  describe: async (name: string) => {
    if (name === 'undescribed') throw new RetryableError('EKS could not describe it');
    return { tags: name === 'edge' ? { team: 'edge' } : {}, status: 'ACTIVE' };
  },
  forget: () => {},
} as unknown as AccountDirectory;
const filters = { logGroups: async () => new Map() } as unknown as EnrollOptions['filters'];

test('takes only clusters that carry the tags, or whose tags are unknown', async () => {
  const { clusters } = await enrollClusters({
    ...{ region: 'eu-central-1', directory, filters, entries: {} as EnrollOptions['entries'] },
    ...{ destinationArn: 'forward', roles: [], allowed: [], tags: { team: 'edge' }, concurrency: 4 },
    ...{ remove: false, dryRun: true, runId: 'run-1', now: () => new Date(0), log: SILENT },
  });
  expect(clusters).toMatchObject([
    { cluster: 'edge', aim: 'enroll' },
    { cluster: 'undescribed', aim: 'leave', because: 'NotDescribed' },
  ]);
});
