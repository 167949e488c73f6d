import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { type Command, Option } from 'commander';
import pMap from 'p-map';
import { parseAllDocuments } from 'yaml';
import type { AwsClientOptions } from '../../aws/client.ts';
import type { Roles } from '../../aws/roles.ts';
import {
  type EnrollOptions as EnrollClustersOptions,
  type EnrollmentReport,
  enrollClusters,
} from '../../enrollment/enroll-clusters.ts';
import { type EnrolledRole, stackOf } from '../../enrollment/enrollment.ts';
import type { Finding } from '../../enrollment/findings.ts';
import type { ClusterConnection } from '../../kubernetes/api-client.ts';
import type { LiveDirectory } from '../../kubernetes/directory.ts';
import { type RbacObject, rbacStore } from '../../kubernetes/rbac-store.ts';
import { UsageError } from '../../platform/errors.ts';
import { SILENT } from '../../platform/logger.ts';
import { addTargetOptions, type TargetOptions, targetsOf } from '../input/targets.ts';
import { serialized, table } from '../output/output.ts';
import { ask, canAsk, EXIT, REQUEST_TIMEOUT, say } from '../output/terminal.ts';

const RBAC_MANIFEST = readFileSync(new URL('../../../infra/kubernetes/rbac.yaml', import.meta.url), 'utf8');

interface EnrollOptions extends TargetOptions {
  readonly remove?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly output: (typeof FORMATS)[number];
}

/** What is done in one Region. */
type RegionOptions = Omit<EnrollClustersOptions, 'dryRun'>;

const FORMATS = ['table', 'json', 'yaml'] as const;

/** Maximum concurrent clusters. */
const CONCURRENCY = 5;

const HELP = `
Exit codes:
  0    done, nothing to do, or you answered no
  1    failed, or a cluster has a problem
  2    wrong usage
  130  interrupted

A cluster that is tagged envoy-hpa-reaper=off is not enrolled: its filter and
entries are deleted. The clusters listed in infra/configuration.yml are not read
here: if one is missing there, the stack deletes its filter and entries again
within 15 minutes.

--remove also deletes the filter on the log group of a deleted cluster.

Examples:
  The EKS cluster of the current context of your kubeconfig:
    reaper enroll
  What would be done in the EKS cluster shop:
    reaper enroll --eks shop --dry-run
  Every cluster of the account and Region:
    reaper enroll --eks --region eu-central-1
  Remove everything from the cluster of a context, without a question:
    reaper enroll --context shop --remove --yes`;

export function addEnrollCommand(program: Command): void {
  addTargetOptions(
    program
      .command('enroll')
      .description(
        'Enrolls EKS clusters with your own rights: subscription filter, access entries and RBAC. Shows the changes, and asks.',
      ),
  )
    .option('--remove', 'delete filter, entries and RBAC')
    .option('--dry-run', 'show the changes, and make none')
    .option('-y, --yes', 'do not ask; for scripts')
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(FORMATS).default('table'))
    .addHelpText('after', HELP)
    .action(async (options: EnrollOptions) => {
      if (options.yes || options.dryRun || canAsk()) return await planAndEnroll(options);
      say('there is no terminal to ask on: give --yes to continue without a question, or --dry-run to see the changes');
      process.exitCode = EXIT.usage;
    });
}

async function planAndEnroll(options: EnrollOptions): Promise<void> {
  const regions = await regionsOf(options);
  const plan = await enrollRegions(regions, true);
  const changed = findingsOf(plan).filter(({ action }) => action !== 'none');
  const writesRbac = changed.some(({ part, action }) => part.startsWith('ClusterRole') && action !== 'delete');
  if (changed.length === 0 || options.dryRun) {
    print(plan, options.output);
    if (writesRbac) process.stderr.write(RBAC_MANIFEST);
    process.exitCode = explain(plan);
    say(changed.length === 0 ? 'nothing to change' : `would make ${changed.length} changes; nothing was changed`);
    return;
  }
  process.stderr.write(tableOf(plan));
  if (writesRbac) process.stderr.write(`\n${RBAC_MANIFEST}\n`);
  explain(plan);
  const decision = options.yes ? 'yes' : await ask(`Make these ${changed.length} changes?`);
  if (decision !== 'yes') {
    say('nothing was changed');
    if (decision === 'interrupted') process.exitCode = EXIT.interrupted;
    return;
  }
  const done = await enrollRegions(regions, false);
  print(done, options.output);
  process.exitCode = explain(done);
}

const enrollRegions = (regions: readonly RegionOptions[], dryRun: boolean): Promise<EnrollmentReport[]> =>
  pMap(regions, (region) => enrollClusters({ ...region, dryRun }), { concurrency: 1 });

