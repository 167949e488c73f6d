import { describe, expect, test, vi } from 'vitest';
import { callAws } from '../../../functions/aws/client.ts';
import { type Check, countStates } from '../../../functions/doctor/report.ts';
import { broken, type CheckDefinition, ok, runChecks, unknown } from '../../../functions/doctor/run-checks.ts';
import { ApiStatusError } from '../../../functions/kubernetes/api-client.ts';
import { ClusterSkippedError, RetryableError } from '../../../functions/platform/errors.ts';

/** The errors of calls that AWS refuses, by the name of the SDK's error. */
const [denied, expired, unauthenticated] = await Promise.all(
  ['AccessDeniedException', 'ExpiredTokenException', 'CredentialsProviderError'].map((name) =>
    callAws('EKS could not', Promise.reject(Object.assign(new Error('refused'), { name }))).catch((error) => error),
  ),
);
const skipped = (reason: 'ClusterForbidden' | 'ClusterOptedOut') =>
  new ClusterSkippedError({ reason, message: 'refused', remedy: 'Do this.' });
const throwing = (error: Error): CheckDefinition<unknown> => ({
  id: 'eks-cluster',
  run: () => Promise.reject(error),
});

describe('runChecks', () => {
  const following = (id: 'rbac-scan' | 'rbac-reap', needed: Check['id']): CheckDefinition<unknown> => ({
    ...{ id, after: [needed], run: () => ok('fine') },
  });

  const fine = ['ok: fine', 'ok: fine'];
  const skips = ['unknown: skipped: see rbac-reap', 'unknown: skipped: see cluster-access'];

  test.each<[string, CheckDefinition<unknown>['run'], string[]]>([
    ['is broken', () => broken('off', 'Turn it on.'), skips],
    ['fails', () => Promise.reject(new RetryableError('no answer')), skips],
    ['is unknown by its own verdict', () => unknown('old'), fine],
    ['is ok', () => ok('fine'), fine],
  ])('skips what depends on a check that %s only where that is a failure, in any order', async (_, run, expected) => {
    const access = { id: 'cluster-access', run } as const;
    const definitions = [following('rbac-scan', 'rbac-reap'), following('rbac-reap', 'cluster-access'), access];
    const checks = await runChecks(definitions, undefined);
    expect(checks.map(({ id }) => id)).toEqual(['rbac-scan', 'rbac-reap', 'cluster-access']);
    expect(checks.slice(0, 2).map(({ state, found }) => `${state}: ${found}`)).toEqual(expected);
  });

  test('ignores a dependency that is no check of this cluster, and calls each check once', async () => {
    const run = vi.fn(() => ok('fine'));
    const access = { id: 'cluster-access', after: ['eks-cluster'], run } as const;
    const others = (['rbac-scan', 'rbac-reap'] as const).map((id) => following(id, 'cluster-access'));
    const checks = await runChecks([access, ...others], undefined);
    expect(checks.map(({ state }) => state)).toEqual(['ok', 'ok', 'ok']);
    expect(run).toHaveBeenCalledOnce();
  });

  const permission = 'Ask for the permission of this check, which docs/doctor.md lists.';
  test.each<[string, Error, string]>([
    ['AWS refuses', denied, permission],
    ['the API server refuses', skipped('ClusterForbidden'), permission],
    ['the API server refuses a review', new ApiStatusError(403, 'refused'), permission],
    ['the cluster opted out', skipped('ClusterOptedOut'), 'Do this.'],
    ['no answer comes', new RetryableError('refused'), 'Run this again later.'],
  ])('makes a check unknown where %s', async (_, error, remedy) => {
    const [check] = await runChecks([throwing(error)], undefined);
    expect(check).toMatchObject({ id: 'eks-cluster', state: 'unknown', remedy });
    expect(check?.found).toMatch(/refused$/);
  });

  test.each([
    ['a fault of this program', new TypeError('refused')],
    ['expired credentials', expired],
    ['missing credentials', unauthenticated],
  ])('throws %s', async (_, error) => {
    await expect(runChecks([throwing(error)], undefined)).rejects.toBe(error);
  });
});

test('the checks of all clusters are counted by their state', () => {
  const checks = (['ok', 'warning'] as const).map((state): Check => ({ id: 'stale-hpas', state, found: '' }));
  const totals = countStates([
    { cluster: 'a', checks },
    { cluster: 'b', checks },
  ]);
  expect(totals).toEqual({ ok: 2, warning: 2, broken: 0, unknown: 0 });
});
