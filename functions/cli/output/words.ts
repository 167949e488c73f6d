import { OUTCOMES } from '../../events/outcomes.ts';
import type { Change, ClusterReport, RunReport, SweptHpa } from '../../events/report.ts';
import { objectKey } from '../../judgement/kubernetes-objects.ts';

/** What the cells of an HPA depend on. */
type Run = Pick<RunReport, 'mode' | 'whatIf'>;

/** `bad` is stale or missing, `open` may become stale, `good` was stale and no longer is. */
type Tone = 'bad' | 'open' | 'good';

interface Row {
  readonly cells: readonly string[];
  readonly tone?: Tone;
  /** Nothing to do; a page folds these rows. */
  readonly isKept?: boolean;
  readonly manifest?: SweptHpa['manifest'];
}

interface Table {
  readonly kind: 'table';
  readonly title?: string;
  readonly headings: readonly string[];
  readonly rows: readonly Row[];
}

/** A part of a report for a person. Its texts are not escaped. */
export type Block =
  | { readonly kind: 'paragraph'; readonly text: string }
  | { readonly kind: 'notice'; readonly title: string; readonly message: string; readonly remedy: string }
  /** Of a cluster. `summary` is one clause on the HPAs, `problem` why there is none. */
  | { readonly kind: 'heading'; readonly title: string; readonly summary?: string; readonly problem?: string }
  | Table;

/**
 * The HPAs that a person sees: all of them; those with something to do or to know, and the number of the kept ones; or only
 * those that are about to be deleted.
 */
export type Shown = 'all' | 'findings' | 'planned';

/** A report with what is to go, or is gone, first in each cluster: in every format and never below what is kept. */
export const staleFirst = (report: RunReport): RunReport => ({
  ...report,
  clusters: report.clusters.map((cluster) => ({
    ...cluster,
    hpas: cluster.hpas.toSorted((a, b) => rankOf(a) - rankOf(b) || objectKey(a).localeCompare(objectKey(b))),
  })),
});

const rankOf = ({ outcome, whatIf }: SweptHpa): number =>
  Object.keys(CHANGES).indexOf(whatIf?.change ?? 'Unchanged') * OUTCOMES.length + OUTCOMES.indexOf(outcome);

/** The blocks of a run, which every format for a person arranges. Each cluster begins with a heading. */
export function blocksOf(report: RunReport, shown: Shown) {
  const { clusters, regions, remaining, shortened = [], totals } = report;
  const isSingle = clusters.length === 1 && totals.clusters === 1;
  const names = remaining.map(titleOf).join(', ');
  return {
    /** What the run is about; empty for a run about everything as it is. */
    introduction: introductionOf(report).map(paragraph),
    clusters: clusters.map((cluster) => clusterBlocks(cluster, report, shown)),
    /** The Regions whose clusters are not known. */
    regions: regions.map(({ region = 'the clusters', ...problem }) =>
      notice(`${region}: could not be listed`, problem),
    ),
    /** What is missing from the report. */
    gaps: [
      ...(names === '' ? [] : [`Not finished before the run had to end: ${names}.`]),
      ...shortened.map((what) => `Left out: ${what}`),
    ].map(paragraph),
    /** One clause; absent for a single cluster, whose summary says the same. */
    totals: isSingle ? undefined : totalsOf(report),
  };
}

/** What the signs in the column of the replicas mean. */
export const LEGEND =
  'REPLICAS: now (minimum-maximum) → after the deletion. ?: the HPA does not say; (drops): fewer than now.';

const paragraph = (text: string): Block => ({ kind: 'paragraph', text });

const notice = (title: string, { reason, message, remedy }: ClusterReport['warnings'][number]): Block => ({
  kind: 'notice',
  title: `${title}, ${reason}`,
  message,
  remedy,
});

function clusterBlocks(cluster: ClusterReport, run: Run, shown: Shown): Block[] {
  const { result, problem, warnings, hpas, missing } = cluster;
  const summary = result === 'swept' ? summaryOf(cluster, run) : undefined;
  const columns = columnsOf(run);
  const isShown = ({ outcome, whatIf }: SweptHpa) =>
    shown === 'all' ||
    outcome === 'Reported' ||
    (shown === 'findings' && (outcome !== 'Kept' || changeOf({ whatIf }).words !== ''));
  const hidden = hpas.filter((hpa) => !isShown(hpa)).map(({ outcome }) => outcome);
  const rows = hpas.filter(isShown).map((hpa): Row => {
    const tone = hpa.action === 'delete' ? 'bad' : changeOf(hpa).tone;
    const isKept = tone === undefined && hpa.outcome === 'Kept';
    return { cells: Object.values(columns).map((cell) => cell(hpa)), tone, isKept, manifest: hpa.manifest };
  });
  const blocks: Block[] = [
    { kind: 'heading', title: titleOf(cluster), summary, problem: `${result}, ${problem?.reason ?? ''}` },
    ...(problem ? [notice(result, problem)] : []),
    ...warnings.map((warning) => notice('warning', warning)),
    { kind: 'table', headings: Object.keys(columns), rows },
    {
      kind: 'table',
      title: 'Missing: wanted, but not found',
      headings: ['NAMESPACE', 'NAME', 'OWNER', 'WHY'],
      rows: (shown === 'planned' ? [] : missing).map(({ namespace, name, owner, explanation, remedy }) => ({
        cells: [namespace, name, `${owner.kind} ${objectKey(owner)}`, `${explanation} ${remedy}`],
        tone: 'bad' as const,
      })),
    },
    ...(hidden.length === 0
      ? []
      : [
          paragraph(
            shown === 'planned'
              ? `Not deleted: ${tally(hidden, OUTCOMES)}.`
              : `${counted(hidden.length, 'HPA')} kept; --all shows ${hidden.length === 1 ? 'it' : 'them'}.`,
          ),
        ]),
  ];
  return blocks.filter((block) => block.kind !== 'table' || block.rows.length > 0);
}

