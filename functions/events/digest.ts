import * as z from 'zod/mini';
import { described } from '../platform/schema.ts';
import {
  DELETED_DETAIL_TYPE,
  HELD_BACK_DETAIL_TYPE,
  MISSING_DETAIL_TYPE,
  type OutcomeDetailType,
  REPORTED_DETAIL_TYPE,
  UNREACHABLE_DETAIL_TYPE,
} from './outcome-event.ts';
import type { ToldOutcome, ToldOutcomes } from './told-outcomes.ts';

interface Kind {
  readonly type: OutcomeDetailType;
  /** Behind a number. */
  readonly counted: string;
  readonly heading: string;
  /** What a person can do, and the heading that says how. */
  readonly toDo: string;
  /** Over once the HPA is deleted. */
  readonly isOpen?: boolean;
}

/** What a digest tells of, the most urgent first. An outcome that is not here is not told of. */
const KINDS: readonly Kind[] = [
  {
    ...{ type: MISSING_DETAIL_TYPE, counted: 'missing', heading: 'Wanted, and missing' },
    toDo: 'Missing: follow the remedy; docs/runbook.md, "A wanted HPA is missing".',
  },
  {
    ...{ type: UNREACHABLE_DETAIL_TYPE, counted: 'unreachable', heading: 'Unreachable' },
    toDo: 'Unreachable: follow the remedy; docs/runbook.md, "A cluster is unreachable".',
  },
  {
    ...{ type: HELD_BACK_DETAIL_TYPE, counted: 'held back', heading: 'Held back until a person decides', isOpen: true },
    toDo: 'Held back: let them go, mend the policy that refuses it, or put the configuration back; docs/runbook.md, "Deletions are held back".',
  },
  {
    ...{ type: REPORTED_DETAIL_TYPE, counted: 'left over', heading: 'Left over, and only reported', isOpen: true },
    toDo: 'Left over: they go once the mode is delete; docs/installing.md, "From report to delete".',
  },
  {
    ...{ type: DELETED_DETAIL_TYPE, counted: 'deleted', heading: 'Deleted' },
    toDo: 'Deleted, and should have stayed: docs/undoing.md, "From the log of the functions".',
  },
];

export interface DigestPlace {
  readonly account: string;
  readonly region: string;
  /** What the events were read from. */
  readonly logGroup: string;
}

export interface Period {
  readonly since: Date;
  /** Not included. */
  readonly until: Date;
}

export interface Digest {
  /** Under 100 characters of ASCII, in one line, as SNS wants it. */
  readonly subject: string;
  /** At most {@link MOST_BYTES} bytes of UTF-8. */
  readonly text: string;
}

/** SNS takes 256 KB, and bills each 64 KB as one request. That is also more than anybody reads. */
export const MOST_BYTES = 64 * 1024;
const MOST_OF_SUBJECT = 99;

/** So many entries of a kind and a cluster, and so many clusters; the next only where the one before does not fit. */
const STEPS: readonly (readonly [entries: number, clusters: number])[] = [
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  [100, Number.POSITIVE_INFINITY],
  [25, Number.POSITIVE_INFINITY],
  [5, Number.POSITIVE_INFINITY],
  [1, Number.POSITIVE_INFINITY],
  [0, Number.POSITIVE_INFINITY],
  [0, 25], // Fits in any case: a name is bounded.
];

/** What there is to tell of one kind. */
interface Section {
  readonly kind: Kind;
  readonly told: readonly ToldOutcome[];
  readonly byCluster: ReadonlyMap<string, readonly ToldOutcome[]>;
}

/** Those that are not empty. What was deleted later is neither held back nor left over. */
function sectionsOf(outcomes: ToldOutcomes): Section[] {
  const all = outcomes.all().toSorted((a, b) => (a.hpa ?? '').localeCompare(b.hpa ?? ''));
  const sections = KINDS.map((kind) => {
    const told = all.filter((one) => one.type === kind.type && !(kind.isOpen && outcomes.wasDeletedLater(one)));
    return { kind, told, byCluster: Map.groupBy(told, ({ place }) => place) };
  });
  return sections.filter(({ told }) => told.length > 0);
}

/** How many HPAs, or clusters, are told of, by the detail-type of the outcome. */
export const totalsOf = (outcomes: ToldOutcomes): Record<string, number> =>
  Object.fromEntries(sectionsOf(outcomes).map(({ kind, told }) => [kind.type, told.length]));

