import * as z from 'zod/mini';
import type { AccessEntries } from '../aws/access-entries.ts';
import type { SubscriptionFilters } from '../aws/subscription-filters.ts';
import { SUBSCRIPTION_PATTERN } from '../events/audit-event.ts';
import { type AccountDirectory, type ClusterDescription, OPT_OUT_TAG } from '../kubernetes/directory.ts';
import type { RbacObject, RbacStore } from '../kubernetes/rbac-store.ts';
import { AwsAccessError, ClusterSkippedError, describeError, type SkipReason } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import { problem, problemWithCommand } from '../platform/problems.ts';
import { described } from '../platform/schema.ts';
import { forEachCluster } from '../sweep/for-each-cluster.ts';
import { type EnrolledRole, FILTER_NAME } from './enrollment.ts';
import {
  auditLogFinding,
  authenticationModeFinding,
  blocked,
  type Desired,
  entryFinding,
  type Finding,
  filterFinding,
  findingSchema,
  logGroupFinding,
  optOutFinding,
  rbacFinding,
} from './findings.ts';

const clusterEnrollmentSchema = z.object({
  cluster: z.string(),
  aim: z.enum(['enroll', 'remove', 'leave']).check(z.describe('The desired state')),
  because: z
    .enum(['Active', 'OptedOut', 'NotListed', 'Asked', 'Deleting', 'Gone', 'NotActive', 'NotFound', 'NotDescribed'])
    .check(
      z.describe(
        'Deleting: asked for, and its entries are deleted with it. Gone: only its log group is left. NotActive: left for the next run. NotDescribed: EKS did not describe it, see the finding',
      ),
    ),
  findings: z.array(findingSchema).check(z.describe('What enrollment writes, and what else is not right')),
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
      changes: z.number().check(z.describe('Objects written; in a dry run, those that would be written')),
      problems: z.number().check(z.describe('Findings with a reason')),
    }),
    clusters: z.array(clusterEnrollmentSchema),
    remaining: z.array(z.string()).check(z.describe('Clusters that the run did not begin before it had to end')),
  })
  .check(z.describe('What one run of enrollment found, did and could not do'));
export type EnrollmentReport = z.infer<typeof enrollmentReportSchema>;

export interface EnrollOptions {
  readonly region: string;
  readonly directory: AccountDirectory;
  readonly filters: SubscriptionFilters;
  readonly entries: AccessEntries;
  /** The ARN of `forward`. */
  readonly destinationArn: string;
  readonly roles: readonly EnrolledRole[];
  /** The RBAC of the clusters; absent for the function, which may not write it. */
  readonly rbac?: { readonly objects: readonly RbacObject[]; connect(cluster: string): Promise<RbacStore> };
  /** The only clusters that are enrolled; empty for all. */
  readonly allowed: readonly string[];
  /** The only clusters of this run; absent for all. */
  readonly clusters?: readonly string[];
  /** Only clusters that carry all of these. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Deletes filters, entries and RBAC, whatever the clusters' tags and the list say. */
  readonly remove: boolean;
  readonly dryRun: boolean;
  /** Maximum concurrent clusters. */
  readonly concurrency: number;
  /** Called before each cluster; once it returns false, the others remain. */
  readonly hasTimeLeft?: () => boolean;
  readonly runId: string;
  readonly now: () => Date;
  readonly log: Log;
}

/**
 * Makes every cluster's audit log reach us and every cluster authorize our roles, or the opposite. What is right already is not
 * written. It writes the filter of our name, the entries of our roles and our RBAC objects, nothing else. A cluster that
 * cannot be enrolled is reported and stops no other.
 *
 * @throws {RetryableError} when the clusters or their log groups cannot be listed
 */
