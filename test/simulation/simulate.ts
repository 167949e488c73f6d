/**
 * Runs schedules of the simulation: `npm run simulate -- --schedules 1000000 [--seed 1]`. A schedule that breaks an invariant is shrunk
 * and printed, with the command that replays it. With `--broken NAME` the reaper is one of test/simulation/sabotage.ts.
 */
import { randomInt } from 'node:crypto';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { record } from '../assurance/record.ts';
import { SABOTAGES } from './sabotage.ts';
import { runSchedules, shrink } from './schedules.ts';

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    schedule: { type: 'string' },
    broken: { type: 'string' },
    record: { type: 'boolean', default: false },
  },
});
const wholeNumber = (name: 'schedules' | 'seed' | 'schedule', text: string) => {
  if (!/^\d{1,10}$/.test(text)) throw new Error(`--${name} takes a whole number, and not ${text}`);
  return Number(text);
};
const seed = wholeNumber('seed', values.seed ?? (process.env.CI ? '1' : String(randomInt(1_000_000))));
const [from, to] =
  values.schedule === undefined
    ? [0, wholeNumber('schedules', values.schedules)]
    : [wholeNumber('schedule', values.schedule), wholeNumber('schedule', values.schedule) + 1];
console.log(`seed ${seed}`);

const { broken } = values;
const sabotage = broken === undefined ? undefined : SABOTAGES[broken];
if (broken !== undefined && sabotage === undefined) {
  throw new Error(`--broken takes one of: ${Object.keys(SABOTAGES).join('; ')}`);
}

const onProgress = (done: number) => {
  if (done % 50_000 === 0) console.log(`${done} schedules`);
};
const { schedules, counts, failure } = await runSchedules(seed, from, to, { onProgress, sabotage });
if (failure) {
  const { schedule, result } = failure;
  const { trace, choices, finding } = await shrink(result, sabotage);
  console.log(
    `schedule ${schedule} of seed ${seed} breaks an invariant; shrunk from ${result.choices.length} choices:`,
  );
  for (const line of trace) console.log(`  ${line}`);
  console.log(`${finding?.invariant}: ${finding?.what} (${choices.length} choices)`);
  const flags = broken === undefined ? '' : ` --broken '${broken}'`;
  console.log(`Replay it: npm run simulate -- --seed ${seed} --schedule ${schedule}${flags}`);
  process.exitCode = 1;
} else {
  const rows = Object.entries({ schedules, ...counts });
  for (const [what, count] of rows) console.log(`${String(count).padStart(12)} ${what}`);
  console.log('no invariant was broken');
  if (values.record && broken === undefined) {
    const command = `npm run simulate -- --schedules ${schedules} --seed ${seed}`;
    await record('simulation', { command, columns: ['what', 'count'], rows });
  }
}
