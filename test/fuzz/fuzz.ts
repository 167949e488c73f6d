/**
 * `npm run fuzz -- --inputs 20000 --seed 1` gives broken inputs to everything of the product that reads one: the handlers of the
 * Lambda functions, the commands that read files, and the environment. Each input is a recorded one, changed in a way that the seed
 * and its number decide. `--target NAME --input NUMBER` runs one of them again, `--record` saves the counts.
 */
import process from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { crc32 } from 'node:zlib';
import { record } from '../assurance/record.ts';
import { Choices } from '../choices.ts';
import { checked, watchProcess } from './check.ts';
import { shrunk } from './shrink.ts';
import { print, replaceSurroundings } from './surroundings.ts';
import type { Parts, Target } from './target.ts';

replaceSurroundings();
// What is loaded below sees the replaced surroundings only.
const { HANDLERS } = await import('./handlers.ts');
const { FILES } = await import('./files.ts');
const { ENVIRONMENTS } = await import('./environment.ts');
const TARGETS: readonly Target[] = [...HANDLERS, ...FILES, ...ENVIRONMENTS];

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string' },
    input: { type: 'string' },
    record: { type: 'boolean', default: false },
  },
});
const { seed } = values;
const selected = TARGETS.filter(({ name }) => values.target === undefined || name === values.target);
if (selected.length === 0) throw new Error(`no target ${values.target}; there are ${TARGETS.map(({ name }) => name)}`);
const inputs = Number(values.inputs);

/** Targets in turn, each as often as its weight says. */
const turns = selected
  .flatMap((target) =>
    Array.from({ length: target.weight }, (_, turn) => ({ target, at: (turn + 0.5) / target.weight })),
  )
  .toSorted((a, b) => a.at - b.at)
  .map(({ target }) => target);

const counts = new Map(selected.map(({ name }) => [name, { inputs: 0, refused: 0, accepted: 0, findings: 0 }]));
const inputOf = (target: Target, number: number): Parts =>
  target.make(Choices.ofSeed(crc32(`${seed}/${target.name}`), number));

const kinds = new Map<string, number>();

async function run(target: Target, number: number): Promise<void> {
  const count = counts.get(target.name) as NonNullable<ReturnType<typeof counts.get>>;
  const parts = inputOf(target, number);
  current = `--target ${target.name} --input ${number}`;
  const result = await checked(target, parts);
  current = '';
  count.inputs += 1;
  if (result.finding === undefined) {
    count[result.outcome] += 1;
    return;
  }
  count.findings += 1;
  const kind = `${target.name}: ${result.finding.kind}`;
  const known = kinds.get(kind) ?? 0;
  kinds.set(kind, known + 1);
  // Those of one kind are one fault.
  if (known > 0) return;
  const smallest = await shrunk(target, parts, result.finding.kind);
  const command = `npm run fuzz -- --seed ${seed} --target ${target.name} --input ${number}`;
  print.stderr(`\n${target.name}: ${result.finding.kind}\n${result.finding.detail}\n`);
  for (const [name, content] of Object.entries(smallest)) {
    const text =
      content instanceof Buffer
        ? `${content.length} bytes ${JSON.stringify(content.toString('latin1'))}`
        : JSON.stringify(content);
    print.stderr(`  ${name}: ${text.length > 1_500 ? `${text.slice(0, 1_500)}… (${text.length})` : text}\n`);
  }
  print.stderr(`  ${command}\n`);
}

function heapAfterCollection(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

watchProcess();
let current = '';
// Node ends the process when nothing is left to wait for.
process.on('exit', () => {
  if (current !== '') print.stderr(`never ends: npm run fuzz -- --seed ${seed} ${current}\n`);
});
/** Bytes. Caches and compiled code still grow a little after a quarter of the inputs. */
const MAX_GROWTH = 12 * 2 ** 20;
let after = 0;
let grown = 0;
if (values.input !== undefined) {
  const [target] = selected;
  if (values.target === undefined || target === undefined) throw new Error('--input needs a --target');
  await run(target, Number(values.input));
} else {
  const started = Date.now();
  for (let number = 0; number < inputs; number += 1) {
    if (number === Math.floor(inputs / 4)) after = heapAfterCollection();
    await run(turns[number % turns.length] as Target, number);
    if (number % 1_000 === 999) await setImmediate();
    if (number % 100_000 === 99_999)
      print.stderr(`${number + 1} inputs, ${Math.round((Date.now() - started) / 1000)} s\n`);
  }
  grown = heapAfterCollection() - after;
  print.stderr(
    `${Math.round((Date.now() - started) / 1000)} s, heap ${(after / 2 ** 20).toFixed(1)} MB, then ${(grown / 2 ** 20).toFixed(1)} MB more\n`,
  );
}

const COLUMNS = ['target', 'inputs', 'refused', 'accepted', 'findings'];
const rows = [...counts].map(([name, one]) => [name, one.inputs, one.refused, one.accepted, one.findings] as const);
for (const row of [COLUMNS, ...rows])
  print.stdout(`${row.map((cell, at) => (at === 0 ? String(cell).padEnd(20) : String(cell).padStart(10))).join('')}\n`);
for (const [kind, times] of kinds) print.stdout(`${times} × ${kind}\n`);
const isGrown = globalThis.gc !== undefined && grown > MAX_GROWTH;
if (isGrown) print.stdout(`the heap grows: npm run fuzz -- --inputs ${inputs} --seed ${seed}\n`);
if (values.record)
  await record('bad-input', { command: `npm run fuzz -- --inputs ${inputs} --seed ${seed}`, columns: COLUMNS, rows });
process.exit(kinds.size > 0 || isGrown ? 1 : 0);
