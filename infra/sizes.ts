/**
 * `npm run sizes`: fails when a bundle is 5% larger or smaller than in sizes.json, and names the modules that changed it most.
 * `--record` writes sizes.json. What became smaller must be recorded too, so that it cannot grow back unnoticed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { bundleCli, bundleFunctions } from './bundle.ts';
import { bytesByModule } from './modules.ts';

type Sizes = Record<string, Record<string, number>>;

const TOLERANCE = 0.05;
const file = new URL('sizes.json', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'sizes-'));
const bundles = [...(await bundleFunctions(folder)), ['reaper', await bundleCli(folder)] as const];
rmSync(folder, { recursive: true });

const sizes: Sizes = {};
for (const [name, metafile] of bundles.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  const total = Object.values(metafile.outputs).reduce((sum, { bytes }) => sum + bytes, 0);
  sizes[name] = { total, ...Object.fromEntries([...bytesByModule(metafile)].toSorted(([a], [b]) => (a < b ? -1 : 1))) };
}

if (process.argv.includes('--record')) {
  writeFileSync(file, `${JSON.stringify(sizes, null, 2)}\n`);
} else {
  const recorded: Sizes = JSON.parse(readFileSync(file, 'utf8'));
  for (const name of new Set([...Object.keys(recorded), ...Object.keys(sizes)])) {
    const { total: before = 0, ...modulesBefore } = recorded[name] ?? {};
    const { total = 0, ...modules } = sizes[name] ?? {};
    const isClose = Math.abs(total - before) <= before * TOLERANCE;
    console.log(`${name}: ${total} bytes, recorded ${before}${isClose ? '' : ': CHANGED BY MORE THAN 5%'}`);
    if (isClose) continue;
    process.exitCode = 1;
    const changes = [...new Set([...Object.keys(modulesBefore), ...Object.keys(modules)])]
      .map((module) => [module, (modules[module] ?? 0) - (modulesBefore[module] ?? 0)] as const)
      .filter(([, change]) => change !== 0)
      .toSorted(([, a], [, b]) => (total > before ? b - a : a - b));
    for (const [module, change] of changes.slice(0, 3)) console.log(`  ${change > 0 ? '+' : ''}${change} ${module}`);
  }
  if (process.exitCode === 1) console.log('If that is intended, run `npm run sizes -- --record`.');
}
