import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { type Command, Option } from 'commander';
import pMap from 'p-map';
import { parseAllDocuments } from 'yaml';
import { type EnrollOptions as EnrollClustersOptions, enrollClusters } from '../../enrollment/enroll-clusters.ts';
import { type EnrolledRole, type EnrollmentReport, stackOf } from '../../enrollment/enrollment.ts';
import type { ClusterConnection } from '../../kubernetes/api-client.ts';
import type { LiveDirectory } from '../../kubernetes/directory.ts';
import { type RbacObject, rbacStore } from '../../kubernetes/rbac-store.ts';
import { ClusterSkippedError, describeError, MalformedInputError, type SkipReason } from '../../platform/errors.ts';
import { SILENT } from '../../platform/logger.ts';
import { addTargetOptions, type TargetOptions, targetsOf } from '../input/targets.ts';
import { serialized, table } from '../output/output.ts';
import { ask, canAsk, EXIT, REQUEST_TIMEOUT, say } from '../output/terminal.ts';
import { RBAC_MANIFEST } from '../rbac-manifest.ts';

interface EnrollOptions extends TargetOptions {
  readonly remove?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly output: (typeof FORMATS)[number];
}

const FORMATS = ['table', 'json', 'yaml'] as const;

/** What is done in one Region. */
interface RegionOfRun {
  readonly options: Omit<EnrollClustersOptions, 'dryRun'>;
  /** By the name of the cluster in EKS. */
  connection(cluster: string): Promise<ClusterConnection>;
}

/** An object of infra/kubernetes/rbac.yaml in one cluster. */
interface RbacPart {
  readonly cluster: string;
  readonly kind: RbacObject['kind'];
  readonly name: string;
  readonly action: 'none' | 'create' | 'update' | 'delete';
  readonly outcome?: 'planned' | 'done' | 'failed';
  readonly problem?: { readonly message: string; readonly remedy: string };
}

interface Run {
  readonly enrollments: readonly EnrollmentReport[];
  readonly rbac: readonly RbacPart[];
}

/** So many clusters are looked at side by side. */
const CONCURRENCY = 5;

const rbacObjects = parseAllDocuments(RBAC_MANIFEST).map((document) => document.toJS() as RbacObject);

export function addEnrollCommand(program: Command): void {
  addTargetOptions(
    program
      .command('enroll')
      .description(
        'Has EKS clusters watched: subscription filter, access entries and RBAC, with your own rights. Shows what it would do, and asks.',
      ),
  )
    .option('--remove', 'take all three away again')
    .option('--dry-run', 'show what would be done, and do nothing')
    .option('-y, --yes', 'do not ask; for scripts')
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(FORMATS).default('table'))
    .addHelpText(
      'after',
      `
Exit codes:
  0    done, or nothing to do; a person's no is no failure
  1    failed, or something stands in the way of a cluster
  2    wrong usage
  130  interrupted

A cluster that is tagged envoy-hpa-reaper=off is not enrolled; what it has of
ours is taken away. The stack's list (clusters in infra/configuration.yml) is not
read here: of a cluster that it leaves out, the stack takes filter and entries
away again within 15 minutes.

--remove also takes the filter that a deleted cluster left on its log group.

Examples:
  The EKS cluster of the current context of your kubeconfig:
    reaper enroll
  What would be done in the EKS cluster shop:
    reaper enroll --eks shop --dry-run
  Every cluster of the account and Region:
    reaper enroll --eks --region eu-central-1
  Take all three away from the cluster of a context, without a question:
    reaper enroll --context shop --remove --yes`,
    )
    .action(async (options: EnrollOptions) => {
      if (!options.yes && !options.dryRun && !canAsk()) {
        say('there is no terminal to ask on: give --yes to go on without a question, or --dry-run to see the plan');
        process.exitCode = EXIT.usage;
        return;
      }
      await planAndEnroll(options);
    });
}

async function planAndEnroll(options: EnrollOptions): Promise<void> {
  const regions = await regionsOf(options);
  const plan = await run(regions, options.remove ?? false, true);
  const changes = changesOf(plan).length;
  if (changes === 0 || options.dryRun) {
    print(plan, options.output);
    if (plan.rbac.some(isToBeWritten)) process.stderr.write(RBAC_MANIFEST);
    process.exitCode = explain(plan);
    say(changes === 0 ? 'nothing to change' : `would make ${changes} changes; nothing was changed`);
    return;
  }
  process.stderr.write(tableOf(plan));
  if (plan.rbac.some(isToBeWritten)) process.stderr.write(`\n${RBAC_MANIFEST}\n`);
  explain(plan);
  const decision = options.yes ? 'yes' : await ask(`Make these ${changes} changes?`);
  if (decision !== 'yes') {
    say('nothing was changed');
    if (decision === 'interrupted') process.exitCode = EXIT.interrupted;
    return;
  }
  const done = await run(regions, options.remove ?? false, false);
  print(done, options.output);
  process.exitCode = explain(done);
}

