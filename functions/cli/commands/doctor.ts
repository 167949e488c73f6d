import process from 'node:process';
import type { Command } from 'commander';
import { diagnoseClusters } from '../../doctor/diagnose-clusters.ts';
import { needsFixing } from '../../doctor/report.ts';
import { addJudgementOptions, type JudgementOptions } from '../input/selection.ts';
import { addTargetOptions, type TargetOptions, type Targets, targetsOf } from '../input/targets.ts';
import { formatDoctorReport } from '../output/output.ts';
import {
  addOutputOptions,
  EXIT,
  type OutputOptions,
  REQUEST_TIMEOUT,
  say,
  screenOf,
  shellFlags,
  withProgress,
} from '../output/terminal.ts';

const FORMATS = ['table', 'json', 'yaml', 'markdown'] as const;

const HELP = `
States:
  ok       the link works
  warning  the link works, and there is something that you should know
  broken   the link does not work; below the table is how to fix it
  unknown  the check could not read what it needs, and says why

Exit codes:
  0  no link is broken
  1  a link is broken, or a cluster could not be checked
  2  wrong usage

Without a permission, the checks that need it are unknown, and the others run.
docs/doctor.md lists the permissions.

Examples:
  The current context of your kubeconfig; another one:
    reaper doctor
    reaper doctor --context prod
  An EKS cluster, with its audit log, subscription filter and access entries:
    reaper doctor --eks shop
  Everything that is broken in the account:
    reaper doctor --eks --region eu-central-1 --region eu-west-1 -o json |
      jq -r '.clusters[] | .cluster as $c | .checks[] |
        select(.state == "broken") | "\\($c) \\(.id): \\(.found)"'`;

type DoctorOptions = TargetOptions & JudgementOptions & OutputOptions<typeof FORMATS>;

export function addDoctorCommand(program: Command): void {
  addOutputOptions(addJudgementOptions(addTargetOptions(program.command('doctor'))), FORMATS)
    .description('Checks each link to a cluster and says how to fix each that is broken. Changes nothing.')
    .addHelpText('after', HELP)
    .action(doctor);
}

async function doctor(options: DoctorOptions): Promise<void> {
  const { scopes, ...selection } = await targetsOf(options);
  const doctorScopes = await Promise.all(scopes.map((scope) => doctorScope(scope, options)));
  const report = await withProgress(options, (onProgress) =>
    diagnoseClusters({
      ...selection,
      scopes: doctorScopes,
      controllerNamespaces: options.controllerNamespace,
      timeout: REQUEST_TIMEOUT,
      now: () => new Date(),
      onProgress,
    }),
  );
  process.stdout.write(formatDoctorReport(report, options.output, screenOf(process.stdout)));
  for (const { message, remedy } of report.regions) say(`${message}\n${remedy}`);
  if (report.regions.length > 0 || report.clusters.some(needsFixing)) process.exitCode = EXIT.failed;
}

async function doctorScope({ directory, region }: Targets['scopes'][number], { kubeconfig, profile }: TargetOptions) {
  if (region === undefined) {
    const commands = (context: string) => {
      const flags = shellFlags({ context, kubeconfig });
      return { flags, kubectl: `kubectl ${flags}` };
    };
    return { directory, commands };
  }
  const { enrollmentClients } = await import('../../aws/enrollment-clients.ts');
  const commands = (cluster: string) => ({
    flags: shellFlags({ eks: cluster, region, profile }),
    kubectl: `aws eks update-kubeconfig ${shellFlags({ region, name: cluster, alias: cluster, profile })} && kubectl --context ${cluster}`,
  });
  return { directory, region, commands, eks: enrollmentClients({ region, profile }) };
}