/** A text for a person on what was told in a period; `undefined` where there is nothing to say. */
export function digestOf(outcomes: ToldOutcomes, period: Period, place: DigestPlace): Digest | undefined {
  const sections = sectionsOf(outcomes);
  const counts = sections.map(({ kind, told }) => `${told.length} ${kind.counted}`);
  if (outcomes.notUnderstood > 0) counts.push(`${outcomes.notUnderstood} not understood`);
  if (counts.length === 0) return undefined;

  const summary = counts.join(', ');
  const first =
    `envoy-hpa-reaper in account ${place.account}, ${place.region}, ` +
    `from ${minute(period.since)} to ${minute(period.until)} UTC: ${summary}.`;
  const toDo = ['What to do', ...sections.map(({ kind }) => `- ${kind.toDo}`)];
  if (outcomes.notUnderstood > 0) {
    toDo.push('- Not understood: events of another version or of somebody else; the log group has them.');
  }
  const moment = momentsOf(period);
  let text = '';
  for (const [mostEntries, mostClusters] of STEPS) {
    const blocks = blocksOf(sections, mostEntries, mostClusters, (kind, told) => linesOf(kind, told, outcomes, moment));
    const last = `All of it, with CloudWatch Logs Insights in ${place.logGroup}:\n${QUERY}`;
    text = [first, ...blocks, toDo.join('\n'), last].join('\n\n');
    if (Buffer.byteLength(text) <= MOST_BYTES) break;
  }
  const subject = `envoy-hpa-reaper ${place.region}: ${summary}`;
  return {
    subject: subject.length <= MOST_OF_SUBJECT ? subject : `${subject.slice(0, MOST_OF_SUBJECT - 3)}...`,
    text,
  };
}

/** A block a cluster, that with the most urgent first; and one that says what is left out, if anything is. */
function blocksOf(
  sections: readonly Section[],
  mostEntries: number,
  mostClusters: number,
  write: (kind: Kind, told: ToldOutcome) => string[],
): string[] {
  const clusters = [...new Set(sections.flatMap(({ byCluster }) => [...byCluster.keys()].toSorted()))];
  const total = sections.reduce((sum, { told }) => sum + told.length, 0);
  let leftOut = total;
  const blocks = clusters.slice(0, mostClusters).map((cluster) => {
    const lines = sections.flatMap(({ kind, byCluster }) => {
      const all = byCluster.get(cluster) ?? [];
      const some = all.slice(0, mostEntries);
      leftOut -= some.length;
      if (all.length === 0) return [];
      const count = some.length === all.length ? all.length : `${all.length}, ${some.length} of them here`;
      return [`  ${kind.heading} (${count})`, ...some.flatMap((told) => write(kind, told))];
    });
    return [cluster, ...lines].join('\n');
  });
  if (leftOut === 0) return blocks;
  const others = clusters.length - blocks.length;
  return [
    ...blocks,
    `Left out here: ${leftOut} of ${total}${others > 0 ? `, and ${others} clusters altogether` : ''}.`,
  ];
}

const QUERY = `fields @timestamp, \`detail-type\`, detail.cluster, detail.hpa.namespace, detail.hpa.name, detail.hpa.reason, detail.reason
| filter \`detail-type\` != "Sweep Completed" | sort @timestamp | limit 10000`;

function linesOf(
  { isOpen = false }: Kind,
  told: ToldOutcome,
  outcomes: ToldOutcomes,
  moment: (time: number) => string,
): string[] {
  const { hpa, times, first, last, why, changes } = told;
  const when = times === 1 ? `at ${moment(last)}` : `${times} times from ${moment(first)} to ${moment(last)}`;
  const lines = [...why, ...changes];
  const sweep = outcomes.laterSweep(told);
  if (sweep !== undefined && hpa === undefined) lines.push(`Swept since then, at ${moment(sweep.at)}.`);
  if (sweep?.stale === 0 && isOpen) lines.push(`Nothing was stale there any more at ${moment(sweep.at)}.`);
  return [`  - ${hpa === undefined ? '' : `${hpa} `}${when}`, ...lines.map((line) => `    ${line}`)];
}

const minute = (time: Date) => time.toISOString().slice(0, 16).replace('T', ' ');

/** Within a period of one day (UTC) the time alone says when. An outcome may have been written to the log a day later. */
function momentsOf({ since, until }: Period): (time: number) => string {
  const dayOf = (time: string) => time.slice(0, '2026-11-24'.length);
  const day = dayOf(minute(since));
  const isOneDay = dayOf(minute(new Date(until.getTime() - 1))) === day;
  return (time) => {
    const moment = minute(new Date(time));
    return isOneDay && dayOf(moment) === day ? moment.slice(day.length + 1) : moment;
  };
}

/** What `digest` answers. The version rises when a reader would have to change. */
export const digestReportSchema = z
  .object({
    schemaVersion: z.literal(1),
    since: described('RFC 3339'),
    until: described('RFC 3339; not included'),
    events: z.number().check(z.describe('In the log group within this time')),
    notUnderstood: z.number().check(z.describe('Of these, those that are malformed or of an unknown detail-type')),
    totals: z
      .record(z.string(), z.number())
      .check(z.describe('HPAs, or clusters, by the detail-type of their outcomes, as far as they are told of')),
    result: z
      .enum(['published', 'nothing to say', 'dry run'])
      .check(z.describe('nothing to say: no message; dry run: a message there would be')),
    messageId: z.optional(described("Amazon SNS's")),
    subject: z.optional(z.string()),
    text: z.optional(z.string()),
  })
  .check(z.describe('What `digest` found and what came of it'));
export type DigestReport = z.infer<typeof digestReportSchema>;
