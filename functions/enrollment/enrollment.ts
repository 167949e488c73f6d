import * as z from 'zod/mini';
import { SUBSCRIPTION_PATTERN } from '../events/audit-event.ts';
import { REAPER_GROUP } from '../kubernetes/permissions.ts';
import { described } from '../platform/schema.ts';

/** The subscription filter that enrollment puts, looks after and takes away; it touches no filter of another name. */
export const FILTER_NAME = 'envoy-hpa-reaper';
/**
 * The filter that the stack itself has for each listed cluster while `enrollment` is `off`. Its name is another one, so that
 * switching from one to the other takes nothing away that the other has just put.
 */
export const STATIC_FILTER_NAME = 'envoy-hpa-reaper-static';
/** The tag of an access entry with the unique id of the role that it was made for. */
export const ROLE_ID_TAG = 'envoy-hpa-reaper/role-id';

/** EKS writes a cluster's control plane logs there and nowhere else. */
export const logGroupOf = (cluster: string) => `/aws/eks/${cluster}/cluster`;

/** @returns the cluster whose control plane logs into this group; `undefined` for any other group */
export const clusterOfLogGroup = (name: string): string | undefined => /^\/aws\/eks\/([^/]+)\/cluster$/.exec(name)?.[1];

export interface SubscriptionFilter {
  readonly name: string;
  readonly pattern: string;
  readonly destinationArn: string;
}

