import { expect, test } from 'vitest';
import { type EnrollOptions, enrollClusters } from '../../../functions/enrollment/enroll-clusters.ts';
import type { AccountDirectory } from '../../../functions/kubernetes/directory.ts';
import { RetryableError } from '../../../functions/platform/errors.ts';
import { SILENT } from '../../../functions/platform/logger.ts';

const names = Array.from({ length: 8 }, (_, number) => `cluster-${number}`);

/** Eight clusters that nobody has enrolled, of which 3 cannot be described, 5 has no free slot, and 7 accepts no entry. */
function options(change: Partial<EnrollOptions> = {}): EnrollOptions & { forgotten: string[] } {
  const forgotten: string[] = [];
  const directory = {
    list: async () => names,
    describe: async (name: string) => {
      if (name === 'cluster-3') throw new RetryableError('EKS could not describe it');
      return { tags: {}, auditLog: true, status: 'ACTIVE', authenticationMode: 'API' };
    },
    forget: (name: string) => void forgotten.push(name),
  } as unknown as AccountDirectory;
  const filters: EnrollOptions['filters'] = {
    logGroups: async () => new Map(names.map((name) => [name, 'STANDARD'])),
    list: async () => [],
    put: async (cluster) => {
      const cause = Object.assign(new Error('full'), { name: 'LimitExceededException' });
      if (cluster === 'cluster-5') throw new RetryableError('CloudWatch Logs could not put it', { cause });
    },
    delete: async () => {},
  };
  const entries: EnrollOptions['entries'] = {
    describe: async () => undefined,
    create: async (cluster) => {
      if (cluster === 'cluster-7') throw new RetryableError('EKS could not create it');
    },
    update: async () => {},
    delete: async () => {},
  };
  const roles = [{ arn: 'arn:aws:iam::123456789012:role/envoy-hpa-reaper-reap-eu-central-1', id: 'AROAREAP' }];
  return {
    ...{ region: 'eu-central-1', directory, filters, entries, destinationArn: 'forward', roles, allowed: [] },
    ...{ remove: false, dryRun: false, concurrency: 4, runId: 'run-1', now: () => new Date(0), log: SILENT },
    ...{ forgotten, ...change },
  };
}

test('enrolls the other clusters when one fails', async () => {
  const run = options();
  const report = await enrollClusters(run);
  expect(report.totals).toEqual({ clusters: 8, enrolled: 5, changes: 12, problems: 3 });
  const problems = report.clusters.flatMap(({ cluster, findings }) =>
    findings.filter(({ reason }) => reason).map(({ part, reason, outcome }) => [cluster, part, reason, outcome]),
  );
  expect(problems).toEqual([
    ['cluster-3', 'cluster', 'EnrollmentFailed', undefined],
    ['cluster-5', 'subscriptionFilter', 'NoFreeFilterSlot', 'failed'],
    ['cluster-7', 'accessEntry', 'EnrollmentFailed', 'failed'],
  ]);
  // The next run sees a tag that is changed after this one.
  expect(run.forgotten.toSorted()).toEqual(names);
});

test('begins no cluster once no time is left, and names those that remain', async () => {
  let left = 3;
  const report = await enrollClusters(options({ concurrency: 1, hasTimeLeft: () => left-- > 0 }));
  expect(report.clusters).toHaveLength(3);
  expect(report.remaining).toEqual(names.slice(3));
});

test('takes only clusters that carry the tags, or whose tags are unknown', async () => {
  const { clusters } = await enrollClusters(options({ tags: { team: 'edge' } }));
  expect(clusters).toMatchObject([{ cluster: 'cluster-3', aim: 'leave', because: 'NotDescribed' }]);
});
