import { parseAllDocuments } from 'yaml';
import * as z from 'zod/mini';
import { DELETED_DETAIL_TYPE, OUTCOME_DETAILS } from '../../events/outcome-event.ts';
import { sweepReportSchema } from '../../events/report.ts';
import {
  type HorizontalPodAutoscaler,
  horizontalPodAutoscalerSchema,
  objectKey,
} from '../../judgement/kubernetes-objects.ts';
import { type LogLine, linesOfAnswer, linesOfText, parsedObject } from './log-file.ts';

/** An HPA as it was saved, and where and when it was deleted, where that is known. */
export interface SavedHpa {
  readonly cluster?: string;
  readonly region?: string;
  readonly manifest: HorizontalPodAutoscaler;
  /** Milliseconds since 1970. */
  readonly time?: number;
}

export interface SavedHpas {
  readonly hpas: SavedHpa[];
  /** What could not be understood: where, and what is wrong with it. */
  readonly faults: string[];
}

type Origin = Omit<SavedHpa, 'manifest'>;

/**
 * Reads HPAs out of whatever they may have been saved in: the backup of `reap`, the log of the functions (as lines, as
 * CloudWatch Logs answers or exports it), a report, an event that carries one, or manifests in JSON or YAML.
 */
export function savedHpas(text: string): SavedHpas {
  const document = parsedObject(text);
  if (document !== undefined) return ofDocument(document, '');
  const start = text.trimStart();
  return start.startsWith('{') || /^(\d{4}-\d\d-\d\dT|[A-Z_]+ )/.test(start)
    ? joined(linesOfText(text).map(ofLine))
    : ofYaml(text);
}

const joined = (parts: readonly SavedHpas[]): SavedHpas => ({
  hpas: parts.flatMap(({ hpas }) => hpas),
  faults: parts.flatMap(({ faults }) => faults),
});

const deletionSchema = z.object({
  timestamp: z.optional(z.string()),
  cluster: z.string(),
  region: z.optional(z.string()),
  manifest: z.unknown(),
});

/** Lambda's own lines. */
const PLATFORM_LINE = /(^| )(INIT_START|START|END|REPORT|XRAY) /;

/** One line of a log; the backup is one too. */
export function ofLine({ where, text, time }: LogLine): SavedHpas {
  const line = parsedObject(text);
  if (line === undefined) {
    const faults = PLATFORM_LINE.test(text) ? [] : [`${where}: not JSON (cut off?)`];
    return { hpas: [], faults };
  }
  return ofDocument(line, where, time);
}

const eventSchema = z.object({ 'detail-type': z.string(), detail: z.looseObject({}) });
const listSchema = z.object({ kind: z.enum(['List', 'HorizontalPodAutoscalerList']), items: z.array(z.unknown()) });

function ofDocument(document: object, where: string, time?: number): SavedHpas {
  const has = (key: string) => key in document;
  if (has('events')) {
    const lines = linesOfAnswer(document);
    if (lines !== undefined) return joined(lines.map(ofLine));
  }
  const event = eventSchema.safeParse(document);
  if (event.success) {
    const { 'detail-type': type, detail } = event.data;
    // The other outcomes are events without a manifest.
    return Object.hasOwn(OUTCOME_DETAILS, type) && type !== DELETED_DETAIL_TYPE
      ? { hpas: [], faults: [] }
      : ofDocument(detail, where, time);
  }
  // Other lines of a log than those of a deletion say nothing here.
  if ('message' in document && document.message !== 'deleting HPA') return { hpas: [], faults: [] };
  if (has('message') || has('manifest')) return ofDeletion(document, where, time);
  if (has('runId')) return ofRunReport(document, where);
  if (has('sweepId')) return ofPassReport(document, where);
  const list = listSchema.safeParse(document);
  if (!list.success) return ofManifest(document, where, { time });
  const items = list.data.items.map((item, index) => [item, within(where, `item ${index + 1}`)] as const);
  // A List of `kubectl get` may hold other kinds.
  return joined(items.flatMap(([item, place]) => (isHpa(item) ? [ofManifest(item, place, { time })] : [])));
}

const isHpa = (item: unknown) => (item as { kind?: unknown } | null)?.kind === 'HorizontalPodAutoscaler';

