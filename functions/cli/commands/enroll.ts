import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { type Command, Option } from 'commander';
import pMap from 'p-map';
import { parseAllDocuments } from 'yaml';
import { type EnrollmentReport, type EnrollOptions, enrollClusters } from '../../enrollment/enroll-clusters.ts';
import { type Finding, stackOf } from '../../enrollment/findings.ts';
import type { ClusterConnection } from '../../kubernetes/api-client.ts';
import { type RbacObject, rbacStore } from '../../kubernetes/rbac-store.ts';
import { UsageError } from '../../platform/errors.ts';
import { SILENT } from '../../platform/logger.ts';
import { eksArnOf } from '../input/eks-context.ts';
import { addTargetOptions, type TargetOptions, targetsOf } from '../input/targets.ts';
import { serialized, tableLines } from '../output/output.ts';
import { type ConfirmOptions, confirmed, EXIT, REQUEST_TIMEOUT, requireAnswer, say } from '../output/terminal.ts';

const RBAC_MANIFEST = readFileSync(new URL('../../../infra/kubernetes/rbac.yaml', import.meta.url), 'utf8');

interface CommandOptions extends TargetOptions, ConfirmOptions {
  readonly remove?: boolean;
  readonly output: (typeof FORMATS)[number];
}

/** What is done in one Region. */
type RegionOptions = Omit<EnrollOptions, 'dryRun'>;

const FORMATS = ['table', 'json', 'yaml'] as const;

/** Maximum concurrent clusters. */
const CONCURRENCY = 5;

