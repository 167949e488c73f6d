// Invokes a bundle repeatedly, each time followed by the bare requests of such a sweep. Writes the milliseconds of each to the file
// descriptor 3. Run by bench.ts.
import { writeSync } from 'node:fs';
import process from 'node:process';
import { bareClient, readJson } from './bare-requests.mjs';

const [bundle, eventFile, wavesFile, times] = process.argv.slice(2);
const { handler } = await import(bundle);
const { event, context, remaining } = readJson(eventFile);
const { waves, ...connection } = readJson(wavesFile);
const get = bareClient(connection);

async function bareRequests() {
  for (const wave of waves) await Promise.all(wave.map(get));
}
const sweep = () => handler(event, { ...context, getRemainingTimeInMillis: () => remaining });

async function timed(work) {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

const WARM_UP = 50;
const [sweeps, bare] = [[], []];
for (let time = 0; time < WARM_UP + Number(times); time += 1) {
  const [ofSweep, ofBare] = [await timed(sweep), await timed(bareRequests)];
  if (time < WARM_UP) continue;
  sweeps.push(ofSweep);
  bare.push(ofBare);
}
writeSync(3, JSON.stringify({ sweeps, bare }));
process.exit(0);
