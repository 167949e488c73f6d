import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { type Command, Option } from 'commander';
import { DEFAULT_GUARDS } from '../domain/guards.ts';
import type { RunReport } from '../domain/report.ts';
import { type RunProgress, sweepAccount } from '../usecases/sweep-account.ts';
import { EXIT } from './exit-code.ts';
import { FORMATS, type Format, formatReport } from './output.ts';
import { savedListDirectory } from './saved-list.ts';
import { addTargetOptions, type TargetOptions, targetsOf } from './targets.ts';

export interface ScanOptions extends TargetOptions {
  /** A saved List, or `-` for standard input, in place of live clusters. */
  readonly file?: string | undefined;
}

/** So many clusters are looked at side by side. */
const CONCURRENCY = 10;

/**
 * Judges clusters and changes nothing.
 *
 * @throws {MalformedInputError} for a file that is no List or a kubeconfig that leads nowhere
 */
export async function scan(
  options: ScanOptions,
  { now, onProgress }: { now: () => Date; onProgress?: (progress: RunProgress) => void },
): Promise<RunReport> {
  const targets =
    options.file === undefined
      ? await targetsOf(options)
      : { places: [{ directory: await savedListDirectory(options.file) }] };
  const report = await sweepAccount({
    ...targets,
    mode: 'report',
    guards: DEFAULT_GUARDS,
    maxDeletionsOfRun: Number.POSITIVE_INFINITY,
    concurrency: CONCURRENCY,
    now,
    runId: randomUUID(),
    log: { info: () => {}, warn: () => {}, error: () => {} },
    ...(onProgress && { onProgress }),
  });
  for (const { hpas } of report.clusters) {
    hpas.sort((a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name));
  }
  return report;
}

export function addScanCommand(program: Command): void {
  addTargetOptions(
    program
      .command('scan')
      .description('Says of every HPA that Envoy Gateway labelled whether it is stale, and why. Changes nothing.')
      .addOption(
        new Option('-f, --file <file>', 'a saved List, - for standard input, in place of a live cluster').conflicts([
          'context',
          'allContexts',
          'kubeconfig',
          'eks',
        ]),
      ),
  )
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(FORMATS).default('table'))
    .option('--exit-code', 'exit with 3 when anything is stale')
    .addHelpText(
      'after',
      `
Exit codes: 0 done (with --exit-code: nothing stale), 3 something stale (with --exit-code), 1 failed, 2 wrong usage.

Examples:
  reaper scan                                   the current context of your kubeconfig
  reaper scan --context prod -o json            another context, for a machine
  reaper scan --file cluster.json --exit-code   a saved cluster, for a check in CI
  kubectl get gatewayclasses,gateways,envoyproxies,hpa,deployments,configmaps -A -o json \\
    --show-managed-fields | reaper scan --file -`,
    )
    .action(async (options: ScanOptions & { output: Format; exitCode?: boolean }) => {
      const result = await scan(options, { now: () => new Date() });
      const [alone] = result.clusters;
      if (result.clusters.length === 1 && alone?.problem) {
        process.stderr.write(`reaper: ${alone.problem.message}\n${alone.problem.remedy}\n`);
        process.exitCode = EXIT.failed;
        return;
      }
      const { isTTY, columns } = process.stdout;
      const text = formatReport(result, options.output, {
        width: isTTY ? columns : undefined,
        color: isTTY === true && process.stdout.hasColors(),
      });
      process.stdout.write(text);
      const stale = result.clusters.some(({ hpas }) => hpas.some(({ action }) => action === 'delete'));
      if (options.exitCode && stale) process.exitCode = EXIT.stale;
    });
}
