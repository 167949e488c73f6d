import {
  type ClusterReport,
  type MissingHpaReport,
  OUTCOMES,
  type RunReport,
  type SweptHpa,
} from '../../events/report.ts';
import { objectKey } from '../../judgement/kubernetes-objects.ts';

// What every format for a person has in common.

/** What the cells of an HPA depend on. */
export type Run = Pick<RunReport, 'mode' | 'whatIf'>;

/** A run in sentences. */
export function viewOf(report: RunReport) {
  const { clusters, regions, remaining, shortened = [], totals } = report;
  const isSingle = clusters.length === 1 && totals.clusters === 1;
  const names = remaining.map(titleOf).join(', ');
  return {
    /** What the run is about; empty for a run about everything as it is. */
    introduction: introductionOf(report),
    clusters: clusters.map((cluster) => ({
      ...cluster,
      title: titleOf(cluster),
      /** One clause on the HPAs. */
      summary: summaryOf(cluster, report),
      /** Why the cluster was not swept, and warnings. */
      notices: [
        ...(cluster.problem ? [{ ...cluster.problem, title: `${cluster.result}, ${cluster.problem.reason}` }] : []),
        ...cluster.warnings.map((warning) => ({ ...warning, title: `warning, ${warning.reason}` })),
      ],
    })),
    /** The Regions whose clusters are not known. */
    regions: regions.map(({ region = 'the clusters', ...problem }) => ({
      ...problem,
      title: `${region}: could not be listed, ${problem.reason}`,
    })),
    /** What is missing from the report. */
    gaps: [
      ...(names === '' ? [] : [`Not finished before the run had to end: ${names}.`]),
      ...shortened.map((what) => `Left out: ${what}`),
    ],
    /** One clause; absent for a single cluster, whose summary says the same. */
    totals: isSingle ? undefined : totalsOf(report),
  };
}

export type ClusterView = ReturnType<typeof viewOf>['clusters'][number];
export type Notice = ClusterView['notices'][number];

export interface Column<Row = SweptHpa> {
  readonly heading: string;
  cell(row: Row): string;
}

export const MISSING_TITLE = 'Missing: asked for, but not there';

export const MISSING_COLUMNS: readonly Column<MissingHpaReport>[] = [
  { heading: 'NAMESPACE', cell: ({ namespace }) => namespace },
  { heading: 'NAME', cell: ({ name }) => name },
  { heading: 'OWNER', cell: ({ owner }) => `${owner.kind} ${objectKey(owner)}` },
  { heading: 'WHY', cell: ({ explanation, remedy }) => `${explanation} ${remedy}` },
];

const CHANGES = {
  BecomesStale: 'newly stale',
  BecomesStaleWithoutDeployment: 'stale without Deployment',
  NoLongerStale: 'no longer stale',
  Unchanged: '',
} as const;

const changeOf = ({ whatIf }: SweptHpa): string => CHANGES[whatIf?.change ?? 'Unchanged'];

export function columnsOf(run: Run): Column[] {
  return [
    ...(run.whatIf ? [{ heading: 'WHAT IF', cell: changeOf }] : []),
    run.mode === 'delete'
      ? { heading: 'OUTCOME', cell: ({ outcome }) => outcome }
      : { heading: 'ACTION', cell: ({ action }) => action },
    { heading: 'NAMESPACE', cell: ({ namespace }) => namespace },
    { heading: 'NAME', cell: ({ name }) => name },
    { heading: 'REASON', cell: ({ reason, guard }) => (guard ? `${reason} (held back: ${guard.name})` : reason) },
    { heading: 'REPLICAS', cell: replicasOf },
    { heading: 'WHY', cell: whyOf },
  ];
}

/** `current (min-max)`, and for a stale HPA how many there are without it. */
function replicasOf({ replicas, dropsCapacity }: SweptHpa): string {
  const { current, min, max, after } = replicas;
  const then = after === undefined ? '' : ` → ${afterwards(after)[0]}${dropsCapacity ? ' (drops)' : ''}`;
  return `${current ?? '?'} (${min}-${max})${then}`;
}

/** The replicas after the deletion as a sentence; `undefined` where there is no Deployment, which the explanation says. */
export const afterSentence = ({ after }: SweptHpa['replicas']): string | undefined => after && afterwards(after)[1];

function afterwards({ kind, replicas, hpa }: NonNullable<SweptHpa['replicas']['after']>): [string, string?] {
  const count = replicas === undefined ? 'the replicas it has' : counted(replicas, 'replica');
  switch (kind) {
    case 'Stays':
      return [
        replicas === undefined ? 'stays' : `stays at ${replicas}`,
        `Afterwards its Deployment stays at ${count} until somebody scales it.`,
      ];
    case 'Becomes':
      return [`${replicas}`, `Afterwards Envoy Gateway sets its Deployment to ${count} when it next applies it.`];
    case 'Governed':
      return [`HPA ${hpa}`, `Afterwards HPA ${hpa} sets the replicas.`];
    case 'NoDeployment':
      return ['no Deployment'];
    case 'Unknown':
      return ['unknown', 'Afterwards a patch decides how many replicas its Deployment has.'];
  }
}