const CHANGES: Record<NonNullable<SweptHpa['whatIf']>['change'], { words: string; tone?: Tone }> = {
  BecomesStale: { words: 'newly stale' },
  BecomesStaleWithoutDeployment: { words: 'stale without Deployment', tone: 'open' },
  NoLongerStale: { words: 'no longer stale', tone: 'good' },
  Unchanged: { words: '' },
};

const changeOf = ({ whatIf }: Pick<SweptHpa, 'whatIf'>) => CHANGES[whatIf?.change ?? 'Unchanged'];

/** The cell of an HPA by heading. */
const columnsOf = ({ mode, whatIf }: Run): Readonly<Record<string, (hpa: SweptHpa) => string>> => ({
  ...(whatIf && { 'WHAT IF': (hpa) => changeOf(hpa).words }),
  ...(mode === 'delete' ? { OUTCOME: ({ outcome }) => outcome } : { ACTION: ({ action }) => action }),
  NAMESPACE: ({ namespace }) => namespace,
  NAME: ({ name }) => name,
  REASON: ({ reason, guard }) => (guard ? `${reason} (held back: ${guard.name})` : reason),
  REPLICAS: replicasOf,
  WHY: whyOf,
});

/** `current (min-max)`, and for a stale HPA how many there are without it. */
function replicasOf({ replicas, dropsCapacity }: SweptHpa): string {
  const { current, min, max, after } = replicas;
  const then = after === undefined ? '' : ` → ${afterwards(after)[0]}${dropsCapacity ? ' (drops)' : ''}`;
  return `${current ?? '?'} (${min}-${max})${then}`;
}

/** What happens to the replicas of Deployments once these HPAs are deleted: `2 fewer (12 → 1, 6 → 1), 1 unchanged` */
export function replicasOfAll(hpas: readonly SweptHpa[]): string {
  const drops = hpas.filter(({ dropsCapacity }) => dropsCapacity);
  const changes = drops.map(({ replicas: { current, after } }) => `${current} → ${after?.replicas}`);
  const others = hpas.filter(({ dropsCapacity }) => !dropsCapacity);
  const fates = others.map(({ replicas: { after } }) => FATES[after?.kind ?? 'Unknown']);
  return [drops.length > 0 && `${drops.length} fewer (${named(changes)})`, tally(fates, Object.values(FATES))]
    .filter(Boolean)
    .join(', ');
}

const FATES = {
  Becomes: 'not fewer',
  Stays: 'unchanged',
  Governed: 'set by another HPA',
  NoDeployment: 'without a Deployment',
  Unknown: 'unknown',
} as const;

/** The replicas after the deletion as a sentence; `undefined` where there is no Deployment, which the explanation says. */
export const afterSentence = ({ after }: SweptHpa['replicas']): string | undefined => after && afterwards(after)[1];

type After = NonNullable<SweptHpa['replicas']['after']>;

/** What happens to the replicas, for a cell and as a sentence. */
function afterwards({ kind, replicas, hpa }: After): [string, string?] {
  const [stays, count] =
    replicas === undefined ? ['stays', 'the replicas it has'] : [`stays at ${replicas}`, counted(replicas, 'replica')];
  const words: Record<After['kind'], [string, string?]> = {
    Stays: [stays, `Afterwards its Deployment stays at ${count} until somebody scales it.`],
    Becomes: [`${replicas}`, `Afterwards Envoy Gateway sets its Deployment to ${count} when it next applies it.`],
    Governed: [`HPA ${hpa}`, `Afterwards HPA ${hpa} sets the replicas.`],
    NoDeployment: ['no Deployment'],
    Unknown: ['unknown', 'Afterwards a patch decides how many replicas its Deployment has.'],
  };
  return words[kind];
}

