#!/usr/bin/env node
import process from 'node:process';
import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { AwsAccessError, ClusterSkippedError, describeError } from '../platform/errors.ts';
import { tolerateClosedPipe } from './closed-pipe.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addEnrollCommand } from './commands/enroll.ts';
import { addReapCommand } from './commands/reap.ts';
import { addReplayCommand } from './commands/replay.ts';
import { addRestoreCommand } from './commands/restore.ts';
import { addScanCommand } from './commands/scan.ts';
import { EXIT } from './exit-code.ts';
import { keepMemorySmall } from './memory.ts';

const program = new Command('reaper')
  .description('Finds the HorizontalPodAutoscalers that Envoy Gateway left behind, and deletes them.')
  .version(packageJson.version)
  .exitOverride()
  .showHelpAfterError('Add --help to see what is possible.');

addScanCommand(program);
addReapCommand(program);
addRestoreCommand(program);
addReplayCommand(program);
addDoctorCommand(program);
addEnrollCommand(program);

// The AWS SDK would tell of each Node before 22 that its next versions want a newer one; the one in here stays.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
tolerateClosedPipe();
keepMemorySmall();

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has said already what was wrong; help and version are no failure.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  } else {
    process.stderr.write(`reaper: ${describeError(error)}\n`);
    if (error instanceof ClusterSkippedError || error instanceof AwsAccessError)
      process.stderr.write(`${error.remedy}\n`);
    process.exitCode = EXIT.failed;
  }
}
