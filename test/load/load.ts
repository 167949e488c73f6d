/**
 * `npm run load -- --events 100000 --clusters 50`: audit events of many clusters through the packaged `forward` and `reap`, each in
 * processes that live as long as execution environments of Lambda, with the batches, retries, and dead letters that the packaged
 * template asks for, against API servers that throttle. The hours that this takes in an account pass on a clock of its own.
 *
 * `npm run load -- --storm 24 --events 10000`: so many changes to 24 objects of one cluster, in a minute.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { record } from '../assurance/record.ts';
import { Load } from './run.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '100000' },
    clusters: { type: 'string', default: '50' },
    storm: { type: 'string' },
    seed: { type: 'string', default: '1' },
    record: { type: 'boolean', default: false },
  },
});
const [events, seed] = [Number(values.events), Number(values.seed)];
const storm = values.storm === undefined ? undefined : Number(values.storm);
const clusters = storm === undefined ? Number(values.clusters) : 1;
if (!(events >= 1_000) || (storm === undefined ? !(clusters >= 5 && clusters <= 100) : !(storm >= 1))) {
  console.error('expected at least 1000 events, and 5 to 100 clusters or the objects of a storm');
  process.exit(2);
}

const scenario = storm === undefined ? `--clusters ${clusters}` : `--storm ${storm}`;
const command = `npm run load -- --events ${events} ${scenario} --seed ${seed}`;
const folder = mkdtempSync(join(tmpdir(), 'load-'));
const load = await Load.start({ events, clusters, seed, folder });
try {
  await (storm === undefined ? load.run() : load.storm(storm));
} finally {
  await load.end();
  rmSync(folder, { recursive: true });
}
const rows = load.rows();
const width = Math.max(...rows.map(([name]) => name.length));
for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`);
for (const finding of load.findings.slice(0, 20)) console.error(`FOUND: ${finding}`);
if (load.findings.length > 0) {
  console.error(`${load.findings.length} findings; run again: ${command}`);
  process.exit(1);
}
if (values.record && storm === undefined) await record('load', { command, columns: ['what', 'count'], rows });
