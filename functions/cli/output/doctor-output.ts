import {
  type Check,
  type ClusterHealth,
  countStates,
  type DoctorReport,
  STATES,
  type State,
} from '../../doctor/health.ts';
import { colored, type Screen, serialized, table, wrap } from './output.ts';

export const DOCTOR_FORMATS = ['table', 'json', 'yaml', 'markdown'] as const;
export type DoctorFormat = (typeof DOCTOR_FORMATS)[number];

/** The report as a command prints it; only a table goes by the screen. */
export function formatDoctorReport(report: DoctorReport, format: DoctorFormat, screen: Screen): string {
  if (format === 'markdown') return report.clusters.map(markdown).join('\n');
  if (format === 'table') return report.clusters.map((health) => page(health, screen)).join('\n');
  return serialized(report, format);
}

const nameOf = ({ cluster, region }: ClusterHealth) => (region === undefined ? cluster : `${cluster} (${region})`);

/** `1 broken, 2 warning, 20 ok`: the worst first. */
function summary(clusters: readonly ClusterHealth[]): string {
  const counts = countStates(clusters);
  const worstFirst: State[] = ['broken', 'warning', 'unknown', 'ok'];
  return worstFirst
    .filter((state) => counts[state] > 0)
    .map((state) => `${counts[state]} ${state}`)
    .join(', ');
}

const HEADINGS = ['STATE', 'CHECK', 'FOUND'];
/** No sentence is squeezed into less. */
const NARROWEST = 30;

/** All checks in a table, and beneath it what to do about those that call for something. */
function page(health: ClusterHealth, screen: Screen): string {
  const { width } = screen;
  const { checks } = health;
  const longest = Math.max(...checks.map(({ id }) => id.length), 0);
  const room = width === undefined ? width : Math.max(NARROWEST, width - longest - STATES[1].length - 4);
  const rows = checks.flatMap(({ state, id, found }) =>
    wrapped(found, room).map((line, index) => (index === 0 ? [state, id, line] : ['', '', line])),
  );
  const painted = table([HEADINGS, ...rows]).replaceAll(/^(ok|warning|broken|unknown)(?= )/gm, (state) =>
    colored(state, state as State, screen),
  );
  const remedies = checks.filter(({ remedy }) => remedy !== undefined);
  const mending = remedies.length === 0 ? '' : `\nTo mend:\n${remedies.map((one) => mend(one, width)).join('')}`;
  return `${nameOf(health)}: ${summary([health])}\n${painted}${mending}`;
}

function mend({ id, remedy = '', command }: Check, width: number | undefined): string {
  const lines = [
    ...wrapped(`${id}: ${remedy}`, width && width - 2).map((line) => `  ${line}`),
    ...(command === undefined ? [] : shellLines(command, width && width - 4).map((line) => `    ${line}`)),
  ];
  return `${lines.join('\n')}\n`;
}

/** Breaks a text between words, and a word that is longer than a line where the line ends. */
function wrapped(text: string, width = Number.POSITIVE_INFINITY): string[] {
  const words = text.split(' ').flatMap((word) => {
    const count = Math.max(1, Math.ceil(word.length / width));
    return Array.from({ length: count }, (_, part) =>
      count === 1 ? word : word.slice(part * width, (part + 1) * width),
    );
  });
  return wrap(words.join(' '), width);
}

/** Breaks a command where a shell takes the lines for one again; a word that is longer than a line is left whole. */
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
  const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const headings = [...HEADINGS, 'TO MEND'];
  const rows = health.checks.map(({ state, id, found, remedy = '', command }) =>
    row([state, id, found, command === undefined ? remedy : `${remedy} \`${command}\``]),
  );
  const lines = [
    `### ${nameOf(health)}`,
    '',
    `${summary([health])}.`,
    '',
    row(headings),
    row(headings.map(() => '---')),
  ];
  return `${[...lines, ...rows].join('\n')}\n`;
}
