// Runs before `npm start` and `npm test` with any Node on the PATH, so that a new clone needs no other command first.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const installed = `${root}node_modules/.package-lock.json`;
const upToDate =
  existsSync(installed) &&
  existsSync(`${root}node_modules/node/bin/node`) &&
  statSync(installed).mtimeMs >= statSync(`${root}package-lock.json`).mtimeMs;

if (!upToDate) {
  console.error('Installing the packages of package-lock.json, Node 24 among them; this takes about a minute …');
  const started = Date.now();
  const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', process.stderr.fd, 'inherit'], // stdout belongs to the command that follows.
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) {
    console.error('npm ci failed; its message is above. Fix that and run the same command again.');
    process.exit(1);
  }
  console.error(`Installed in ${Math.round((Date.now() - started) / 1000)} s.`);
}
