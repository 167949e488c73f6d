import {
  type ClusterReport,
  type MissingHpaReport,
  OUTCOMES,
  type Problem,
  type RunReport,
  type SweptHpa,
} from '../../events/report.ts';
import { objectKey } from '../../judgement/kubernetes-objects.ts';
import type { ReplicasAfter } from '../../judgement/replicas-after.ts';

// What every view for a person says alike.

export type View = Pick<RunReport, 'mode' | 'whatIf'>;

/** What is told of a run beside its clusters. */
export const wordsOf = (report: RunReport) => ({
  introduction: introductionOf(report),
  regions: regionNoticesOf(report),
  gaps: gapsOf(report),
  totals: totalsOf(report),
  /** There is no sum to tell then. */
  isOfOneCluster: report.clusters.length === 1 && report.totals.clusters === 1,
});

/** What is told of a cluster beside its HPAs. */
export const clusterWordsOf = (cluster: ClusterReport, view: View) => ({
  title: titleOf(cluster),
  summary: summaryOf(cluster, view),
  notices: noticesOf(cluster),
});

export interface Column<Row = SweptHpa> {
  readonly heading: string;
  cell(row: Row): string;
}

export const MISSING_TITLE = 'Missing: asked for, and not there';

export const MISSING_COLUMNS: readonly Column<MissingHpaReport>[] = [
  { heading: 'NAMESPACE', cell: ({ namespace }) => namespace },
  { heading: 'NAME', cell: ({ name }) => name },
  { heading: 'OWNER', cell: ({ owner }) => `${owner.kind} ${objectKey(owner)}` },
  { heading: 'WHY', cell: ({ explanation }) => explanation },
  { heading: 'REMEDY', cell: ({ remedy }) => remedy },
];

export const CHANGES = {
  BecomesStale: 'newly stale',
  BecomesStaleWithoutDeployment: 'stale without Deployment',
  NoLongerStale: 'no longer stale',
  Unchanged: '',
} as const;

/** REPLICAS is `current (min-max)`, and for a stale HPA what becomes of them without it. */
export function columnsOf({ mode, whatIf }: View): Column[] {
  return [
    ...(whatIf ? [{ heading: 'WHAT IF', cell: (hpa: SweptHpa) => CHANGES[hpa.whatIf?.change ?? 'Unchanged'] }] : []),
    mode === 'delete'
      ? { heading: 'OUTCOME', cell: ({ outcome }) => outcome }
      : { heading: 'ACTION', cell: ({ action }) => action },
    { heading: 'NAMESPACE', cell: ({ namespace }) => namespace },
    { heading: 'NAME', cell: ({ name }) => name },
    {
      heading: 'REASON',
      cell: ({ reason, guard }) => (guard ? `${reason} (held back: ${guard.name})` : reason),
    },
    { heading: 'REPLICAS', cell: replicasOf },
    { heading: 'WHY', cell: whyOf },
  ];
}

function replicasOf({ replicas, dropsCapacity }: SweptHpa): string {
  const { current, min, max, after } = replicas;
  const then = after === undefined ? '' : ` → ${afterOf(after)}${dropsCapacity ? ' (drops)' : ''}`;
  return `${current ?? '?'} (${min}-${max})${then}`;
}

function afterOf({ kind, replicas, hpa }: ReplicasAfter): string {
  switch (kind) {
    case 'Stays':
      return replicas === undefined ? 'stays' : `stays at ${replicas}`;
    case 'Becomes':
      return `${replicas}`;
    case 'Governed':
      return `HPA ${hpa}`;
    case 'NoDeployment':
      return 'no Deployment';
    case 'Unknown':
      return 'unknown';
  }
}

/** The same as a sentence; none where there is no Deployment, which the explanation says. */
export function afterSentence({ after }: SweptHpa['replicas']): string[] {
  switch (after?.kind) {
    case 'Stays': {
      const count = after.replicas === undefined ? 'the replicas it has' : counted(after.replicas, 'replica');
      return [`Afterwards its Deployment stays at ${count} until somebody scales it.`];
    }
    case 'Becomes':
      return [
        `Afterwards Envoy Gateway sets its Deployment to ${counted(after.replicas ?? 0, 'replica')} when it next applies it.`,
      ];
    case 'Governed':
      return [`Afterwards HPA ${after.hpa} sets the replicas.`];
    case 'Unknown':
      return ['Afterwards a patch decides how many replicas its Deployment has.'];
    default:
      return [];
  }
}

function whyOf({ explanation, guard, message, remedy, replicas, whatIf }: SweptHpa): string {
  return [
    explanation,
    ...afterSentence(replicas),
    ...(remedy === undefined ? [] : [remedy]),
    ...(guard ? [`Held back: ${guard.explanation}.`] : []),
    ...(message === undefined ? [] : [`The API server: ${message}`]),
    ...(whatIf?.change === 'BecomesStaleWithoutDeployment'
      ? ['Stale once Envoy Gateway has removed that Deployment, unless it removes the HPA too.']
      : []),
    ...(whatIf && whatIf.change !== 'Unchanged' ? [`Now ${whatIf.now.reason}: ${whatIf.now.explanation}`] : []),
  ].join(' ');
}

