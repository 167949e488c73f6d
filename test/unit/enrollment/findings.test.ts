import { describe, expect, test } from 'vitest';
import {
  entryFinding,
  entryOf,
  FILTER_NAME,
  filterFinding,
  STATIC_FILTER_NAME,
  stackOf,
} from '../../../functions/enrollment/findings.ts';
import { SUBSCRIPTION_PATTERN } from '../../../functions/events/audit-event.ts';

// What findings say is in the snapshot of test/unit/doctor/checks.test.ts; here is what enrollment does about them.

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

describe('the subscription filter', () => {
  const ours = { name: FILTER_NAME, pattern: SUBSCRIPTION_PATTERN, destinationArn: 'forward' };
  const theirs = { ...ours, name: 'theirs' };
  const ofStack = { ...ours, name: STATIC_FILTER_NAME };
  const actionOn = (enrolled: boolean, ...filters: (typeof ours)[]) => {
    const desired = { cluster: 'shop', region: 'eu-central-1', enrolled, destinationArn: 'forward' };
    const { part, name, state, action } = filterFinding(filters, desired);
    expect(part).toBe('subscriptionFilter');
    return [name, state, action];
  };

  test.each([
    ['ours', [theirs, ours], [FILTER_NAME, 'right', 'none']],
    ['that of the stack', [ofStack], [STATIC_FILTER_NAME, 'right', 'none']],
    ['that of others to the same destination', [theirs], [FILTER_NAME, 'absent', 'create']],
    ['that of the stack to elsewhere', [{ ...ofStack, destinationArn: 'x' }], [FILTER_NAME, 'absent', 'create']],
    ['ours with another pattern', [{ ...ours, pattern: '' }], [FILTER_NAME, 'different', 'update']],
    ['ours to elsewhere', [{ ...ours, destinationArn: 'x' }], [FILTER_NAME, 'different', 'update']],
  ])('is judged where there is %s', (_, filters, expected) => {
    expect(actionOn(true, ...filters)).toEqual(expected);
  });

  test('is deleted where it is unwanted, whatever it is, and no other filter is', () => {
    expect(actionOn(false, { ...ours, pattern: '' }, theirs)).toEqual([FILTER_NAME, 'unwanted', 'delete']);
    expect(actionOn(false, theirs, ofStack)).toEqual([FILTER_NAME, 'right', 'none']);
  });
});

describe('an access entry', () => {
  const role = { arn: 'arn:aws:iam::123456789012:role/envoy-hpa-reaper-reap-eu-central-1', id: 'AROAREAP' };
  const tags: Record<string, string> = { 'envoy-hpa-reaper/role-id': 'AROAREAP', team: 'edge' };
  const entry = { groups: ['envoy-hpa-reaper'], username: entryOf(role).username, type: 'STANDARD', tags };
  const actionOn = (change: Partial<typeof entry> | undefined, enrolled = true) => {
    const { part, name, state, action } = entryFinding(change && { ...entry, ...change }, role, enrolled);
    expect([part, name]).toEqual(['accessEntry', role.arn]);
    return [state, action];
  };

  test.each([
    [{}, 'right', 'none'],
    [undefined, 'absent', 'create'],
    [{ groups: [] }, 'different', 'update'],
    [{ groups: ['x'] }, 'different', 'update'],
    [{ groups: ['envoy-hpa-reaper', 'x'] }, 'different', 'update'],
    [{ username: 'admin' }, 'different', 'update'],
    [{ type: 'EC2_LINUX' }, 'different', 'replace'],
    [{ tags: { 'envoy-hpa-reaper/role-id': 'AROAOLD' }, groups: ['x'] }, 'dead', 'replace'],
    [{ tags: {} }, 'untagged', 'replace'],
  ])('with %o is %s: %s', (change, state, action) => {
    expect(actionOn(change)).toEqual([state, action]);
  });

  test('is deleted where it is unwanted, and only there', () => {
    expect(actionOn({ groups: ['x'] }, false)).toEqual(['unwanted', 'delete']);
    expect(actionOn(undefined, false)).toEqual(['right', 'none']);
  });
});
