#!/usr/bin/env node
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import tab from '@bomb.sh/tab/commander';
import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { network } from '../aws/client.ts';
import { AwsAccessError, ClusterSkippedError, describeError, UsageError } from '../platform/errors.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addEnrollCommand } from './commands/enroll.ts';
import { addReapCommand } from './commands/reap.ts';
import { addReplayCommand } from './commands/replay.ts';
import { addRestoreCommand } from './commands/restore.ts';
import { addScanCommand } from './commands/scan.ts';
import { EXIT, say } from './output/terminal.ts';

const program = new Command('reaper')
  .description('Finds and deletes the HorizontalPodAutoscalers that Envoy Gateway left behind.')
  .version(packageJson.version)
  .exitOverride()
  .showHelpAfterError('Add --help for the options.')
  .addHelpText(
    'after',
    `
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; each command's
help has its own. With NO_COLOR there are no colors, with FORCE_COLOR always.

Examples:
  What is stale in the current context of your kubeconfig, and why?
    reaper scan
  Delete it, after a question:
    reaper reap
  Complete commands and options (bash needs the package bash-completion):
    source <(reaper completion bash)`,
  );

addScanCommand(program);
addReapCommand(program);
addRestoreCommand(program);
addReplayCommand(program);
addDoctorCommand(program);
addEnrollCommand(program);
tab(program, { completionCommandName: 'completion' });

// The AWS SDK warns on Node before 22 that its next versions need a newer one; the bundled version stays.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

// In `reaper scan | head`, a reader that stops early is not a failure, and the exit code still tells the result.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

// With many short-lived objects, such as the items of long Lists, V8 lets its heap grow to several times what is in use. These
// flags halve the memory of a scan of 5,000 Gateways, for an eighth to a quarter more processor time. They set no limit, so that
// a cluster of any size still fits.
setFlagsFromString('--semi-space-growth-factor=1');
setFlagsFromString('--heap-growing-percent=50');

try {
  if (Object.entries(process.env).some(([name, value]) => value && /^https?_proxy$/i.test(name))) {
    const { ProxyAgent } = await import('./input/proxy-agent.ts');
    network.createAgent = (options) => new ProxyAgent(options);
  }
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed the fault. Help and version are no failure.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  } else {
    say(describeError(error));
    if (error instanceof ClusterSkippedError || error instanceof AwsAccessError)
      process.stderr.write(`${error.remedy}\n`);
    process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.failed;
  }
}
