/**
 * `npm run package`: the CloudFormation template and the functions' zips in .serverless/, without credentials and without
 * a network. What follows `--` goes to `osls package`.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import process from 'node:process';
import { bundle } from './bundle.ts';
import { readConfiguration } from './configuration.ts';

try {
  readConfiguration();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
await bundle();
const osls = createRequire(import.meta.url).resolve('osls/bin/serverless.js');
const { status } = spawnSync(process.execPath, [osls, 'package', ...process.argv.slice(2)], { stdio: 'inherit' });
process.exit(status ?? 1);