function ofDeletion(document: object, where: string, time: number | undefined): SavedHpas {
  const deletion = deletionSchema.safeParse(document);
  if (!deletion.success) return faulty(where, 'a line of a deletion', deletion.error);
  const { timestamp, cluster, region, manifest } = deletion.data;
  return ofManifest(manifest, where, { cluster, region, time: timeOf(timestamp) ?? time });
}

// Of a report no more than tells what was deleted: one that an older version wrote lacks what came later.
const { cluster, sweepId, finishedAt, hpas } = sweepReportSchema.shape;
const passSchema = z.object({ cluster, sweepId, finishedAt, hpas });
const runSchema = z.object({
  runId: z.string(),
  finishedAt,
  clusters: z.array(z.object({ cluster, region: z.optional(z.string()), hpas })),
});

function ofRunReport(document: object, where: string): SavedHpas {
  const report = runSchema.safeParse(document);
  if (!report.success) return faulty(where, 'the report of a run', report.error);
  const { clusters, finishedAt } = report.data;
  const time = timeOf(finishedAt);
  return joined(clusters.map(({ hpas, cluster, region }) => deletedIn(hpas, where, { cluster, region, time })));
}

function ofPassReport(document: object, where: string): SavedHpas {
  const report = passSchema.safeParse(document);
  if (!report.success) return faulty(where, 'the report of a pass', report.error);
  const { hpas, cluster, finishedAt } = report.data;
  return deletedIn(hpas, where, { cluster, time: timeOf(finishedAt) });
}

type Hpas = z.infer<typeof sweepReportSchema>['hpas'];

const deletedIn = (hpas: Hpas, where: string, origin: Origin): SavedHpas =>
  joined(
    hpas
      .filter(({ outcome }) => outcome === 'Deleted')
      .map((hpa) => ofManifest(hpa.manifest, within(where, objectKey(hpa)), origin)),
  );

const typeSchema = z.object({
  apiVersion: z.literal('autoscaling/v2', 'expected autoscaling/v2'),
  kind: z.literal('HorizontalPodAutoscaler', 'expected HorizontalPodAutoscaler'),
});

function ofManifest(manifest: unknown, where: string, origin: Origin): SavedHpas {
  const type = typeSchema.safeParse(manifest);
  if (!type.success) return faulty(where, 'an HPA', type.error);
  const { metadata, ...whole } = manifest as { metadata?: object };
  // What only the server gives may be missing from what a person saved.
  const filled = { ...whole, metadata: { uid: '', resourceVersion: '', ...metadata } };
  const parsed = horizontalPodAutoscalerSchema.safeParse(filled);
  if (!parsed.success) return faulty(where, 'an HPA', parsed.error);
  return { hpas: [{ ...origin, manifest: filled as HorizontalPodAutoscaler }], faults: [] };
}

function ofYaml(text: string): SavedHpas {
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return { hpas: [], faults: ['the file is empty'] };
  return joined(
    documents.map((document, index): SavedHpas => {
      const where = documents.length === 1 ? '' : `document ${index + 1}`;
      const [error] = document.errors;
      if (error) {
        const [fault = ''] = error.message.split('\n');
        return { hpas: [], faults: [at(where, `no YAML: ${fault.replace(/:$/, '')}`)] };
      }
      const value: unknown = document.toJS();
      if (value === null) return { hpas: [], faults: [] };
      if (typeof value === 'object') return ofDocument(value, where);
      return { hpas: [], faults: [at(where, 'neither JSON nor YAML of an object')] };
    }),
  );
}

const at = (where: string, fault: string) => (where === '' ? fault : `${where}: ${fault}`);
const within = (where: string, what: string) => (where === '' ? what : `${where}, ${what}`);

function timeOf(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : time;
}

function faulty(where: string, what: string, { issues }: z.core.$ZodError): SavedHpas {
  const faults = issues.map(({ path, message }) => `${path.join('.') || '(the object)'}: ${message}`);
  return { hpas: [], faults: [at(where, `not ${what}: ${faults.join('; ')}`)] };
}

/** The newest of each cluster, namespace and name; without times what comes later. */
export function newestOfEach(hpas: readonly SavedHpa[]): SavedHpa[] {
  const newest = new Map<string, SavedHpa>();
  for (const hpa of hpas) {
    const key = JSON.stringify([hpa.region, hpa.cluster, objectKey(hpa.manifest.metadata)]);
    const known = newest.get(key);
    if (known?.time !== undefined && hpa.time !== undefined && hpa.time < known.time) continue;
    newest.set(key, hpa);
  }
  return [...newest.values()];
}