/** What stands out, and how: `bad` is stale, `open` may become so, `good` was stale and no longer is. */
export function toneOf({ action, whatIf }: SweptHpa): 'bad' | 'open' | 'good' | undefined {
  if (action === 'delete') return 'bad';
  if (whatIf?.change === 'BecomesStaleWithoutDeployment') return 'open';
  return whatIf?.change === 'NoLongerStale' ? 'good' : undefined;
}

const LABELLED = 'with a label of Envoy Gateway';

/** One clause on some HPAs: how many are stale, or in a run that deletes, what became of them; and how many are missing. */
function summaryOf({ hpas, missing }: Pick<ClusterReport, 'hpas' | 'missing'>, view: View): string {
  return `${summaryOfHpas(hpas, view)}${missing.length > 0 ? `, ${missing.length} missing` : ''}`;
}

function summaryOfHpas(hpas: readonly SweptHpa[], { mode, whatIf }: View): string {
  if (hpas.length === 0) return 'no HPA that carries a label of Envoy Gateway';
  const all = `${counted(hpas.length, 'HPA')} ${LABELLED}`;
  if (mode === 'delete') {
    const counts = [...OUTCOMES.slice(1), OUTCOMES[0]].flatMap((wanted) => {
      const count = hpas.filter(({ outcome }) => outcome === wanted).length;
      return count === 0 ? [] : [`${count} ${wanted}`];
    });
    return `${counts.join(', ')} of ${all}`;
  }
  const stale = `${hpas.filter(({ action }) => action === 'delete').length} stale of ${all}`;
  if (!whatIf) return stale;
  const changes = Object.entries(CHANGES).flatMap(([change, words]) => {
    const count = hpas.filter((hpa) => hpa.whatIf?.change === change).length;
    return count === 0 || words === '' ? [] : [`${count} ${words}`];
  });
  return changes.length === 0 ? `nothing changes; ${stale}` : `${changes.join(', ')}; then ${stale}`;
}

/** One clause on all clusters together. */
function totalsOf(report: RunReport): string {
  const { clusters, swept, skipped, failed } = report.totals;
  const notDone = clusters - swept - skipped - failed;
  const parts = [
    `${swept} swept`,
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(notDone > 0 ? [`${notDone} not begun`] : []),
  ];
  const all = {
    hpas: report.clusters.flatMap(({ hpas }) => hpas),
    missing: report.clusters.flatMap(({ missing }) => missing),
  };
  return `${counted(clusters, 'cluster')}, ${parts.join(', ')}; ${summaryOf(all, report)}`;
}

/** What the run was about, a sentence each; none for a run about everything as it is. */
function introductionOf({ selection, whatIf }: RunReport): string[] {
  const { namespace, gateway } = selection ?? {};
  const sentences = [];
  if (selection) {
    const parts = [
      ...(namespace === undefined ? [] : [`in namespace ${namespace}`]),
      ...(gateway === undefined ? [] : [`of Gateway ${gateway}`]),
    ];
    sentences.push(`Only HPAs ${parts.join(' and ')}.`);
  }
  if (whatIf) {
    const clauses = [
      ...(whatIf.applied.length > 0 ? [`${listed(whatIf.applied)} applied`] : []),
      ...(whatIf.deleted.length > 0 ? [`${listed(whatIf.deleted)} deleted`] : []),
    ];
    sentences.push(`What if: ${clauses.join('; ') || 'nothing that matters applied'}.`);
  }
  return sentences;
}

/** So many objects are named in a sentence. */
const NAMED = 5;
function listed(objects: readonly { kind: string; namespace?: string; name: string }[]): string {
  const names = objects.slice(0, NAMED).map((object) => `${object.kind} ${objectKey(object)}`);
  const others = objects.length - names.length;
  return `${names.join(', ')}${others > 0 ? ` and ${others} more` : ''}`;
}

export interface Notice extends Pick<Problem, 'message' | 'remedy'> {
  readonly title: string;
}

/** What is wrong beside the HPAs: why a cluster was not swept, and warnings. */
function noticesOf({ result, problem, warnings }: ClusterReport): Notice[] {
  return [
    ...(problem ? [{ ...problem, title: `${result}, ${problem.reason}` }] : []),
    ...warnings.map((warning) => ({ ...warning, title: `warning, ${warning.reason}` })),
  ];
}

/** The Regions whose clusters are not known. */
const regionNoticesOf = ({ regions }: RunReport): Notice[] =>
  regions.map(({ region, ...problem }) => ({
    ...problem,
    title: `${region ?? 'the clusters'}: could not be listed, ${problem.reason}`,
  }));

/** What is missing from the report, a sentence each. */
function gapsOf({ remaining, shortened = [] }: RunReport): string[] {
  const names = remaining.map(titleOf).join(', ');
  return [
    ...(remaining.length > 0 ? [`Not finished before the run had to end: ${names}.`] : []),
    ...shortened.map((what) => `Left out: ${what}`),
  ];
}

export const titleOf = ({ cluster, region }: Pick<ClusterReport, 'cluster' | 'region'>): string =>
  region === undefined ? cluster : `${cluster} (${region})`;

export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
