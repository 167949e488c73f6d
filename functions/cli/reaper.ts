#!/usr/bin/env node
import process from 'node:process';
import { Command, CommanderError, Option } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { ClusterSkippedError, describeError } from '../platform/errors.ts';
import { tolerateClosedPipe } from './closed-pipe.ts';
import { FORMATS, type Format, formatScan } from './output.ts';
import { type ScanOptions, scan } from './scan.ts';

const EXIT = { done: 0, failed: 1, usage: 2, stale: 3 } as const;

const program = new Command('reaper')
  .description('Finds the HorizontalPodAutoscalers that Envoy Gateway left behind.')
  .version(packageJson.version)
  .exitOverride()
  .showHelpAfterError('Add --help to see what is possible.');

program
  .command('scan')
  .description('Says of every HPA that Envoy Gateway labelled whether it is stale, and why. Changes nothing.')
  .addOption(
    new Option('-f, --file <file>', 'a saved List, - for standard input, in place of a live cluster').conflicts([
      'context',
      'kubeconfig',
    ]),
  )
  .option('--context <name>', 'a context of the kubeconfig (default: the current one)')
  .option('--kubeconfig <file>', 'a kubeconfig (default: $KUBECONFIG, then ~/.kube/config)')
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
    const result = await scan(options, new Date());
    const { isTTY, columns } = process.stdout;
    const text = formatScan(result, options.output, {
      width: isTTY ? columns : undefined,
      color: isTTY === true && process.stdout.hasColors(),
    });
    process.stdout.write(text);
    const stale = result.clusters.some(({ hpas }) => hpas.some(({ action }) => action === 'delete'));
    if (options.exitCode && stale) process.exitCode = EXIT.stale;
  });

tolerateClosedPipe();

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has said already what was wrong; help and version are no failure.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  } else {
    process.stderr.write(`reaper: ${describeError(error)}\n`);
    if (error instanceof ClusterSkippedError) process.stderr.write(`${error.remedy}\n`);
    process.exitCode = EXIT.failed;
  }
}
