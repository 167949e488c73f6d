import * as z from 'zod/mini';
import type { EnrollmentClients } from '../aws/enrollment-clients.ts';
import { SUBSCRIPTION_PATTERN } from '../events/audit-event.ts';
import { type AccountDirectory, type ClusterDescription, OPT_OUT_TAG } from '../kubernetes/directory.ts';
import type { RbacObject, rbacStore } from '../kubernetes/rbac-store.ts';
import { AwsAccessError, ClusterSkippedError, describeError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import { problem } from '../platform/problems.ts';
import { described } from '../platform/schema.ts';
import { type ClusterRef, forEachCluster, type LoopOptions } from '../sweep/for-each-cluster.ts';
import {
  blocked,
  type EnrolledRole,
  entryFinding,
  entryOf,
  FILTER_NAME,
  type Finding,
  filterFinding,
  findingSchema,
  PREREQUISITES,
} from './findings.ts';

const clusterEnrollmentSchema = z.object({
  cluster: z.string(),
  aim: described('The desired state', z.enum(['enroll', 'remove', 'leave'])),
  because: described(
    'Deleting: asked for, and its entries are deleted with it. Gone: only its log group is left. NotActive: left for the next run. NotDescribed: EKS did not describe it, see the finding',
    z.enum(['Active', 'OptedOut', 'NotListed', 'Asked', 'Deleting', 'Gone', 'NotActive', 'NotFound', 'NotDescribed']),
  ),
  findings: described('What enrollment writes, and what else is not right', z.array(findingSchema)),
});
type ClusterEnrollment = z.infer<typeof clusterEnrollmentSchema>;

/** The version rises when a reader would have to change. */
export const enrollmentReportSchema = described(
  'What one run of enrollment found, did and could not do',
  z.object({
    schemaVersion: z.literal(1),
    runId: z.string(),
    region: z.string(),
    dryRun: z.boolean(),
    startedAt: described('RFC 3339'),
    finishedAt: described('RFC 3339'),
    totals: z.object({
      clusters: z.number(),
      enrolled: described('Clusters that are to be enrolled and have no problem', z.number()),
      changes: described('Objects written; in a dry run, those that would be written', z.number()),
      problems: described('Findings with a reason', z.number()),
    }),
    clusters: z.array(clusterEnrollmentSchema),
    remaining: described('Clusters that the run did not begin before it had to end', z.array(z.string())),
  }),
);
export type EnrollmentReport = z.infer<typeof enrollmentReportSchema>;

type RbacStore = ReturnType<typeof rbacStore>;

/** `clusters` and `tags` select the clusters of this run. */
export interface EnrollOptions
  extends Pick<EnrollmentClients, 'entries' | 'filters'>,
    Pick<LoopOptions, 'clusters' | 'tags' | 'concurrency' | 'hasTimeLeft'> {
  readonly region: string;
  readonly directory: AccountDirectory;
  /** The ARN of `forward`. */
  readonly destinationArn: string;
  readonly roles: readonly EnrolledRole[];
  /** The RBAC of the clusters; absent for the function, which may not write it. */
  readonly rbac?: { readonly objects: readonly RbacObject[]; connect(cluster: string): Promise<RbacStore> };
  /** The only clusters that are enrolled; empty for all. */
  readonly allowed: readonly string[];
  /** Deletes filters, entries and RBAC, whatever the clusters' tags and the list say. */
  readonly remove: boolean;
  readonly dryRun: boolean;
  readonly runId: string;
  readonly now: () => Date;
  readonly log: Log;
}

/**
 * Enrolls every cluster, or removes what enrollment created there. It writes only what differs, and only the filter of our
 * name, the entries of our roles and our RBAC objects. A cluster that cannot be enrolled is reported and stops no other.
 *
 * @throws {RetryableError} when the clusters or their log groups cannot be listed
 */
export async function enrollClusters(options: EnrollOptions): Promise<EnrollmentReport> {
  const { region, directory, dryRun, runId, now, log } = options;
  const startedAt = now().toISOString();
  const [names, logGroups] = await Promise.all([options.clusters ?? directory.list(), options.filters.logGroups()]);
  const all = options.clusters ? names : [...names, ...logGroups.keys()];
  const run = await forEachCluster(
    { ...options, scopes: [{ region, directory }], clusters: [...new Set(all)].toSorted(), includesMissing: true },
    async ({ cluster }, description) => await enrollCluster(cluster, description, logGroups.get(cluster), options),
  );
  const clusters = run.clusters.flatMap((outcome): ClusterEnrollment | [] => {
    if ('value' in outcome) return outcome.value ?? [];
    const { cluster, error } = outcome;
    const unknown = { part: 'cluster', state: 'unknown', action: 'none' } as const;
    const findings = [{ ...unknown, ...failureOf(error, 'cluster', { cluster, region }) }];
    return logged({ cluster, aim: 'leave', because: 'NotDescribed', findings }, options);
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

function logged(enrollment: ClusterEnrollment, { runId, dryRun, log }: EnrollOptions): ClusterEnrollment {
  const { cluster, because, findings } = enrollment;
  for (const { found: explanation, ...finding } of findings) {
    const line = { runId, cluster, dryRun, because, ...finding, explanation };
    if (finding.action !== 'none') log.info('enrollment changed', line);
    if (finding.reason) log.warn('enrollment problem', line);
  }
  return enrollment;
}

/** A filter, an access entry or an RBAC object. */
interface ManagedPart {
  readonly subject: Pick<Finding, 'part' | 'name'>;
  read(): Promise<Finding>;
  write(action: Finding['action']): Promise<void>;
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
  const desired = { cluster, region, enrolled, destinationArn };
  const authenticationMode = PREREQUISITES.authenticationMode(desired, description ?? {});
  const findings: Finding[] = [];
  if (because === 'NotFound' && options.clusters) {
    findings.push(blocked('cluster', 'absent', problem('ClusterNotFound', cluster, region)));
  }
  if (because === 'NotActive') {
    const { message: found } = problem('ClusterNotActive', cluster, description?.status);
    const remedy = 'Once it is ACTIVE, the next run enrolls it.';
    findings.push({ part: 'cluster', state: 'different', found, remedy, action: 'none' });
  }
  if (because === 'OptedOut' && description) findings.push(PREREQUISITES.optOut(desired, description));
  if (enrolled) {
    const auditLog = PREREQUISITES.auditLog(desired, description ?? {});
    const log = auditLog.state === 'right' ? PREREQUISITES.logGroup(desired, logGroupClass) : auditLog;
    findings.push(...[log, authenticationMode].filter(({ state }) => state !== 'right'));
  }
  const parts: ManagedPart[] = [];
  if (aim !== 'leave' && logGroupClass === 'STANDARD') {
    const filter = { name: FILTER_NAME, pattern: SUBSCRIPTION_PATTERN, destinationArn };
    parts.push({
      subject: { part: 'subscriptionFilter', name: FILTER_NAME },
      read: async () => filterFinding(await filters.list(cluster), desired),
      write: (action) => (action === 'delete' ? filters.delete(cluster, FILTER_NAME) : filters.put(cluster, filter)),
    });
  }
  // The entries of a cluster are deleted with it.
  const writesEntries = aim !== 'leave' && because !== 'Deleting' && authenticationMode.state === 'right';
  for (const role of writesEntries ? roles : []) {
    parts.push({
      subject: { part: 'accessEntry', name: role.arn },
      read: async () => entryFinding(await entries.describe(cluster, role.arn), role, enrolled),
      async write(action) {
        if (action === 'update') {
          try {
            return await entries.update(cluster, role.arn, entryOf(role));
          } catch (error) {
            // IAM may compare the role's conditions with the entry as it is, and refuse to fix one that somebody changed.
            if (!(error instanceof AwsAccessError)) throw error;
          }
        }
        // If the process ends in between, the next run finds no entry and creates one.
        if (action !== 'create') await entries.delete(cluster, role.arn);
        if (action !== 'delete') await entries.create(cluster, role.arn, entryOf(role));
      },
    });
  }
  let store: RbacStore | undefined;
  // The RBAC of a cluster that only opted out is its owner's business; that of a cluster under deletion is deleted with it.
  if (rbac && (enrolled || because === 'Asked')) {
    // The role is created before its binding, and deleted after it.
    for (const object of enrolled ? rbac.objects : rbac.objects.toReversed()) {
      parts.push({
        subject: { part: object.kind, name: object.metadata.name },
        async read() {
          store ??= await rbac.connect(cluster);
          return rbacFinding(object, await store.plan(object, enrolled));
        },
        write: async (action) => await store?.[action === 'delete' ? 'delete' : 'apply'](object),
      });
    }
  }
  for (const part of parts) findings.push(await reconcile(part, desired, dryRun));
  store?.close();
  if (because === 'Gone' && !findings.some(({ action, reason }) => action !== 'none' || reason)) return undefined;
  return logged({ cluster, aim, because, findings }, options);
}

function aimOf(
  cluster: string,
  description: ClusterDescription | undefined,
  logGroupClass: string | undefined,
  { remove, allowed, clusters }: EnrollOptions,
): Pick<ClusterEnrollment, 'aim' | 'because'> {
  if (description === undefined) {
    // A person who names a cluster to enroll it wants no filter deleted: the name is wrong, or the Region.
    const isMeantToExist = clusters !== undefined && !remove;
    if (logGroupClass === undefined || isMeantToExist) return { aim: 'leave', because: 'NotFound' };
    return { aim: 'remove', because: 'Gone' };
  }
  const { status, tags } = description;
  // Whatever its status, so that no events flow once it is ACTIVE again, or from a log group that outlives it.
  if (remove) return { aim: 'remove', because: status === 'DELETING' ? 'Deleting' : 'Asked' };
  // EKS refuses to write access entries while a cluster is being updated.
  if (status !== 'ACTIVE') return { aim: 'leave', because: 'NotActive' };
  if (tags[OPT_OUT_TAG] === 'off') return { aim: 'remove', because: 'OptedOut' };
  if (allowed.length > 0 && !allowed.includes(cluster)) return { aim: 'remove', because: 'NotListed' };
  return { aim: 'enroll', because: 'Active' };
}

async function reconcile(part: ManagedPart, cluster: Required<ClusterRef>, dryRun: boolean): Promise<Finding> {
  const { subject } = part;
  let finding: Finding = { ...subject, state: 'unknown', found: '', action: 'none' };
  try {
    finding = await part.read();
    if (finding.action === 'none') return finding;
    if (dryRun) return { ...finding, outcome: 'planned' };
    await part.write(finding.action);
    return { ...finding, outcome: 'done' };
  } catch (error) {
    return {
      ...finding,
      ...failureOf(error, subject.part, cluster),
      outcome: finding.action === 'none' ? undefined : 'failed',
    };
  }
}

const RBAC_STATES = {
  none: ['right', 'is right'],
  create: ['absent', 'does not exist'],
  update: ['different', 'differs from this version'],
  delete: ['unwanted', 'exists'],
} as const;

/** @param action what makes the object right */
function rbacFinding({ kind, metadata: { name } }: RbacObject, action: keyof typeof RBAC_STATES): Finding {
  const [state, text] = RBAC_STATES[action];
  return { part: kind, name, state, found: `the ${kind} ${name} ${text}`, action };
}

const SKIP_REMEDIES: Partial<Record<ClusterSkippedError['reason'], string>> = {
  ClusterOptedOut: 'Use a context of your kubeconfig: --context in place of --eks.',
  ClusterNotActive: 'Run this again once it is ACTIVE; nothing to do if it never was.',
};

function failureOf(error: unknown, part: Finding['part'], { cluster, region }: Required<ClusterRef>) {
  const found = describeError(error);
  if (part === 'ClusterRole' || part === 'ClusterRoleBinding') {
    const remedy =
      (error instanceof ClusterSkippedError && SKIP_REMEDIES[error.reason]) ||
      'Run this as a person whom the cluster allows to write ClusterRoles and ClusterRoleBindings, from where its API can be reached.';
    return { found, reason: 'EnrollmentFailed', remedy } as const;
  }
  if (error instanceof AwsAccessError) return { found, reason: 'AwsAccessRefused', remedy: error.remedy } as const;
  const isFull = error instanceof Error && (error.cause as Error | undefined)?.name === 'LimitExceededException';
  const { message, ...rest } = isFull
    ? problem('NoFreeFilterSlot', cluster, region)
    : problem('EnrollmentFailed', found);
  return { found: message, ...rest };
}