function whyOf({ explanation, guard, message, remedy, replicas, whatIf, changes }: SweptHpa): string {
  const isChanged = whatIf !== undefined && whatIf.change !== 'Unchanged';
  const sentences = [
    isChanged ? `Then: ${explanation}` : explanation,
    afterSentence(replicas),
    remedy,
    guard && `Held back: ${guard.explanation}.`,
    message && `The API server: ${message}`,
    whatIf?.change === 'BecomesStaleWithoutDeployment' &&
      'Stale once Envoy Gateway has removed that Deployment, unless it removes the HPA too.',
    isChanged && `Now ${whatIf.now.reason}: ${whatIf.now.explanation}`,
    ...changes.map(changeSentence),
  ];
  return sentences.filter(Boolean).join(' ');
}

/** `Changed by jane: patch envoyproxies shop/proxy at 2026-01-01T12:00:00Z, auditID 5f3a….` */
function changeSentence(change: Change): string {
  const { username, impersonatedUsername, verb, resource, namespace, name, time, auditID } = change;
  const who = impersonatedUsername === undefined ? username : `${username} as ${impersonatedUsername}`;
  const what = [namespace, name].filter((part) => part !== undefined).join('/');
  return `Changed by ${who}: ${verb} ${resource}${what && ` ${what}`} at ${time}, auditID ${auditID}.`;
}

/** How many HPAs are stale, or which outcomes they have in a run that deletes; and how many are missing. */
function summaryOf({ hpas, missing }: Pick<ClusterReport, 'hpas' | 'missing'>, { mode, whatIf }: Run): string {
  const andMissing = missing.length > 0 ? `, ${missing.length} missing` : '';
  if (hpas.length === 0) return `no HPA with a label of Envoy Gateway${andMissing}`;
  const all = `${counted(hpas.length, 'HPA')} with a label of Envoy Gateway${andMissing}`;
  if (mode === 'delete') {
    const outcomes = hpas.map(({ outcome }) => outcome);
    return `${tally(outcomes, OUTCOMES)} of ${all}`;
  }
  const stale = `${hpas.filter(({ action }) => action === 'delete').length} stale of ${all}`;
  if (!whatIf) return stale;
  const wordsOf = (changes: readonly { words: string }[]) => changes.map(({ words }) => words).filter(Boolean);
  const changes = tally(wordsOf(hpas.map(changeOf)), wordsOf(Object.values(CHANGES)));
  return changes === '' ? `nothing changes; ${stale}` : `${changes}; then ${stale}`;
}

/** `2 Deleted, 1 Kept`: how often each of the words occurs, in their order. */
export const tally = (found: readonly string[], words: readonly string[]): string =>
  words
    .map((word) => ({ word, count: found.filter((one) => one === word).length }))
    .filter(({ count }) => count > 0)
    .map(({ word, count }) => `${count} ${word}`)
    .join(', ');

function totalsOf(report: RunReport): string {
  const { clusters, swept, skipped, failed } = report.totals;
  const hpas = report.clusters.flatMap((cluster) => cluster.hpas);
  const missing = report.clusters.flatMap((cluster) => cluster.missing);
  const counts = Object.entries({ swept, skipped, failed, 'not started': clusters - swept - skipped - failed })
    .filter(([state, count]) => count > 0 || state === 'swept')
    .map(([state, count]) => `${count} ${state}`);
  return `${counted(clusters, 'cluster')}, ${counts.join(', ')}; ${summaryOf({ hpas, missing }, report)}`;
}

function introductionOf({ selection, whatIf }: RunReport): string[] {
  const { namespace, gateway } = selection ?? {};
  const selected = [namespace && `in namespace ${namespace}`, gateway && `of Gateway ${gateway}`].filter(Boolean);
  const changes = Object.entries(whatIf ?? {}).filter(([, objects]) => objects.length > 0);
  const sentence = changes.map(([verb, objects]) => `${listed(objects)} ${verb}`).join('; ');
  return [
    ...(selection ? [`Only HPAs ${selected.join(' and ')}.`] : []),
    ...(whatIf ? [`What if: ${sentence || 'the files contain nothing that affects an HPA'}.`] : []),
  ];
}

/** Maximum number of names in a sentence. */
const MAX_NAMED = 5;
function named(names: readonly string[]): string {
  const others = names.length - MAX_NAMED;
  return `${names.slice(0, MAX_NAMED).join(', ')}${others > 0 ? ` and ${others} more` : ''}`;
}

const listed = (objects: readonly { kind: string; namespace?: string; name: string }[]): string =>
  named(objects.map((object) => `${object.kind} ${objectKey(object)}`));

/** `cluster shop (eu-central-1)`, or `2 clusters (shop, bank)` */
export const clustersNamed = (clusters: readonly ClusterReport[]): string => {
  const names = named(clusters.map(titleOf));
  return clusters.length === 1 ? `cluster ${names}` : `${clusters.length} clusters (${names})`;
};

export const titleOf = ({ cluster, region }: Pick<ClusterReport, 'cluster' | 'region'>): string =>
  region === undefined ? cluster : `${cluster} (${region})`;

export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
