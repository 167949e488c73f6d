import * as z from 'zod/mini';
import type { AccessEntry, SubscriptionFilter } from '../aws/enrollment-clients.ts';
import { SUBSCRIPTION_PATTERN } from '../events/audit-event.ts';
import { REAPER_GROUP } from '../kubernetes/cluster-inspection.ts';
import { type ClusterDescription, OPT_OUT_TAG } from '../kubernetes/directory.ts';
import { logGroupOf } from '../platform/eks-names.ts';
import { type Problem, problem } from '../platform/problems.ts';
import { described, optional } from '../platform/schema.ts';
import type { ClusterRef } from '../sweep/for-each-cluster.ts';

/** The subscription filter that enrollment creates, updates and deletes; it never touches a filter of another name. */
export const FILTER_NAME = 'envoy-hpa-reaper';
/**
 * The filter that the stack itself has for each listed cluster while `enrollment` is `off`. The names differ, so that switching
 * from one to the other never deletes a filter that the other has just created.
 */
export const STATIC_FILTER_NAME = 'envoy-hpa-reaper-static';
/** The tag of an access entry with the unique id of the role that it was created for. */
const ROLE_ID_TAG = 'envoy-hpa-reaper/role-id';

/** The ARNs of the stack in a cluster's account and Region, by the names that it is deployed with (infra/roles.yml). */
export function stackOf(clusterArn: string) {
  const [, partition, , region, account] = clusterArn.split(':');
  const roleArn = (role: string) => `arn:${partition}:iam::${account}:role/envoy-hpa-reaper-${role}-${region}`;
  return {
    destinationArn: `arn:${partition}:lambda:${region}:${account}:function:envoy-hpa-reaper-forward`,
    /** Of the functions that have access entries. */
    roleArns: { reap: roleArn('reap'), backfill: roleArn('backfill') },
  };
}

/** A role of the stack that the clusters authorize. */
export interface EnrolledRole {
  readonly arn: string;
  /** IAM's unique id (`AROA…`): a role that is deleted and created again keeps its ARN and gets another id. */
  readonly id: string;
}

/** The access entry of a role, with the username that EKS gives the sessions of a role by default. */
export function entryOf({ arn, id }: EnrolledRole): AccessEntry {
  const [, partition, , , account, path = ''] = arn.split(':');
  const username = `arn:${partition}:sts::${account}:assumed-role/${path.split('/').at(-1)}/{{SessionName}}`;
  return { groups: [REAPER_GROUP], username, type: 'STANDARD', tags: { [ROLE_ID_TAG]: id } };
}

export const findingSchema = z.object({
  part: z.enum([
    'cluster',
    'optOut',
    'auditLog',
    'logGroup',
    'authenticationMode',
    'subscriptionFilter',
    'accessEntry',
    'ClusterRole',
    'ClusterRoleBinding',
  ]),
  name: optional("The filter's or RBAC object's name, or the ARN of the access entry's principal"),
  state: described(
    'dead: its role was created again since; untagged: for an unknown role; unknown: not readable',
    z.enum(['right', 'absent', 'different', 'dead', 'untagged', 'unwanted', 'unknown']),
  ),
  found: described('What was found, one sentence without its period'),
  reason: optional(
    'Why the cluster cannot be enrolled completely',
    z.enum([
      'AuditLogOff',
      'LogGroupMissing',
      'LogGroupNotStandard',
      'NoFreeFilterSlot',
      'NoAccessEntries',
      'ClusterNotFound',
      'AwsAccessRefused',
      'EnrollmentFailed',
    ]),
  ),
  remedy: optional('What a person can do about it'),
  command: optional('A shell command that does it, or that shows more'),
  action: described('What `enroll` does about it', z.enum(['none', 'create', 'update', 'replace', 'delete'])),
  outcome: optional('Absent without an action', z.enum(['done', 'planned', 'failed'])),
});
/** One part of an enrollment: its observed state, and what enrollment or a person does about it. */
export type Finding = z.infer<typeof findingSchema>;

type EksCluster = Required<ClusterRef>;

type Subject = Pick<Finding, 'part' | 'name'>;

const right = (subject: Subject, found: string): Finding => ({ ...subject, state: 'right', found, action: 'none' });
/** Something that enrollment fixes by an action. */
const drift = (
  subject: Subject,
  state: Finding['state'],
  action: Finding['action'],
  found: string,
  remedy = action === 'delete' ? 'The next run of enrollment deletes it.' : 'Enroll the cluster.',
  command?: string,
): Finding => ({ ...subject, state, found, remedy, command, action });
/** A problem that only a person can fix. */
export const blocked = (
  part: Finding['part'],
  state: Finding['state'],
  { message, ...rest }: Problem<NonNullable<Finding['reason']>>,
): Finding => ({ part, state, found: message, ...rest, action: 'none' });