function whyOf({ explanation, guard, message, remedy, replicas, whatIf }: SweptHpa): string {
  const sentences = [
    explanation,
    afterSentence(replicas),
    remedy,
    guard && `Held back: ${guard.explanation}.`,
    message && `The API server: ${message}`,
    whatIf?.change === 'BecomesStaleWithoutDeployment' &&
      'Stale once Envoy Gateway has removed that Deployment, unless it removes the HPA too.',
    whatIf && whatIf.change !== 'Unchanged' && `Now ${whatIf.now.reason}: ${whatIf.now.explanation}`,
  ];
  return sentences.filter(Boolean).join(' ');
}

/** What to emphasize: `bad` is stale, `open` may become stale, `good` was stale and no longer is. */
export function toneOf({ action, whatIf }: SweptHpa): 'bad' | 'open' | 'good' | undefined {
  if (action === 'delete') return 'bad';
  if (whatIf?.change === 'BecomesStaleWithoutDeployment') return 'open';
  return whatIf?.change === 'NoLongerStale' ? 'good' : undefined;
}

/** How many HPAs are stale, or which outcomes they have in a run that deletes; and how many are missing. */
function summaryOf({ hpas, missing }: Pick<ClusterReport, 'hpas' | 'missing'>, { mode, whatIf }: Run): string {
  const andMissing = missing.length > 0 ? `, ${missing.length} missing` : '';
  if (hpas.length === 0) return `no HPA with a label of Envoy Gateway${andMissing}`;
  const all = `${counted(hpas.length, 'HPA')} with a label of Envoy Gateway${andMissing}`;
  if (mode === 'delete') {
    const outcomes = hpas.map(({ outcome }) => outcome);
    return `${tally(outcomes, [...OUTCOMES.slice(1), OUTCOMES[0]])} of ${all}`;
  }
  const stale = `${hpas.filter(({ action }) => action === 'delete').length} stale of ${all}`;
  if (!whatIf) return stale;
  const changes = tally(hpas.map(changeOf), Object.values(CHANGES).filter(Boolean));
  return changes === '' ? `nothing changes; ${stale}` : `${changes}; then ${stale}`;
}

/** `2 Deleted, 1 Kept`: how often each of the words occurs, in their order. */
const tally = (found: readonly string[], words: readonly string[]): string =>
  words
    .map((word) => ({ word, count: found.filter((one) => one === word).length }))
    .filter(({ count }) => count > 0)
    .map(({ word, count }) => `${count} ${word}`)
    .join(', ');

function totalsOf(report: RunReport): string {
  const { clusters, swept, skipped, failed } = report.totals;
  const notStarted = clusters - swept - skipped - failed;
  const all = {
    hpas: report.clusters.flatMap(({ hpas }) => hpas),
    missing: report.clusters.flatMap(({ missing }) => missing),
  };
  return [
    `${counted(clusters, 'cluster')}, ${swept} swept`,
    skipped > 0 && `, ${skipped} skipped`,
    failed > 0 && `, ${failed} failed`,
    notStarted > 0 && `, ${notStarted} not started`,
    `; ${summaryOf(all, report)}`,
  ]
    .filter(Boolean)
    .join('');
}

function introductionOf({ selection, whatIf }: RunReport): string[] {
  const { namespace, gateway } = selection ?? {};
  const selected = [namespace && `in namespace ${namespace}`, gateway && `of Gateway ${gateway}`].filter(Boolean);
  const { applied = [], deleted = [] } = whatIf ?? {};
  const changes = [
    applied.length > 0 && `${listed(applied)} applied`,
    deleted.length > 0 && `${listed(deleted)} deleted`,
  ].filter(Boolean);
  return [
    ...(selection ? [`Only HPAs ${selected.join(' and ')}.`] : []),
    ...(whatIf ? [`What if: ${changes.join('; ') || 'nothing that matters applied'}.`] : []),
  ];
}

/** Maximum number of objects that a sentence names. */
const MAX_NAMED = 5;
function listed(objects: readonly { kind: string; namespace?: string; name: string }[]): string {
  const names = objects.slice(0, MAX_NAMED).map((object) => `${object.kind} ${objectKey(object)}`);
  const others = objects.length - names.length;
  return `${names.join(', ')}${others > 0 ? ` and ${others} more` : ''}`;
}

const titleOf = ({ cluster, region }: Pick<ClusterReport, 'cluster' | 'region'>): string =>
  region === undefined ? cluster : `${cluster} (${region})`;

export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