const isToBeWritten = ({ action }: RbacPart) => action === 'create' || action === 'update';

const changesOf = ({ enrollments, rbac }: Run) =>
  [...enrollments.flatMap(({ clusters }) => clusters.flatMap(({ parts }) => parts)), ...rbac].filter(
    ({ action }) => action !== 'none',
  );

/** Filters and entries first: without them the RBAC is of no use. */
async function run(regions: readonly RegionOfRun[], remove: boolean, dryRun: boolean): Promise<Run> {
  const enrollments: EnrollmentReport[] = [];
  const rbac: RbacPart[] = [];
  for (const { options, connection } of regions) {
    const report = await enrollClusters({ ...options, dryRun });
    enrollments.push(report);
    // The RBAC of a cluster that only opted out is a person's own business; that of one that is deleted goes with it.
    const inEks = report.clusters.filter(({ aim, because }) => aim === 'enroll' || because === 'Asked');
    const parts = await pMap(
      inEks,
      ({ cluster }) => reconcileRbac(cluster, () => connection(cluster), remove, dryRun),
      {
        concurrency: CONCURRENCY,
      },
    );
    rbac.push(...parts.flat());
  }
  return { enrollments, rbac };
}

async function reconcileRbac(
  cluster: string,
  connect: () => Promise<ClusterConnection>,
  remove: boolean,
  dryRun: boolean,
): Promise<RbacPart[]> {
  let store: ReturnType<typeof rbacStore>;
  try {
    store = rbacStore(await connect(), REQUEST_TIMEOUT);
  } catch (error) {
    return rbacObjects.map((object) => failed(cluster, object, 'none', error));
  }
  const parts: RbacPart[] = [];
  // The binding goes before the role, as it came after it.
  for (const object of remove ? rbacObjects.toReversed() : rbacObjects) {
    const { kind, metadata } = object;
    let action: RbacPart['action'] = 'none';
    try {
      if (remove) action = (await store.exists(object)) ? 'delete' : 'none';
      else action = await store.plan(object);
      if (action === 'delete' && !dryRun) await store.delete(object);
      else if (action !== 'none' && !dryRun) await store.apply(object);
      const outcome = action === 'none' ? {} : ({ outcome: dryRun ? 'planned' : 'done' } as const);
      parts.push({ cluster, kind, name: metadata.name, action, ...outcome });
    } catch (error) {
      parts.push(failed(cluster, object, action, error));
    }
  }
  store.close();
  return parts;
}

const SKIP_REMEDIES: Partial<Record<SkipReason, string>> = {
  ClusterOptedOut: 'Reach it by a context of your kubeconfig: --context in place of --eks.',
  ClusterNotActive: 'Run this again once it is ACTIVE; nothing to do if it never was.',
};

function failed(cluster: string, { kind, metadata }: RbacObject, action: RbacPart['action'], error: unknown): RbacPart {
  const remedy =
    (error instanceof ClusterSkippedError && SKIP_REMEDIES[error.reason]) ||
    'Run this as somebody whom the cluster lets write ClusterRoles and ClusterRoleBindings, from where its API can be reached.';
  const problem = { message: describeError(error), remedy };
  return { cluster, kind, name: metadata.name, action, outcome: 'failed', problem };
}

async function regionsOf(options: EnrollOptions): Promise<RegionOfRun[]> {
  if (options.eks !== undefined) {
    const { scopes, clusters, tags } = await targetsOf(options);
    return await Promise.all(
      scopes.map(async ({ region = '', directory }) =>
        regionOfRun(region, directory, options, { clusters, tags }, (cluster) => directory.connection(cluster)),
      ),
    );
  }
  const { KubeconfigDirectory } = await import('../input/kubeconfig.ts');
  const { EksClusterDirectory } = await import('../../aws/cluster-directory.ts');
  const kubeconfig = new KubeconfigDirectory(options);
  const contexts = (await kubeconfig.list()).map((context) => ({ context, ...kubeconfig.eksCluster(context) }));
  const inRegions = new Set(contexts.map(({ region }) => region));
  return await Promise.all(
    [...inRegions].map((region) => {
      const ofRegion = contexts.filter((one) => one.region === region);
      const contextOf = new Map(ofRegion.map(({ cluster, context }) => [cluster, context]));
      return regionOfRun(
        region,
        new EksClusterDirectory(region),
        options,
        { clusters: [...contextOf.keys()], tags: {} },
        (cluster) => kubeconfig.connection(contextOf.get(cluster) ?? ''),
      );
    }),
  );
}