export interface AccessEntry {
  readonly groups: readonly string[];
  readonly username: string;
  readonly type: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** A role that is to be let into the clusters. */
export interface EnrolledRole {
  readonly arn: string;
  /** IAM's unique id (`AROA…`): a role that is deleted and made again keeps its ARN and gets another id. */
  readonly id: string;
}

/** The functions that have a role of their own in a cluster. */
export const ROLES = ['reap', 'backfill'] as const;
export type Role = (typeof ROLES)[number];

/** What the stack of a cluster's account and Region has, by the names that it is deployed with (infra/roles.yml). */
export function stackOf(clusterArn: string): { destinationArn: string; roleArns: Readonly<Record<Role, string>> } {
  const [, partition, , region, account] = clusterArn.split(':');
  const arnOf = (role: Role) => `arn:${partition}:iam::${account}:role/envoy-hpa-reaper-${role}-${region}`;
  return {
    destinationArn: `arn:${partition}:lambda:${region}:${account}:function:envoy-hpa-reaper-forward`,
    roleArns: { reap: arnOf('reap'), backfill: arnOf('backfill') },
  };
}

/** What EKS calls the sessions of a role in Kubernetes unless it is told otherwise. */
export function usernameOf({ arn }: EnrolledRole): string {
  const [, partition, , , account, path = ''] = arn.split(':');
  return `arn:${partition}:sts::${account}:assumed-role/${path.split('/').at(-1)}/{{SessionName}}`;
}

/** How a part of an enrollment is, and what is to be done about it. */
export type Finding =
  | { readonly found: 'right'; readonly action: 'none' }
  | { readonly found: 'absent'; readonly action: 'none' | 'create' }
  | { readonly found: 'different' | 'dead'; readonly differs: string; readonly action: 'update' | 'replace' }
  | { readonly found: 'unwanted'; readonly action: 'delete' };

/**
 * What is to be done about the filter of our name. Where one is wanted, the stack's own does as well, if it delivers the
 * same to the same function; where none is wanted, the stack's own is left to the stack.
 *
 * @param filters all of the log group
 * @returns the finding, with the name of the filter that it is about
 */
export function judgeFilter(
  filters: readonly SubscriptionFilter[],
  destinationArn: string,
  wanted: boolean,
): Finding & { readonly name: string } {
  const isRight = ({ pattern, destinationArn: to }: SubscriptionFilter) =>
    pattern === SUBSCRIPTION_PATTERN && to === destinationArn;
  const ours = filters.find(({ name }) => name === FILTER_NAME);
  const name = FILTER_NAME;
  if (!wanted) return ours ? { name, found: 'unwanted', action: 'delete' } : { name, found: 'absent', action: 'none' };
  if (ours === undefined) {
    const ofTheStack = filters.find((filter) => filter.name === STATIC_FILTER_NAME && isRight(filter));
    if (ofTheStack) return { name: ofTheStack.name, found: 'right', action: 'none' };
    return { name, found: 'absent', action: 'create' };
  }
  if (isRight(ours)) return { name, found: 'right', action: 'none' };
  const differs = ours.pattern === SUBSCRIPTION_PATTERN ? `destination ${ours.destinationArn}` : 'pattern';
  return { name, found: 'different', differs, action: 'update' };
}

/**
 * What is to be done about the access entry of a role. EKS binds an entry to the unique id of its role and does not tell
 * which (API reference, `AccessEntry.principalArn`): hence the tag. Neither that nor the type can be changed, only replaced.
 *
 * @param entry `undefined` where there is none
 */
export function judgeEntry(entry: AccessEntry | undefined, role: EnrolledRole, wanted: boolean): Finding {
  if (!wanted) return entry ? { found: 'unwanted', action: 'delete' } : { found: 'absent', action: 'none' };
  if (entry === undefined) return { found: 'absent', action: 'create' };
  const { groups, username, type, tags } = entry;
  const madeFor = tags[ROLE_ID_TAG];
  if (madeFor !== role.id) {
    return { found: 'dead', differs: `made for role id ${madeFor ?? '(not tagged)'}`, action: 'replace' };
  }
  // The type of an entry cannot be changed.
  if (type !== 'STANDARD') return { found: 'different', differs: `type ${type}`, action: 'replace' };
  if (groups.join() !== REAPER_GROUP) {
    return { found: 'different', differs: `groups ${groups.join(', ') || '(none)'}`, action: 'update' };
  }
  if (username !== usernameOf(role)) return { found: 'different', differs: `username ${username}`, action: 'update' };
  return { found: 'right', action: 'none' };
}

export const ENROLLMENT_PROBLEMS = [
  'AuditLogOff',
  'LogGroupMissing',
  'LogGroupNotStandard',
  'NoFreeFilterSlot',
  'NoAccessEntries',
  'ClusterNotFound',
  'AwsAccessRefused',
  'EnrollmentFailed',
] as const;
export type EnrollmentProblem = z.infer<typeof problemSchema>;

const problemSchema = z.object({
  reason: z.enum(ENROLLMENT_PROBLEMS),
  message: z.string(),
  remedy: described('What a person can do about it; nothing is switched on by itself'),
});

const partSchema = z.object({
  part: z.enum(['subscriptionFilter', 'accessEntry']),
  name: described("The filter's name, or the ARN of the entry's principal"),
  found: z
    .enum(['right', 'absent', 'different', 'dead', 'unwanted'])
    .check(z.describe('dead: made for a role that was deleted and made again')),
  differs: z.optional(described('What is not as it should be, for different and dead')),
  action: z.enum(['none', 'create', 'update', 'replace', 'delete']),
  outcome: z
    .optional(z.enum(['done', 'planned', 'failed']))
    .check(z.describe('planned: a dry run; absent where there is no action')),
});
export type EnrollmentPart = z.infer<typeof partSchema>;

export const DESIRED_STATES = ['enroll', 'remove', 'leave'] as const;
export const REASONS = [
  'Active',
  'OptedOut',
  'NotListed',
  'Asked',
  'Deleting',
  'Gone',
  'NotActive',
  'NotFound',
  'NotDescribed',
] as const;

const clusterEnrollmentSchema = z.object({
  cluster: z.string(),
  aim: z.enum(DESIRED_STATES).check(z.describe('What this run is to bring about there')),
  because: z
    .enum(REASONS)
    .check(
      z.describe(
        'Deleting: asked for, and its entries go with it. Gone: only its log group is left. NotActive: left for the next run. NotDescribed: EKS was asked and did not say, see the problem',
      ),
    ),
  parts: z.array(partSchema),
  problems: z.array(problemSchema),
});
export type ClusterEnrollment = z.infer<typeof clusterEnrollmentSchema>;

/** The version rises when a reader would have to change. */
export const enrollmentReportSchema = z
  .object({
    schemaVersion: z.literal(1),
    runId: z.string(),
    region: z.string(),
    dryRun: z.boolean(),
    startedAt: described('RFC 3339'),
    finishedAt: described('RFC 3339'),
    totals: z.object({
      clusters: z.number(),
      enrolled: z.number().check(z.describe('Clusters that are to be enrolled and have no problem')),
      changes: z.number().check(z.describe('Filters and entries written; in a dry run, those that would be')),
      problems: z.number(),
    }),
    clusters: z.array(clusterEnrollmentSchema),
    remaining: z.array(z.string()).check(z.describe('Clusters that the run did not get to before it had to end')),
  })
  .check(z.describe('What one run of enrollment found, did and could not do'));
export type EnrollmentReport = z.infer<typeof enrollmentReportSchema>;
