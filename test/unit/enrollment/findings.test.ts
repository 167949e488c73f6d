import { describe, expect, test } from 'vitest';
import {
  type AccessEntry,
  FILTER_NAME,
  STATIC_FILTER_NAME,
  stackOf,
  usernameOf,
} from '../../../functions/enrollment/enrollment.ts';
import {
  auditLogFinding,
  authenticationModeFinding,
  type Desired,
  entryFinding,
  type Finding,
  filterFinding,
  logGroupFinding,
  optOutFinding,
  rbacFinding,
} from '../../../functions/enrollment/findings.ts';
import { SUBSCRIPTION_PATTERN } from '../../../functions/events/audit-event.ts';

const shop = { cluster: 'shop', region: 'eu-central-1' };
const UPDATE = 'aws eks update-cluster-config --region eu-central-1 --name shop';

test('names the stack and the sessions of its roles by the partition, the account and the Region', () => {
  const { destinationArn, roleArns } = stackOf('arn:aws-cn:eks:cn-north-1:123456789012:cluster/shop');
  expect(destinationArn).toBe('arn:aws-cn:lambda:cn-north-1:123456789012:function:envoy-hpa-reaper-forward');
  expect(Object.values(roleArns)).toEqual([
    'arn:aws-cn:iam::123456789012:role/envoy-hpa-reaper-reap-cn-north-1',
    'arn:aws-cn:iam::123456789012:role/envoy-hpa-reaper-backfill-cn-north-1',
  ]);
  expect(usernameOf('arn:aws-cn:iam::123456789012:role/some/path/reap')).toBe(
    'arn:aws-cn:sts::123456789012:assumed-role/reap/{{SessionName}}',
  );
});

describe('what only a person can fix', () => {
  test.each<[Finding, Partial<Finding>]>([
    [auditLogFinding(shop, true), { state: 'right' }],
    [
      auditLogFinding(shop, false),
      {
        state: 'different',
        reason: 'AuditLogOff',
        command: `${UPDATE} --logging '{"clusterLogging":[{"types":["audit"],"enabled":true}]}'`,
      },
    ],
    [logGroupFinding(shop, 'STANDARD'), { state: 'right', found: '/aws/eks/shop/cluster is of class STANDARD' }],
    [logGroupFinding(shop, 'INFREQUENT_ACCESS'), { state: 'different', reason: 'LogGroupNotStandard' }],
    [
      logGroupFinding(shop, undefined),
      {
        state: 'absent',
        reason: 'LogGroupMissing',
        command: 'aws logs create-log-group --region eu-central-1 --log-group-name /aws/eks/shop/cluster',
      },
    ],
    [authenticationModeFinding(shop, 'API'), { state: 'right', found: 'API' }],
    [authenticationModeFinding(shop, 'API_AND_CONFIG_MAP'), { state: 'right' }],
    [
      authenticationModeFinding(shop, 'CONFIG_MAP'),
      {
        state: 'different',
        reason: 'NoAccessEntries',
        command: `${UPDATE} --access-config authenticationMode=API_AND_CONFIG_MAP`,
      },
    ],
    [authenticationModeFinding(shop, undefined), { state: 'different', reason: 'NoAccessEntries' }],
    [optOutFinding(shop, { tags: { 'envoy-hpa-reaper': 'on' } }), { state: 'right' }],
    [
      optOutFinding(shop, { arn: 'arn', tags: { 'envoy-hpa-reaper': 'off' } }),
      {
        ...{ state: 'different', found: 'cluster shop is tagged envoy-hpa-reaper=off' },
        command: 'aws eks untag-resource --region eu-central-1 --resource-arn arn --tag-keys envoy-hpa-reaper',
      },
    ],
  ])('%#: %o', (finding, expected) => {
    expect(finding).toMatchObject({ action: 'none', ...expected });
    expect(finding.reason).toBe(expected.reason);
    if (finding.reason) expect(finding.remedy).toMatch(/\S/);
  });
});

const TO = 'arn:aws:lambda:eu-central-1:123456789012:function:envoy-hpa-reaper-forward';