export async function enrollClusters(options: EnrollOptions): Promise<EnrollmentReport> {
  const { region, directory, tags, concurrency, hasTimeLeft, dryRun, runId, now, log } = options;
  const startedAt = now().toISOString();
  const [names, logGroups] = await Promise.all([options.clusters ?? directory.list(), options.filters.logGroups()]);
  const all = options.clusters ? names : [...names, ...logGroups.keys()];
  const run = await forEachCluster(
    {
      ...{ scopes: [{ region, directory }], clusters: [...new Set(all)].toSorted(), tags },
      ...{ concurrency, hasTimeLeft, includesMissing: true },
    },
    async ({ cluster }, description) =>
      logged(await enrollCluster(cluster, description, logGroups.get(cluster), options), options),
  );
  const clusters = run.clusters.flatMap((outcome): ClusterEnrollment | [] => {
    if ('value' in outcome) return outcome.value ?? [];
    const finding: Finding = { part: 'cluster', state: 'unknown', action: 'none', ...failureOf(outcome.error) };
    return logged({ cluster: outcome.cluster, aim: 'leave', because: 'NotDescribed', findings: [finding] }, options);
  });
  const findings = clusters.flatMap((one) => one.findings);
  const totals = {
    clusters: clusters.length,
    enrolled: clusters.filter((one) => one.aim === 'enroll' && !one.findings.some(({ reason }) => reason)).length,
    changes: findings.filter(({ outcome }) => outcome && outcome !== 'failed').length,
    problems: findings.filter(({ reason }) => reason).length,
  };
  const remaining = run.remaining.map(({ cluster }) => cluster);
  log.info('enrollment finished', { runId, dryRun, totals, remaining });
  const finishedAt = now().toISOString();
  return { schemaVersion: 1, runId, region, dryRun, startedAt, finishedAt, totals, clusters, remaining };
}

function logged<Enrollment extends ClusterEnrollment | undefined>(
  enrollment: Enrollment,
  { runId, dryRun, log }: EnrollOptions,
): Enrollment {
  for (const { found: explanation, ...finding } of enrollment?.findings ?? []) {
    const line = { runId, cluster: enrollment?.cluster, dryRun, because: enrollment?.because, ...finding, explanation };
    if (finding.action !== 'none') log.info('enrollment changed', line);
    if (finding.reason) log.warn('enrollment problem', line);
  }
  return enrollment;
}

/** @returns `undefined` for a deleted cluster of which nothing is left */
async function enrollCluster(
  cluster: string,
  description: ClusterDescription | undefined,
  logGroupClass: string | undefined,
  options: EnrollOptions,
): Promise<ClusterEnrollment | undefined> {
  const { region, destinationArn, filters, entries, roles, rbac, dryRun } = options;
  const { aim, because } = aimOf(cluster, description, logGroupClass, options);
  const enrolled = aim === 'enroll';
  const desired: Desired = { cluster, region, enrolled, destinationArn };
  const findings: Finding[] = [];
  if (because === 'NotFound' && options.clusters) {
    findings.push(blocked('cluster', 'absent', problem('ClusterNotFound', cluster, region)));
  }
  if (because === 'NotActive') {
    const found = `cluster ${cluster} is ${description?.status}`;
    const remedy = 'Once it is ACTIVE, the next run enrolls it.';
    findings.push({ part: 'cluster', state: 'different', found, remedy, action: 'none' });
  }
  if (because === 'OptedOut' && description) findings.push(optOutFinding(desired, description));
  const authenticationMode = authenticationModeFinding(desired, description?.authenticationMode);
  if (enrolled) {
    const auditLog = auditLogFinding(desired, description?.auditLog);
    const log = auditLog.state === 'right' ? logGroupFinding(desired, logGroupClass) : auditLog;
    findings.push(...[log, authenticationMode].filter(({ state }) => state !== 'right'));
  }
  if (aim !== 'leave' && logGroupClass === 'STANDARD') {
    const subject = { part: 'subscriptionFilter', name: FILTER_NAME } as const;
    const read = async () => filterFinding(await filters.list(cluster), desired);
    const filter = { name: FILTER_NAME, pattern: SUBSCRIPTION_PATTERN, destinationArn };
    const write = async (action: Finding['action']) => {
      if (action === 'delete') await filters.delete(cluster, FILTER_NAME);
      else if ((await filters.put(cluster, filter)) === 'noFreeSlot') {
        return blocked('subscriptionFilter', 'absent', problemWithCommand('NoFreeFilterSlot', cluster, region));
      }
      return undefined;
    };
    findings.push(await reconcile(subject, dryRun, read, write));
  }
  // The entries of a cluster are deleted with it.
  if (aim !== 'leave' && because !== 'Deleting' && authenticationMode.state === 'right') {
    for (const role of roles) {
      const read = async () => entryFinding(await entries.describe(cluster, role), role, enrolled);
      const write = async (action: Finding['action']) => {
        if (action === 'update') await entries.update(cluster, role);
        if (action === 'delete' || action === 'replace') await entries.delete(cluster, role);
        // If the process ends in between, the next run finds no entry and creates one.
        if (action === 'create' || action === 'replace') await entries.create(cluster, role);
        return undefined;
      };
      findings.push(await reconcile({ part: 'accessEntry', name: role.arn }, dryRun, read, write));
    }
  }
  // The RBAC of a cluster that only opted out is its owner's business; that of a cluster under deletion is deleted with it.
  if (rbac && (enrolled || because === 'Asked')) {
    findings.push(...(await reconcileRbac(cluster, enrolled, rbac, dryRun)));
  }
  if (because === 'Gone' && !findings.some(({ action, reason }) => action !== 'none' || reason)) return undefined;
  return { cluster, aim, because, findings };
}

