import pMap from 'p-map';
import type { AccessEntries } from '../aws/access-entries.ts';
import type { SubscriptionFilters } from '../aws/subscription-filters.ts';
import { SUBSCRIPTION_PATTERN } from '../events/audit-event.ts';
import { type AccountDirectory, type ClusterDescription, OPT_OUT_TAG } from '../kubernetes/directory.ts';
import { AwsAccessError, describeError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import { carriesTags, describeIfThere } from '../sweep/find-targets.ts';
import {
  type ClusterEnrollment,
  type EnrolledRole,
  type EnrollmentPart,
  type EnrollmentProblem,
  type EnrollmentReport,
  FILTER_NAME,
  type Finding,
  judgeEntry,
  judgeFilter,
  logGroupOf,
} from './enrollment.ts';

export interface EnrollOptions {
  readonly region: string;
  readonly directory: AccountDirectory;
  readonly filters: SubscriptionFilters;
  readonly entries: AccessEntries;
  /** The ARN of `forward`. */
  readonly destinationArn: string;
  /** Who is let into the clusters. */
  readonly roles: readonly EnrolledRole[];
  /** The only clusters that are enrolled; empty for all. */
  readonly allowed: readonly string[];
  /** The only clusters that are looked at in this run; absent for all. */
  readonly clusters?: readonly string[];
  /** Only clusters that carry all of these. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Takes filters and entries away, whatever the clusters' tags and the list say. */
  readonly remove: boolean;
  readonly dryRun: boolean;
  readonly concurrency: number;
  /** Asked before each cluster; what it no longer gets to is in the report. */
  readonly hasTimeLeft?: () => boolean;
  readonly runId: string;
  readonly now: () => Date;
  readonly log: Log;
}

/**
 * Sees to it that the audit log of every cluster reaches us and that the cluster lets our roles in, or that neither is so
 * any more; what is right already is not written. It touches the filter of our name and the entries of our roles, nothing
 * else. A cluster that cannot be enrolled is in the report with the reason and the remedy, and stops no other.
 *
 * @throws {RetryableError} when the clusters or their log groups cannot be listed
 */
export async function enrollClusters(options: EnrollOptions): Promise<EnrollmentReport> {
  const {
    region,
    directory,
    filters,
    clusters,
    concurrency,
    hasTimeLeft = () => true,
    dryRun,
    runId,
    now,
    log,
  } = options;
  const startedAt = now().toISOString();
  const [names, logGroups] = await Promise.all([directory.list(), filters.logGroups()]);
  const known = new Set(names);
  const targets = new Set(clusters ?? [...names, ...logGroups.keys()]);
  const remaining: string[] = [];
  const visited = await pMap(
    [...targets].toSorted(),
    async (cluster) => {
      if (hasTimeLeft()) return await visit(cluster, known.has(cluster), logGroups.get(cluster), options);
      remaining.push(cluster);
      return undefined;
    },
    { concurrency },
  );
  const reports = visited.filter((report) => report !== undefined);
  const report: EnrollmentReport = {
    ...{ schemaVersion: 1, runId, region, dryRun, startedAt, finishedAt: now().toISOString() },
    totals: {
      clusters: reports.length,
      enrolled: reports.filter(({ aim, problems }) => aim === 'enroll' && problems.length === 0).length,
      changes: reports.flatMap(({ parts }) => parts).filter(({ outcome }) => outcome && outcome !== 'failed').length,
      problems: reports.reduce((sum, { problems }) => sum + problems.length, 0),
    },
    clusters: reports,
    remaining,
  };
  log.info('enrollment finished', { runId, dryRun, totals: report.totals, remaining });
  return report;
}

/** @returns `undefined` for what does not carry the tags, and for what is left of a cluster with nothing of ours */
async function visit(
  cluster: string,
  isKnown: boolean,
  logGroupClass: string | undefined,
  options: EnrollOptions,
): Promise<ClusterEnrollment | undefined> {
  const { directory, dryRun, runId, log, tags = {} } = options;
  const report: ClusterEnrollment = { cluster, aim: 'leave', because: 'NotDescribed', parts: [], problems: [] };
  try {
    const description = isKnown ? await describeIfThere(directory, cluster) : undefined;
    if (!carriesTags(description?.tags ?? {}, tags)) return undefined;
    Object.assign(report, desiredState(cluster, description, logGroupClass, options));
    // Without a list of names, it was deleted during this run: nothing is wrong.
    if (report.because === 'NotFound' && options.clusters) report.problems.push(notFound(cluster, options.region));
    if (report.aim === 'enroll' && description?.auditLog === false)
      report.problems.push(auditLogOff(cluster, options.region));
    if (report.aim !== 'leave') {
      await reconcileFilter(report, logGroupClass, description, options);
      // The entries of a cluster go with it.
      if (description && report.because !== 'Deleting') await reconcileEntries(report, description, options);
    }
  } catch (error) {
    report.problems.push(problemOf(error));
  } finally {
    // The next run in this process is to hear of a tag that was changed a moment ago.
    directory.forget(cluster);
  }
  const changes = report.parts.filter(({ action }) => action !== 'none');
  if (report.because === 'Gone' && changes.length === 0 && report.problems.length === 0) return undefined;
  for (const part of changes)
    log.info('enrollment changed', { runId, cluster, dryRun, because: report.because, ...part });
  for (const { message, ...problem } of report.problems) {
    log.warn('enrollment problem', { runId, cluster, ...problem, explanation: message });
  }
  return report;
}

function desiredState(
  cluster: string,
  description: ClusterDescription | undefined,
  logGroupClass: string | undefined,
  { remove, allowed, clusters }: EnrollOptions,
): Pick<ClusterEnrollment, 'aim' | 'because'> {
  if (description === undefined) {
    // Whoever names a cluster to enroll it wants no filter taken away: the name is wrong, or the place.
    const isMeantToBeThere = clusters !== undefined && !remove;
    const isNotFound = logGroupClass === undefined || isMeantToBeThere;
    return isNotFound ? { aim: 'leave', because: 'NotFound' } : { aim: 'remove', because: 'Gone' };
  }
  const { status, tags } = description;
  // Whatever its status: nobody may come by once it is ACTIVE, or is gone and its log group is not.
  if (remove) return { aim: 'remove', because: status === 'DELETING' ? 'Deleting' : 'Asked' };
  if (status !== 'ACTIVE') return { aim: 'leave', because: 'NotActive' };
  if (tags[OPT_OUT_TAG] === 'off') return { aim: 'remove', because: 'OptedOut' };
  if (allowed.length > 0 && !allowed.includes(cluster)) return { aim: 'remove', because: 'NotListed' };
  return { aim: 'enroll', because: 'Active' };
}

async function reconcileFilter(
  { cluster, aim, parts, problems }: ClusterEnrollment,
  logGroupClass: string | undefined,
  description: ClusterDescription | undefined,
  { region, filters, destinationArn, dryRun }: EnrollOptions,
): Promise<void> {
  const wanted = aim === 'enroll';
  if (logGroupClass === undefined) {
    // It is not there before the audit log is switched on.
    if (wanted && description?.auditLog !== false) problems.push(logGroupMissing(cluster, region));
    return;
  }
  if (logGroupClass !== 'STANDARD') {
    if (wanted) problems.push(logGroupNotStandard(cluster, logGroupClass));
    return;
  }
  try {
    const finding = judgeFilter(await filters.list(cluster), destinationArn, wanted);
    const part: EnrollmentPart = { part: 'subscriptionFilter', ...finding };
    parts.push(part);
    await execute(part, dryRun, async () => {
      if (finding.action === 'delete') return await filters.delete(cluster, FILTER_NAME);
      const result = await filters.put(cluster, { name: FILTER_NAME, pattern: SUBSCRIPTION_PATTERN, destinationArn });
      if (result === 'noFreeSlot') {
        part.outcome = 'failed';
        problems.push(noFreeSlot(cluster, region));
      }
    });
  } catch (error) {
    problems.push(problemOf(error));
  }
}

async function reconcileEntries(
  { cluster, aim, parts, problems }: ClusterEnrollment,
  { authenticationMode }: ClusterDescription,
  { region, entries, roles, dryRun }: EnrollOptions,
): Promise<void> {
  const wanted = aim === 'enroll';
  if (authenticationMode === 'CONFIG_MAP') {
    if (wanted) problems.push(noAccessEntries(cluster, region));
    return;
  }
  for (const role of roles) {
    try {
      const finding = judgeEntry(await entries.describe(cluster, role), role, wanted);
      const part: EnrollmentPart = { part: 'accessEntry', name: role.arn, ...finding };
      parts.push(part);
      await execute(part, dryRun, () => writeEntry(entries, cluster, role, finding.action));
    } catch (error) {
      problems.push(problemOf(error));
    }
  }
}

async function writeEntry(
  entries: AccessEntries,
  cluster: string,
  role: EnrolledRole,
  action: Finding['action'],
): Promise<void> {
  if (action === 'update') return await entries.update(cluster, role);
  if (action === 'delete' || action === 'replace') await entries.delete(cluster, role);
  // Where the process dies in between, the next run finds no entry and makes one.
  if (action === 'create' || action === 'replace') await entries.create(cluster, role);
}

async function execute(part: EnrollmentPart, dryRun: boolean, write: () => Promise<void>): Promise<void> {
  if (part.action === 'none') return;
  part.outcome = dryRun ? 'planned' : 'done';
  if (dryRun) return;
  try {
    await write();
  } catch (error) {
    part.outcome = 'failed';
    throw error;
  }
}

function problemOf(error: unknown): EnrollmentProblem {
  const message = describeError(error);
  if (error instanceof AwsAccessError) return { reason: 'AwsAccessRefused', message, remedy: error.remedy };
  const remedy =
    'The next run tries it again, or the next deletion of the stack; if it stays, the message says what is in the way.';
  return { reason: 'EnrollmentFailed', message, remedy };
}

const notFound = (cluster: string, region: string): EnrollmentProblem => ({
  reason: 'ClusterNotFound',
  message: `there is no cluster ${cluster} in ${region}`,
  remedy: 'Check the name and the Region; nothing to do if it was deleted.',
});

const auditLogOff = (cluster: string, region: string): EnrollmentProblem => ({
  reason: 'AuditLogOff',
  message: `the audit log of cluster ${cluster} is off: no change there is heard of, only a sweep finds what it leaves`,
  remedy: `aws eks update-cluster-config --region ${region} --name ${cluster} --logging '{"clusterLogging":[{"types":["audit"],"enabled":true}]}' (CloudWatch Logs charges for it)`,
});

const logGroupMissing = (cluster: string, region: string): EnrollmentProblem => ({
  reason: 'LogGroupMissing',
  message: `the audit log of cluster ${cluster} is on, but there is no log group ${logGroupOf(cluster)}`,
  remedy: `EKS makes it within minutes; if it was deleted, make it again: aws logs create-log-group --region ${region} --log-group-name ${logGroupOf(cluster)}`,
});

const logGroupNotStandard = (cluster: string, logGroupClass: string): EnrollmentProblem => ({
  reason: 'LogGroupNotStandard',
  message: `the log group ${logGroupOf(cluster)} is of class ${logGroupClass}, which takes no subscription filter`,
  remedy: 'A log group keeps its class: delete it and let EKS make it again, or leave this cluster to the sweeps.',
});

const noFreeSlot = (cluster: string, region: string): EnrollmentProblem => ({
  reason: 'NoFreeFilterSlot',
  message: `the log group ${logGroupOf(cluster)} has as many subscription filters as it may`,
  remedy: `Take one away (aws logs describe-subscription-filters --region ${region} --log-group-name ${logGroupOf(cluster)}), or leave this cluster to the sweeps.`,
});

const noAccessEntries = (cluster: string, region: string): EnrollmentProblem => ({
  reason: 'NoAccessEntries',
  message: `the authentication mode of cluster ${cluster} is CONFIG_MAP, which knows no access entries`,
  remedy: `aws eks update-cluster-config --region ${region} --name ${cluster} --access-config authenticationMode=API_AND_CONFIG_MAP (there is no way back)`,
});