describe('a subscription filter', () => {
  const ours = { name: FILTER_NAME, pattern: SUBSCRIPTION_PATTERN, destinationArn: TO };
  const theirs = { ...ours, name: 'theirs' };
  const ofStack = { ...ours, name: STATIC_FILTER_NAME };
  const otherPattern = `the pattern of the subscription filter ${FILTER_NAME} is not the pattern of this version`;
  const elsewhere = (name: string) => `the subscription filter ${name} delivers to x, and not to ${TO}`;
  test.each<[string, (typeof ours)[], boolean, Partial<Finding>]>([
    ['is right', [theirs, ours], true, { state: 'right', action: 'none' }],
    ['is right as the filter of the stack', [ofStack], true, { name: STATIC_FILTER_NAME, state: 'right' }],
    [
      'is absent beside a filter of others to the same destination',
      [theirs],
      true,
      { state: 'absent', action: 'create', found: 'there is no subscription filter envoy-hpa-reaper' },
    ],
    [
      'is absent if the filter of the stack delivers elsewhere',
      [{ ...ofStack, destinationArn: 'x' }],
      true,
      {
        ...{ name: FILTER_NAME, state: 'absent', action: 'create', found: elsewhere(STATIC_FILTER_NAME) },
        command: 'npm run deploy -- --s3-bucket BUCKET --region eu-central-1',
      },
    ],
    [
      'is different with another pattern',
      [{ ...ours, pattern: '' }],
      true,
      { state: 'different', action: 'update', found: otherPattern, remedy: expect.stringMatching(/^Deploy this vers/) },
    ],
    [
      'is different with another destination',
      [{ ...ours, destinationArn: 'x' }],
      true,
      {
        state: 'different',
        action: 'update',
        found: elsewhere(FILTER_NAME),
        remedy: expect.stringMatching(/^Find ou/),
      },
    ],
    ['is unwanted, whatever it is', [{ ...ours, pattern: '' }, theirs], false, { state: 'unwanted', action: 'delete' }],
    [
      'is right if there is none but of others and the stack',
      [theirs, ofStack],
      false,
      { state: 'right', action: 'none' },
    ],
  ])('%s', (_, filters, enrolled, expected) => {
    const desired: Desired = { ...shop, enrolled, destinationArn: TO };
    expect(filterFinding(filters, desired)).toMatchObject({ part: 'subscriptionFilter', ...expected });
  });
});

describe('an access entry', () => {
  const role = { arn: 'arn:aws:iam::123456789012:role/envoy-hpa-reaper-reap-eu-central-1', id: 'AROAREAP' };
  const username = 'arn:aws:sts::123456789012:assumed-role/envoy-hpa-reaper-reap-eu-central-1/{{SessionName}}';
  const entry: AccessEntry = {
    ...{ groups: ['envoy-hpa-reaper'], username, type: 'STANDARD' },
    tags: { 'envoy-hpa-reaper/role-id': 'AROAREAP', team: 'edge' },
  };
  const finding = (change: Partial<AccessEntry> | undefined, enrolled = true) =>
    entryFinding(change && { ...entry, ...change }, role, enrolled);

  test('is right with the group, the username, the type and the role id', () => {
    expect(finding({})).toEqual({
      ...{ part: 'accessEntry', name: role.arn, state: 'right', action: 'none' },
      found: 'the access entry has the Kubernetes group envoy-hpa-reaper',
    });
  });

  test.each<[Partial<AccessEntry> | undefined, Finding['state'], Finding['action'], RegExp]>([
    [undefined, 'absent', 'create', /^there is no access entry for arn:aws:iam::123456789012:role\//],
    [{ groups: [] }, 'different', 'update', /has no Kubernetes group, and not envoy-hpa-reaper$/],
    [{ groups: ['x'] }, 'different', 'update', /has the Kubernetes groups x, and not envoy-hpa-reaper$/],
    [{ groups: ['envoy-hpa-reaper', 'x'] }, 'different', 'update', /has the Kubernetes groups envoy-hpa-reaper, x, /],
    [{ username: 'admin' }, 'different', 'update', /has the username admin, and not arn:aws:sts::/],
    [{ type: 'EC2_LINUX' }, 'different', 'replace', /has the type EC2_LINUX, and not STANDARD$/],
    [
      { tags: { 'envoy-hpa-reaper/role-id': 'AROAOLD' }, groups: ['x'] },
      'dead',
      'replace',
      /^the access entry was created for role id AROAOLD, and the role was created again with id AROAREAP$/,
    ],
    [{ tags: {} }, 'untagged', 'replace', /has no tag envoy-hpa-reaper\/role-id/],
  ])('%o is %s: %s', (change, state, action, found) => {
    expect(finding(change)).toMatchObject({ state, action, remedy: 'Enroll the cluster.' });
    expect(finding(change).found).toMatch(found);
  });

  test('is deleted where it is unwanted, and only there', () => {
    expect(finding({ groups: ['x'] }, false)).toMatchObject({ state: 'unwanted', action: 'delete' });
    expect(finding(undefined, false)).toMatchObject({ state: 'right', action: 'none' });
  });
});

test.each([
  ['none', 'right', 'is right'],
  ['create', 'absent', 'does not exist'],
  ['update', 'different', 'differs from this version'],
  ['delete', 'unwanted', 'exists'],
] as const)('RBAC with the action %s is %s', (action, state, text) => {
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'a' } } as const;
  expect(rbacFinding(role, action)).toEqual({
    ...{ part: 'ClusterRole', name: 'a', state, found: `the ClusterRole a ${text}`, action },
  });
});