async function regionsOf(options: EnrollOptions): Promise<RegionOptions[]> {
  if (options.eks !== undefined) {
    const { scopes, clusters, tags } = await targetsOf(options);
    return await Promise.all(
      scopes.map(({ region = '', directory }) =>
        regionOf({ region, directory, clusters, tags }, options, (cluster) => directory.connection(cluster)),
      ),
    );
  }
  const { KubeconfigDirectory } = await import('../input/kubeconfig.ts');
  const { EksClusterDirectory } = await import('../../aws/cluster-directory.ts');
  const kubeconfig = new KubeconfigDirectory(options);
  const contexts = (await kubeconfig.list()).map((context) => ({ context, ...kubeconfig.eksCluster(context) }));
  return await Promise.all(
    [...new Set(contexts.map(({ region }) => region))].map((region) => {
      const contextOf = new Map(
        contexts.filter((one) => one.region === region).map(({ cluster, context }) => [cluster, context]),
      );
      const directory = new EksClusterDirectory(region);
      return regionOf({ region, directory, clusters: [...contextOf.keys()] }, options, (cluster) =>
        kubeconfig.connection(contextOf.get(cluster) ?? ''),
      );
    }),
  );
}

async function regionOf(
  selection: Pick<EnrollClustersOptions, 'region' | 'clusters' | 'tags'> & { readonly directory: LiveDirectory },
  { profile, remove = false }: EnrollOptions,
  connection: (cluster: string) => Promise<ClusterConnection>,
): Promise<RegionOptions> {
  const { region, directory, clusters } = selection;
  const { roles, ...clients } = await enrollmentClients({ region, profile });
  const stack = await stackIn(directory, clusters);
  if (stack === undefined && !remove) throw new UsageError(`there is no EKS cluster in ${region}`);
  // Without a cluster there is no entry, and a filter is deleted by its name.
  const { destinationArn = '', roleArns = {} } = stack ?? {};
  const arns = Object.values<string>(roleArns);
  return {
    ...selection,
    destinationArn,
    roles: remove ? arns.map((arn) => ({ arn, id: '' })) : await rolesOf(arns, roles, region),
    ...clients,
    rbac: {
      objects: parseAllDocuments(RBAC_MANIFEST).map((document) => document.toJS() as RbacObject),
      connect: async (cluster) => rbacStore(await connection(cluster), REQUEST_TIMEOUT),
    },
    allowed: [],
    remove,
    concurrency: CONCURRENCY,
    runId: randomUUID(),
    now: () => new Date(),
    log: SILENT,
  };
}

/** @returns `undefined` without any cluster, whose ARN would name the account; the named ones may not exist */
async function stackIn(directory: LiveDirectory, names: readonly string[] = []) {
  const known = await directory.list();
  const name = names.find((one) => known.includes(one)) ?? known[0];
  if (name === undefined) return undefined;
  const { arn } = await directory.describe(name);
  return arn === undefined ? undefined : stackOf(arn);
}

const rolesOf = (arns: readonly string[], roles: Roles, region: string): Promise<EnrolledRole[]> =>
  Promise.all(
    arns.map(async (arn) => {
      const id = await roles.idOf(arn);
      if (id !== undefined) return { arn, id };
      throw new UsageError(`there is no role ${arn}: deploy the stack in ${region} first`);
    }),
  );

/** Clients of the AWS SDK, which commands on a kubeconfig do not load. */
export async function enrollmentClients(aws: AwsClientOptions) {
  const { eksAccessEntries } = await import('../../aws/access-entries.ts');
  const { iamRoles } = await import('../../aws/roles.ts');
  const { cloudWatchLogsFilters } = await import('../../aws/subscription-filters.ts');
  return { entries: eksAccessEntries(aws), filters: cloudWatchLogsFilters(aws), roles: iamRoles(aws) };
}

const findingsOf = (reports: readonly EnrollmentReport[]): (Finding & { cluster: string })[] =>
  reports.flatMap(({ clusters }) =>
    clusters.flatMap(({ cluster, findings }) => findings.map((finding) => ({ cluster, ...finding }))),
  );

function print(enrollments: readonly EnrollmentReport[], format: EnrollOptions['output']): void {
  process.stdout.write(format === 'table' ? tableOf(enrollments) : serialized({ enrollments }, format));
}

const tableOf = (reports: readonly EnrollmentReport[]): string =>
  table([
    ['CLUSTER', 'PART', 'NAME', 'FOUND', 'ACTION', 'OUTCOME'],
    ...findingsOf(reports).map(({ cluster, part, name = '', state, found, action, outcome = '' }) => [
      ...[cluster, part, name.split('/').at(-1) ?? ''],
      ...[action === 'update' || action === 'replace' ? found : state, action, outcome],
    ]),
  ]);

/** Prints on stderr what only a person can fix, and what failed. @returns the exit code */
function explain(reports: readonly EnrollmentReport[]): number {
  const findings = findingsOf(reports);
  const texts = findings
    .filter(({ action, outcome, remedy }) => remedy && (action === 'none' || outcome === 'failed'))
    .map(({ cluster, found, remedy, command }) => [`${cluster}: ${found}`, remedy, command].filter(Boolean).join('\n'));
  for (const text of new Set(texts)) say(text);
  return findings.some(({ reason }) => reason) ? EXIT.failed : EXIT.done;
}
