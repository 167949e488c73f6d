import { expect, test } from 'vitest';
import { type EnrollOptions, enrollClusters } from '../../../functions/enrollment/enroll-clusters.ts';
import type { AccountDirectory } from '../../../functions/kubernetes/directory.ts';
import { RetryableError } from '../../../functions/platform/errors.ts';
import { SILENT } from '../../../functions/platform/logger.ts';

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