function aimOf(
  cluster: string,
  description: ClusterDescription | undefined,
  logGroupClass: string | undefined,
  { remove, allowed, clusters }: EnrollOptions,
): Pick<ClusterEnrollment, 'aim' | 'because'> {
  if (description === undefined) {
    // Whoever names a cluster to enroll it wants no filter deleted: the name is wrong, or the Region.
    const isMeantToExist = clusters !== undefined && !remove;
    const isNotFound = logGroupClass === undefined || isMeantToExist;
    return isNotFound ? { aim: 'leave', because: 'NotFound' } : { aim: 'remove', because: 'Gone' };
  }
  const { status, tags } = description;
  // Whatever its status: nothing may run again once it is ACTIVE, or is gone and its log group is not.
  if (remove) return { aim: 'remove', because: status === 'DELETING' ? 'Deleting' : 'Asked' };
  // EKS refuses to write access entries while a cluster is being updated.
  if (status !== 'ACTIVE') return { aim: 'leave', because: 'NotActive' };
  if (tags[OPT_OUT_TAG] === 'off') return { aim: 'remove', because: 'OptedOut' };
  if (allowed.length > 0 && !allowed.includes(cluster)) return { aim: 'remove', because: 'NotListed' };
  return { aim: 'enroll', because: 'Active' };
}

type Failure = Pick<Finding, 'found' | 'reason' | 'remedy' | 'command'>;

/** @param write returns or throws what prevented it */
async function reconcile(
  subject: Pick<Finding, 'part' | 'name'>,
  dryRun: boolean,
  read: () => Promise<Finding>,
  write: (action: Finding['action']) => Promise<Failure | undefined>,
  describeFailure: (error: unknown) => Failure = failureOf,
): Promise<Finding> {
  let finding: Finding;
  try {
    finding = await read();
  } catch (error) {
    return { ...subject, state: 'unknown', action: 'none', ...describeFailure(error) };
  }
  if (finding.action === 'none') return finding;
  if (dryRun) return { ...finding, outcome: 'planned' };
  try {
    const failure = await write(finding.action);
    return { ...finding, ...failure, action: finding.action, outcome: failure ? 'failed' : 'done' };
  } catch (error) {
    return { ...finding, outcome: 'failed', ...describeFailure(error) };
  }
}

async function reconcileRbac(
  cluster: string,
  enrolled: boolean,
  { objects, connect }: NonNullable<EnrollOptions['rbac']>,
  dryRun: boolean,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  let store: RbacStore | undefined;
  // The role is created before its binding, and deleted after it.
  for (const object of enrolled ? objects : objects.toReversed()) {
    const read = async () => {
      store ??= await connect(cluster);
      return rbacFinding(object, await store.plan(object, enrolled));
    };
    const write = async (action: Finding['action']) => {
      await (action === 'delete' ? store?.delete(object) : store?.apply(object));
      return undefined;
    };
    const subject = { part: object.kind, name: object.metadata.name };
    findings.push(await reconcile(subject, dryRun, read, write, rbacFailureOf));
  }
  store?.close();
  return findings;
}

function failureOf(error: unknown): Failure {
  const message = describeError(error);
  if (error instanceof AwsAccessError) return { found: message, reason: 'AwsAccessRefused', remedy: error.remedy };
  const { reason, remedy } = problem('EnrollmentFailed', message);
  return { found: message, reason, remedy };
}

const SKIP_REMEDIES: Partial<Record<SkipReason, string>> = {
  ClusterOptedOut: 'Use a context of your kubeconfig: --context in place of --eks.',
  ClusterNotActive: 'Run this again once it is ACTIVE; nothing to do if it never was.',
};

function rbacFailureOf(error: unknown): Failure {
  const remedy =
    (error instanceof ClusterSkippedError && SKIP_REMEDIES[error.reason]) ||
    'Run this as a person whom the cluster allows to write ClusterRoles and ClusterRoleBindings, from where its API can be reached.';
  return { found: describeError(error), reason: 'EnrollmentFailed', remedy };
}
