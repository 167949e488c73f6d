import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { folder } from './temporary-files.ts';

export interface InstalledPackage {
  /** What `npm pack` says about the tarball. Size in bytes. */
  tarball: { size: number; files: { path: string }[] };
  /** The folder with the package, in which nothing else is installed. */
  directory: string;
  /** Runs a command with the environment's `PATH` behind the commands of the package. @returns stdout */
  run(command: string, args: readonly string[], path?: string): string;
}

/** Packs the command line tool in a copy of the repository, and installs the tarball elsewhere, without the network. */
export function installPackage(): InstalledPackage {
  const repository = join(folder, 'repository');
  const directory = join(folder, 'installed');
  // What an earlier build has left.
  mkdirSync(join(repository, 'dist/reaper'), { recursive: true });
  writeFileSync(join(repository, 'dist/reaper/chunk-STALE.mjs'), '');
  writeFileSync(join(repository, 'dist/template.json'), '');
  for (const read of ['functions', 'node_modules']) symlinkSync(resolve(read), join(repository, read));
  cpSync('infra', join(repository, 'infra'), { recursive: true });
  // Old, since infra/install.mjs would otherwise replace the packages that the running tests use.
  writeFileSync(join(repository, 'package-lock.json'), '');
  utimesSync(join(repository, 'package-lock.json'), 0, 0);
  for (const read of ['package.json', 'README.md', 'LICENSE']) copyFileSync(read, join(repository, read));
  mkdirSync(directory);

  const env = { PATH: process.env.PATH, HOME: folder };
  const npm = (cwd: string, ...args: string[]) =>
    execFileSync('npm', args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const [tarball] = JSON.parse(npm(repository, 'pack', '--silent', '--json', '--pack-destination', folder));
  npm(directory, 'install', '--offline', '--no-audit', '--no-fund', join(folder, tarball.filename));
  return {
    tarball,
    directory,
    run(command, args, path = env.PATH) {
      const PATH = `${join(directory, 'node_modules/.bin')}:${path}`;
      return execFileSync(command, args, { env: { ...env, PATH }, encoding: 'utf8' });
    },
  };
}