async function regionOfRun(
  region: string,
  directory: LiveDirectory,
  { profile, remove = false }: EnrollOptions,
  selection: Pick<EnrollClustersOptions, 'clusters' | 'tags'>,
  connection: RegionOfRun['connection'],
): Promise<RegionOfRun> {
  const { CloudWatchLogsSubscriptionFilters } = await import('../../aws/subscription-filters.ts');
  const { EksAccessEntries } = await import('../../aws/access-entries.ts');
  const aws = { region, profile };
  const stack = await stackIn(directory, selection.clusters);
  if (stack === undefined && !remove) throw new MalformedInputError(`there is no EKS cluster in ${region}`);
  // Without a cluster there is no entry, and a filter is taken away by its name.
  const { destinationArn = '', roleArns = {} } = stack ?? {};
  const arns = Object.values<string>(roleArns);
  return {
    connection,
    options: {
      ...{ region, directory, destinationArn, remove, ...selection, concurrency: CONCURRENCY, allowed: [] },
      filters: new CloudWatchLogsSubscriptionFilters(aws),
      entries: new EksAccessEntries(aws),
      roles: remove ? arns.map((arn) => ({ arn, id: '' })) : await rolesOf(arns, aws),
      runId: randomUUID(),
      now: () => new Date(),
      log: SILENT,
    },
  };
}

/** The ARN of any cluster tells the account: one that is named may be gone. @returns `undefined` where there is none */
async function stackIn(directory: LiveDirectory, names: readonly string[] = []) {
  const known = await directory.list();
  const name = names.find((one) => known.includes(one)) ?? known[0];
  if (name === undefined) return undefined;
  const { arn } = await directory.describe(name);
  if (arn === undefined) throw new MalformedInputError(`EKS does not tell the ARN of cluster ${name}`);
  return stackOf(arn);
}

async function rolesOf(arns: readonly string[], aws: { region: string; profile: string | undefined }) {
  const { IamRoles } = await import('../../aws/roles.ts');
  const roles = new IamRoles(aws);
  return await Promise.all(
    arns.map(async (arn): Promise<EnrolledRole> => {
      const name = arn.split('/').at(-1) ?? '';
      const id = await roles.idOf(name);
      if (id === undefined) {
        throw new MalformedInputError(
          `there is no role ${name} in this account: deploy the stack in ${aws.region} first`,
        );
      }
      return { arn, id };
    }),
  );
}

function print(result: Run, format: EnrollOptions['output']): void {
  process.stdout.write(format === 'table' ? tableOf(result) : serialized(result, format));
}

function tableOf({ enrollments, rbac }: Run): string {
  const ofAws = enrollments.flatMap(({ clusters }) =>
    clusters.flatMap(({ cluster, parts }) =>
      parts.map(({ part, name, found, differs, action, outcome = '' }) => [
        ...[cluster, part, name.split('/').at(-1) ?? ''],
        ...[differs === undefined ? found : `${found}: ${differs}`, action, outcome],
      ]),
    ),
  );
  const ofCluster = rbac.map(({ cluster, kind, name, action, outcome = '' }) => {
    const found = { none: 'right', create: 'absent', update: 'different', delete: 'unwanted' }[action];
    return [cluster, kind, name, outcome === 'failed' ? '?' : found, action, outcome];
  });
  return table([['CLUSTER', 'PART', 'NAME', 'FOUND', 'ACTION', 'OUTCOME'], ...ofAws, ...ofCluster]);
}

/** On stderr: what stands in the way, and what a person can do about it. @returns the exit code */
function explain({ enrollments, rbac }: Run): number {
  const problems = [
    ...enrollments.flatMap(({ clusters }) =>
      clusters.flatMap(({ cluster, problems }) => problems.map((problem) => ({ cluster, ...problem }))),
    ),
    ...rbac.flatMap(({ cluster, problem }) => (problem ? [{ cluster, ...problem }] : [])),
  ];
  const told = new Set(problems.map(({ cluster, message, remedy }) => `${cluster}: ${message}\n${remedy}`));
  for (const text of told) say(text);
  for (const { cluster, aim, because } of enrollments.flatMap(({ clusters }) => clusters)) {
    if (because === 'OptedOut') say(`${cluster}: it is tagged envoy-hpa-reaper=off, and so not enrolled`);
    if (because === 'NotActive' && aim === 'leave') say(`${cluster}: it is not ACTIVE now, and left as it is`);
  }
  return problems.length > 0 ? EXIT.failed : EXIT.done;
}
