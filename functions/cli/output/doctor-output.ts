import { type Check, type ClusterHealth, countStates, type DoctorReport, STATES } from '../../doctor/report.ts';
import { colored, markdownTable, type Screen, serialized, table, wrap } from './output.ts';

export const DOCTOR_FORMATS = ['table', 'json', 'yaml', 'markdown'] as const;
export type DoctorFormat = (typeof DOCTOR_FORMATS)[number];

/** The report as `doctor` prints it; only a table fits the screen. */
export function formatDoctorReport(report: DoctorReport, format: DoctorFormat, screen: Screen): string {
  if (format === 'markdown') return report.clusters.map(markdown).join('\n');
  if (format === 'table') return report.clusters.map((health) => page(health, screen)).join('\n');
  return serialized(report, format);
}

/** `shop (eu-central-1): 1 broken, 2 warning, 20 ok` */
function titleOf(health: ClusterHealth): [name: string, summary: string] {
  const { cluster, region } = health;
  const counts = countStates([health]);
  const summary = STATES.filter((state) => counts[state] > 0).map((state) => `${counts[state]} ${state}`);
  return [region === undefined ? cluster : `${cluster} (${region})`, summary.join(', ')];
}

const HEADINGS = ['STATE', 'CHECK', 'FOUND'];
/** The minimum width of the last column. */
const MIN_WIDTH = 30;

/** All checks in a table, and below it the remedies. */
function page(health: ClusterHealth, screen: Screen): string {
  const { width } = screen;
  const { checks } = health;
  const longest = Math.max(...checks.map(({ id }) => id.length), 0);
  const room = width === undefined ? width : Math.max(MIN_WIDTH, width - longest - 'warning'.length - 4);
  const rows = checks.flatMap(({ state, id, found }) =>
    wrapAll(found, room).map((line, index) => (index === 0 ? [state, id, line] : ['', '', line])),
  );
  const painted = table([HEADINGS, ...rows]).replaceAll(/^(ok|warning|broken|unknown)(?= )/gm, (state) =>
    colored(state, state as Check['state'], screen),
  );
  const remedies = checks.filter(({ remedy }) => remedy !== undefined).map((check) => remedyLines(check, width));
  const fixes = remedies.length === 0 ? '' : `\nHow to fix:\n${remedies.flat().join('\n')}\n`;
  return `${titleOf(health).join(': ')}\n${painted}${fixes}`;
}

const remedyLines = ({ id, remedy, command }: Check, width: number | undefined): string[] => [
  ...wrapAll(`${id}: ${remedy}`, width && width - 2).map((line) => `  ${line}`),
  ...(command === undefined ? [] : shellLines(command, width && width - 4).map((line) => `    ${line}`)),
];

/** Breaks a text into lines of a width, and also a word that is longer. */
const wrapAll = (text: string, width: number | undefined): string[] =>
  wrap(width === undefined ? text : text.replaceAll(new RegExp(`\\S{${width}}(?=\\S)`, 'g'), '$& '), width);

/** Breaks a command into lines that a shell takes as one command; a word that is longer than a line stays whole. */
function shellLines(command: string, width = Number.POSITIVE_INFINITY): string[] {
  const words = command.match(/(?:'[^']*'|[^\s'])+/g) ?? [];
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length + 2 <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(lines.length === 0 ? word : `  ${word}`);
  }
  return lines.map((line, index) => (index < lines.length - 1 ? `${line} \\` : line));
}

function markdown(health: ClusterHealth): string {
  const [name, summary] = titleOf(health);
  const rows = health.checks.map(({ state, id, found, remedy = '', command = '' }) => [
    ...[state, id, found, `${remedy} ${command}`.trim()],
  ]);
  return `### ${name}\n\n${summary}.\n\n${markdownTable([[...HEADINGS, 'HOW TO FIX'], ...rows])}\n`;
}