const HELP = `
Exit codes:
  0    done, nothing to do, or you answered no
  1    failed, or a cluster has a problem
  2    wrong usage
  130  interrupted

A context is enrolled in the AWS account of its cluster: with --profile, or the
profile of the command that gets its token, or the default one of the AWS SDK.
Nothing is changed unless EKS there names the server of the context.

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
  addTargetOptions(program.command('enroll'), { ofContexts: true })
    .description(
      'Enrolls EKS clusters with your own rights: subscription filter, access entries and RBAC. Shows the changes, and asks.',
    )
    .option('--remove', 'delete filter, entries and RBAC')
    .option('--dry-run', 'show the changes, and make none')
    .option('-y, --yes', 'do not ask; for scripts')
    .addOption(new Option('-o, --output <format>', 'output format').choices(FORMATS).default('table'))
    .addHelpText('after', HELP)
    .action(async (options: CommandOptions) => {
      requireAnswer(options);
      await planAndEnroll(options);
    });
}

async function planAndEnroll(options: CommandOptions): Promise<void> {
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
  if (!(await confirmed(`Make these ${changed.length} changes?`, options, 'nothing was changed'))) return;
  const done = await enrollRegions(regions, false);
  print(done, options.output);
  process.exitCode = explain(done);
}

const enrollRegions = (regions: readonly RegionOptions[], dryRun: boolean): Promise<EnrollmentReport[]> =>
  pMap(regions, (region) => enrollClusters({ ...region, dryRun }), { concurrency: 1 });

async function regionsOf(options: CommandOptions): Promise<RegionOptions[]> {
  if (options.eks === undefined) return await regionsOfContexts(options);
  const { scopes, clusters, tags } = await targetsOf(options);
  return await Promise.all(
    scopes.map(async ({ region = '', directory }) => {
      // The ARN of any cluster names the account; the clusters that the person names may not exist.
      const known = await directory.list();
      const name = clusters?.find((one) => known.includes(one)) ?? known[0];
      const { arn } = name === undefined ? {} : await directory.describe(name);
      const connection = (cluster: string) => directory.connection(cluster);
      return await regionOf({ region, directory, clusters, tags, arn, connection }, options);
    }),
  );
}

/** @throws {UsageError} unless each context and the AWS account that its cluster is written to agree */
async function regionsOfContexts(options: CommandOptions): Promise<RegionOptions[]> {
  const { KubeconfigDirectory } = await import('../input/kubeconfig.ts');
  const { eksClusterDirectory } = await import('../../aws/cluster-directory.ts');
  const kubeconfig = new KubeconfigDirectory(options);
  const accounts = new Map<string, Omit<Region, 'connection'> & { readonly contexts: Map<string, string> }>();
  const enrolled = new Set<string>();
  for (const context of await kubeconfig.list()) {
    const target = kubeconfig.eksContext(context, options.region);
    if (target === undefined) {
      throw new UsageError(`context ${context} does not name its EKS cluster; give it with --eks NAME --region REGION`);
    }
    const { region, cluster } = target;
    const profile = options.profile ?? target.profile;
    const key = JSON.stringify([region, profile]);
    const directory =
      accounts.get(key)?.directory ?? eksClusterDirectory(region, { profile, timeout: REQUEST_TIMEOUT });
    const arn = await eksArnOf(target, directory, profile ? `profile ${profile}` : 'the default AWS credentials');
    if (enrolled.has(arn)) continue;
    enrolled.add(arn);
    const { contexts = new Map<string, string>() } = accounts.get(key) ?? {};
    accounts.set(key, { region, profile, directory, arn, contexts: contexts.set(cluster, context) });
  }
  return await Promise.all(
    [...accounts.values()].map(({ contexts, ...account }) => {
      const connection = (cluster: string) => kubeconfig.connection(contexts.get(cluster) ?? '');
      return regionOf({ ...account, clusters: [...contexts.keys()], connection }, options);
    }),
  );
}

interface Region extends Pick<RegionOptions, 'region' | 'directory' | 'clusters' | 'tags'> {
  readonly profile?: string;
  /** The ARN of a cluster there; `undefined` where there is none. */
  readonly arn?: string;
  connection(cluster: string): Promise<ClusterConnection>;
}

async function regionOf(
  { profile, arn, connection, ...selection }: Region,
  { remove = false, ...options }: CommandOptions,
): Promise<RegionOptions> {
  const { region } = selection;
  const { enrollmentClients } = await import('../../aws/enrollment-clients.ts');
  const { roles, entries, filters } = enrollmentClients({ region, profile: profile ?? options.profile });
  if (arn === undefined && !remove) throw new UsageError(`there is no EKS cluster in ${region}`);
  // Without a cluster there is no entry, and a filter is deleted by its name.
  const { destinationArn, roleArns } = arn === undefined ? { destinationArn: '', roleArns: {} } : stackOf(arn);
  const roleOf = async (roleArn: string) => {
    const id = remove ? '' : await roles.idOf(roleArn);
    if (id !== undefined) return { arn: roleArn, id };
    throw new UsageError(`there is no role ${roleArn}: deploy the stack in ${region} first`);
  };
  return {
    ...{ ...selection, entries, filters, destinationArn, remove },
    roles: await Promise.all(Object.values<string>(roleArns).map(roleOf)),
    rbac: {
      objects: parseAllDocuments(RBAC_MANIFEST).map((document) => document.toJS() as RbacObject),
      connect: async (cluster) => rbacStore(await connection(cluster), REQUEST_TIMEOUT),
    },
    allowed: [],
    concurrency: CONCURRENCY,
    runId: randomUUID(),
    now: () => new Date(),
    log: SILENT,
  };
}

const findingsOf = (reports: readonly EnrollmentReport[]): (Finding & { cluster: string })[] =>
  reports.flatMap(({ clusters }) =>
    clusters.flatMap(({ cluster, findings }) => findings.map((finding) => ({ cluster, ...finding }))),
  );

function print(enrollments: readonly EnrollmentReport[], format: CommandOptions['output']): void {
  process.stdout.write(format === 'table' ? tableOf(enrollments) : serialized({ enrollments }, format));
}

function tableOf(reports: readonly EnrollmentReport[]): string {
  const rows = findingsOf(reports).map(({ cluster, part, name = '', state, found, action, outcome = '' }) => {
    const shown = action === 'update' || action === 'replace' ? found : state;
    return [cluster, part, name.split('/').at(-1) ?? '', shown, action, outcome];
  });
  return `${tableLines([['CLUSTER', 'PART', 'NAME', 'FOUND', 'ACTION', 'OUTCOME'], ...rows]).join('\n')}\n`;
}

/** Prints on stderr what only a person can fix, and what failed. @returns the exit code */
function explain(reports: readonly EnrollmentReport[]): number {
  const findings = findingsOf(reports);
  const texts = findings
    .filter(({ action, outcome, remedy }) => remedy && (action === 'none' || outcome === 'failed'))
    .map(({ cluster, found, remedy, command }) => [`${cluster}: ${found}`, remedy, command].filter(Boolean).join('\n'));
  for (const text of new Set(texts)) say(text);
  return findings.some(({ reason }) => reason) ? EXIT.failed : EXIT.done;
}
