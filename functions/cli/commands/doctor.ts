import process from 'node:process';
import { type Command, Option } from 'commander';
import { type ExaminedPlace, examineClusters } from '../../doctor/examine-clusters.ts';
import { type DoctorReport, needsMending } from '../../doctor/health.ts';
import type { RunProgress } from '../../sweep/for-each-cluster.ts';
import { addJudgementOptions, type JudgementOptions } from '../input/selection.ts';
import { addTargetOptions, type TargetOptions, targetsOf } from '../input/targets.ts';
import { DOCTOR_FORMATS, type DoctorFormat, formatDoctorReport } from '../output/doctor-output.ts';
import { EXIT, progressLine, quoted, REQUEST_TIMEOUT, say, screenOf } from '../output/terminal.ts';

/** So many clusters are looked at side by side. */
const CONCURRENCY = 10;

/**
 * Looks at every link to clusters, and changes nothing.
 *
 * @throws {MalformedInputError} for a kubeconfig that leads nowhere
 * @throws {AwsAccessError} when AWS does not let us in
 */
export async function doctor(
  options: TargetOptions & JudgementOptions,
  { now, onProgress }: { now: () => Date; onProgress: (progress: RunProgress) => void },
): Promise<DoctorReport> {
  const { scopes, ...targets } = await targetsOf(options);
  const examined = await Promise.all(scopes.map((place) => examinedPlace(place, options)));
  return await examineClusters({
    ...targets,
    places: examined,
    concurrency: CONCURRENCY,
    controllerNamespaces: options.controllerNamespace,
    timeout: REQUEST_TIMEOUT,
    now,
    onProgress,
  });
}

type Place = Awaited<ReturnType<typeof targetsOf>>['scopes'][number];

async function examinedPlace(
  { directory, region }: Place,
  { kubeconfig, profile }: TargetOptions,
): Promise<ExaminedPlace> {
  if (region === undefined) {
    const file = kubeconfig === undefined ? '' : ` --kubeconfig ${quoted(kubeconfig)}`;
    const commands = (context: string) => {
      const flags = `--context ${quoted(context)}${file}`;
      return { flags, kubectl: `kubectl ${flags}` };
    };
    return { directory, commands };
  }
  // Two clients of the AWS SDK, of which a kubeconfig needs none.
  const { CloudWatchLogsSubscriptionFilters } = await import('../../aws/subscription-filters.ts');
  const { EksAccessEntries } = await import('../../aws/access-entries.ts');
  const aws = { region, profile };
  const as = profile === undefined ? '' : ` --profile ${quoted(profile)}`;
  const commands = (cluster: string) => ({
    flags: `--eks ${cluster} --region ${region}${as}`,
    kubectl: `aws eks update-kubeconfig --region ${region} --name ${cluster} --alias ${cluster}${as} && kubectl --context ${cluster}`,
  });
  return {
    directory,
    eks: { region, filters: new CloudWatchLogsSubscriptionFilters(aws), entries: new EksAccessEntries(aws) },
    commands,
  };
}

const HELP = `
States:
  ok       it holds
  warning  it holds, and there is something that you should know
  broken   it does not hold; beneath the table stands how to mend it
  unknown  it could not be looked at, and why

Exit codes:
  0  no link is broken
  1  a link is broken, or a cluster could not be looked at
  2  wrong usage

What it takes: the right to look. In AWS eks:ListClusters (without names),
eks:DescribeCluster, eks:DescribeAccessEntry, logs:DescribeLogGroups and
logs:DescribeSubscriptionFilters. In a cluster what \`scan\` takes, and for some
checks to list Deployments, to get CRDs, and to create subjectaccessreviews.
What is not allowed is unknown, and the rest is looked at all the same.

Examples:
  The current context of your kubeconfig; another one:
    reaper doctor
    reaper doctor --context prod
  An EKS cluster, with its audit log, subscription filter and access entries:
    reaper doctor --eks shop
  What is broken in the whole account:
    reaper doctor --eks --region eu-central-1 --region eu-west-1 -o json |
      jq -r '.clusters[] | .cluster as $c | .checks[] |
        select(.state == "broken") | "\\($c) \\(.id): \\(.found)"'`;

interface Flags extends TargetOptions, JudgementOptions {
  readonly output: DoctorFormat;
  readonly quiet?: boolean;
}

export function addDoctorCommand(program: Command): void {
  addJudgementOptions(
    addTargetOptions(
      program
        .command('doctor')
        .description('Checks each link to a cluster and says how to mend each that is broken. Changes nothing.'),
    ),
  )
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(DOCTOR_FORMATS).default('table'))
    .option('-q, --quiet', 'show no progress')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => {
      const progress = progressLine(flags.quiet);
      const report = await doctor(flags, { now: () => new Date(), onProgress: progress.show }).finally(progress.end);
      process.stdout.write(formatDoctorReport(report, flags.output, screenOf(process.stdout)));
      for (const { message, remedy } of report.regions) say(`${message}\n${remedy}`);
      if (report.regions.length > 0 || report.clusters.some(needsMending)) process.exitCode = EXIT.failed;
    });
}
