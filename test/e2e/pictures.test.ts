import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pageChunk, REPORT_PICTURE, reportPage } from '../real/report-picture.ts';
import { folder, kubeconfigOf, patience, runInTerminal, serveSettled } from './cli-harness.ts';

const HOW_TO_FIX = 'run npm run pictures, and look at the result';

test('docs/terminal.svg shows what reap and restore print for docs/example.json', patience, async () => {
  const cluster = await serveSettled(JSON.parse(readFileSync('docs/example.json', 'utf8')));
  const env = { KUBECONFIG: kubeconfigOf({ production: cluster }) };
  const cwd = mkdtempSync(join(folder, 'recording-'));
  const record = async (command: string) => {
    const options = { env, cwd, columns: COLUMNS, answer: ['[y/N]', 'y\r'] as [string, string] };
    const { written } = await runInTerminal(command.split(' '), options);
    return { command: `reaper ${command}`, written };
  };
  const reap = await record('reap --gateway search/api');
  const [, undo = ''] = /^ {2}reaper (.+?)\r$/m.exec(reap.written) ?? [];
  const svg = terminalSvg([reap, await record(undo)]);
  await expect(svg, HOW_TO_FIX).toMatchFileSnapshot(join(process.cwd(), 'docs/terminal.svg'));
});

test('docs/report.png shows the HTML report of docs/example.json', patience, () => {
  expect(readFileSync(REPORT_PICTURE).includes(pageChunk(reportPage())), HOW_TO_FIX).toBe(true);
});

const COLUMNS = 100;
/** Pixels. */
const [CELL, LINE, MARGIN] = [8, 19, 16];
/** Milliseconds: a key, the next line, and before somebody types. */
const [KEY, NEXT, PAUSE] = [40, 40, 1_200];
const COLORS: Readonly<Record<string, string>> = { 31: 'red', 32: 'green', 33: 'yellow' };
const ESCAPE = '\u001b';

/**
 * The recording of commands as a picture. It plays once; what cannot play it, or is set to less motion, shows the end.
 *
 * @param written what each command wrote to its terminal
 */
function terminalSvg(commands: readonly { command: string; written: string }[]): string {
  const lines: string[] = [];
  let time = 0;
  const add = (text: string, className: string, typed = 0) => {
    const y = MARGIN + (lines.length + 0.75) * LINE;
    const begin = `animation-delay:${time}ms`;
    const [shown, keys] = [text.slice(0, text.length - typed), text.slice(text.length - typed)];
    const put = (part: string, column: number, style: string, name: string) =>
      part.trim() === ''
        ? ''
        : `<text class="${name}" style="${style}" x="${MARGIN + column * CELL}" y="${y}" textLength="${part.length * CELL}">${escaped(part)}</text>`;
    time += typed > 0 ? PAUSE : NEXT;
    const typing = `animation-duration:${typed * KEY}ms;animation-timing-function:steps(${typed});animation-delay:${time}ms`;
    lines.push(put(shown, 0, begin, className) + put(keys, shown.length, typing, 'keys'));
    time += typed * KEY;
  };
  for (const { command, written } of commands) {
    if (lines.length > 0) add('', '');
    add(`$ ${command}`, 'prompt', command.length);
    for (const line of linesOn(written)) add(line.text, line.color, /\[y\/N\] y$/.test(line.text) ? 1 : 0);
  }
  // The names of files contain the time.
  const body = lines
    .filter(Boolean)
    .join('\n')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d-]+\.\d+Z/g, '2026-01-31T09-30-00.000Z');
  const [width, height] = [COLUMNS * CELL + 2 * MARGIN, lines.length * LINE + 2 * MARGIN];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title desc">
<title id="title">A terminal: reaper reap, and reaper restore</title>
<desc id="desc">reap shows the HPA that it would delete, asks, deletes it, and prints the command that puts it back.</desc>
<style>
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; fill: #e6edf3; animation: show 1ms backwards }
.red { fill: #ff7b72 } .yellow { fill: #e3b341 } .green { fill: #7ee787 } .prompt { fill: #8b949e } .keys { font-weight: 600; animation-name: type }
@keyframes show { from { opacity: 0 } }
@keyframes type { from { clip-path: inset(0 100% 0 0) } to { clip-path: inset(0) } }
@media (prefers-reduced-motion: reduce) { text, .keys { animation-name: none } }
</style>
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" fill="#161b22" stroke="#484f58"/>
${body}
</svg>
`;
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** The lines on the terminal at the end. Each has one color, and what returns to the start of a line replaces it. */
function linesOn(written: string): { text: string; color: string }[] {
  const lines = written.trimEnd().split(/\r+\n/);
  return lines.map((line) => {
    const visible = line.split(`${ESCAPE}[1G`).at(-1) ?? '';
    const [, code = ''] = new RegExp(`^${ESCAPE}\\[(\\d+)m`).exec(visible) ?? [];
    return { text: visible.replaceAll(new RegExp(`${ESCAPE}\\[\\d*[A-Za-z]`, 'g'), ''), color: COLORS[code] ?? '' };
  });
}