/** What only a person changes about a cluster. */
export const PREREQUISITES = {
  optOut({ cluster, region }: EksCluster, { arn, tags }: ClusterDescription): Finding {
    if (tags[OPT_OUT_TAG] !== 'off') return right({ part: 'optOut' }, 'the cluster has not opted out');
    const { message: found, remedy } = problem('ClusterOptedOut', cluster, OPT_OUT_TAG);
    const command = `aws eks untag-resource --region ${region} --resource-arn ${arn} --tag-keys ${OPT_OUT_TAG}`;
    return { part: 'optOut', state: 'different', found, remedy, command, action: 'none' };
  },
  auditLog: ({ cluster, region }: EksCluster, { auditLog = true }: Partial<ClusterDescription>) =>
    auditLog
      ? right({ part: 'auditLog' }, 'the audit log is on')
      : blocked('auditLog', 'different', problem('AuditLogOff', cluster, region)),
  /** While the audit log is on. Without a log group there is no class. */
  logGroup({ cluster, region }: EksCluster, logGroupClass: string | undefined): Finding {
    if (logGroupClass === undefined) return blocked('logGroup', 'absent', problem('LogGroupMissing', cluster, region));
    return logGroupClass === 'STANDARD'
      ? right({ part: 'logGroup' }, `${logGroupOf(cluster)} is of class STANDARD`)
      : blocked('logGroup', 'different', problem('LogGroupNotStandard', cluster, logGroupClass));
  },
  /** The description of a cluster that is older than access entries names no mode. */
  authenticationMode: (
    { cluster, region }: EksCluster,
    { authenticationMode = 'CONFIG_MAP' }: Partial<ClusterDescription>,
  ) =>
    authenticationMode === 'CONFIG_MAP'
      ? blocked('authenticationMode', 'different', problem('NoAccessEntries', cluster, region))
      : right({ part: 'authenticationMode' }, authenticationMode),
};

/**
 * The filter of our name. If the stack's own filter delivers the same lines to the same function, it will do as well. It is never
 * written here.
 *
 * @param filters all filters of the log group
 * @param desired `enrolled`: whether the filter is to exist; `destinationArn`: the ARN of `forward`
 */
export function filterFinding(
  filters: readonly SubscriptionFilter[],
  { region, enrolled, destinationArn }: EksCluster & { readonly enrolled: boolean; readonly destinationArn: string },
): Finding {
  const subject = { part: 'subscriptionFilter', name: FILTER_NAME } as const;
  const [ours, ofStack] = [FILTER_NAME, STATIC_FILTER_NAME].map((name) => filters.find((one) => one.name === name));
  const absent = `there is no subscription filter ${FILTER_NAME}`;
  if (!enrolled && ours === undefined) return right(subject, absent);
  if (!enrolled) return drift(subject, 'unwanted', 'delete', `there is a subscription filter ${FILTER_NAME}`);
  const effective = ours ?? ofStack;
  if (effective === undefined) return drift(subject, 'absent', 'create', absent);
  const { name } = effective;
  const isElsewhere = effective.destinationArn !== destinationArn;
  if (!isElsewhere && effective.pattern === SUBSCRIPTION_PATTERN) {
    return right({ ...subject, name }, `${name} has the pattern of this version`);
  }
  const found = isElsewhere
    ? `the subscription filter ${name} delivers to ${effective.destinationArn}, and not to ${destinationArn}`
    : `the pattern of the subscription filter ${name} is not the pattern of this version`;
  if (effective === ours) {
    const remedy = isElsewhere
      ? 'Find out which stack that function belongs to; then enroll the cluster, which changes the destination.'
      : 'Deploy this version if the stack has another one; then enroll the cluster.';
    return drift(subject, 'different', 'update', found, remedy);
  }
  // A deployment sees no change where somebody changed the filter by hand.
  const remedy =
    'Deploy this version. If that does not change the filter, remove the cluster from infra/configuration.yml and deploy, then add it again and deploy.';
  const command = `npm run deploy -- --s3-bucket BUCKET --region ${region}`;
  return drift(subject, 'absent', 'create', found, remedy, command);
}

/**
 * The access entry of a role. EKS binds an entry to the unique id of its role and does not say to which (API reference,
 * `AccessEntry.principalArn`): hence the tag. The id and the type of an entry cannot be updated, only replaced.
 *
 * @param entry `undefined` without an entry
 * @param role without an id if IAM has no such role
 */
export function entryFinding(
  entry: AccessEntry | undefined,
  role: Pick<EnrolledRole, 'arn'> & Partial<EnrolledRole>,
  enrolled: boolean,
): Finding {
  const subject = { part: 'accessEntry', name: role.arn } as const;
  const absent = `there is no access entry for ${role.arn}`;
  if (!enrolled && entry === undefined) return right(subject, absent);
  if (!enrolled) return drift(subject, 'unwanted', 'delete', `there is an access entry for ${role.arn}`);
  const deploy = 'Deploy the stack, then enroll the cluster.';
  if (role.id === undefined) return drift(subject, 'absent', 'create', `there is no role ${role.arn}`, deploy);
  if (entry === undefined) return drift(subject, 'absent', 'create', absent);
  const { groups, username, type, tags } = entry;
  const desired = entryOf({ arn: role.arn, id: role.id });
  const id = tags[ROLE_ID_TAG];
  const has = groups.length === 0 ? 'no Kubernetes group' : `the Kubernetes groups ${groups.join(', ')}`;
  const recreated = `was created for role id ${id}, and the role was created again with id ${role.id}`;
  const faults = [
    [id === undefined, 'untagged', 'replace', `has no tag ${ROLE_ID_TAG}: its role may not exist anymore`],
    [id !== role.id, 'dead', 'replace', recreated],
    [type !== desired.type, 'different', 'replace', `has the type ${type}, and not ${desired.type}`],
    [groups.join() !== REAPER_GROUP, 'different', 'update', `has ${has}, and not ${REAPER_GROUP}`],
    [username !== desired.username, 'different', 'update', `has the username ${username}, and not ${desired.username}`],
  ] as const;
  const fault = faults.find(([applies]) => applies);
  if (fault === undefined) return right(subject, `the access entry has the Kubernetes group ${REAPER_GROUP}`);
  const [, state, action, found] = fault;
  return drift(subject, state, action, `the access entry ${found}`);
}
