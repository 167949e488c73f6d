/**
 * `npm run package`: writes the CloudFormation template and the zip files of the functions to dist/, without credentials or network
 * access. Arguments go to `osls package`; `--package FOLDER` writes to that folder.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { bundle } from './bundle.ts';
import { readConfiguration } from './settings.ts';
import { writeDeployable } from './template.ts';

const args = process.argv.slice(2);
try {
  readConfiguration();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
await bundle();
const osls = createRequire(import.meta.url).resolve('osls/bin/serverless.js');
// osls prints a stage and a Region, which do not matter here.
const { status, stderr } = spawnSync(process.execPath, [osls, 'package', ...args], {
  stdio: ['inherit', 'inherit', 'pipe'],
});
if (status !== 0) {
  process.stderr.write(stderr);
  process.exit(status ?? 1);
}

const { values } = parseArgs({ args, strict: false, options: { package: { type: 'string', short: 'p' } } });
const folder = typeof values.package === 'string' ? values.package : undefined;
writeDeployable(folder ?? '.serverless', folder ?? 'dist');
console.log(`${folder ?? 'dist'}/template.json and the zip files beside it can be deployed`);
