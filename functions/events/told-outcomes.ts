import * as z from 'zod/mini';
import { DELETED_DETAIL_TYPE, OUTCOME_DETAILS, type OutcomeDetailType, type OutcomeEvent } from './outcome-event.ts';

/** One HPA, or one cluster, and one thing that happened to it, however often. Times are milliseconds since 1970. */
export interface ToldOutcome {
  readonly type: OutcomeDetailType;
  /** The cluster, with its Region where that is not the own. */
  readonly place: string;
  /** `namespace/name`; absent for a cluster. */
  readonly hpa?: string;
  readonly first: number;
  readonly last: number;
  readonly times: number;
  /** Lines on why, as they were told last. */
  readonly why: readonly string[];
  /** Lines on who changed what, as they were told last: a pass that a sweep asked for knows of no change. */
  readonly changes: readonly string[];
}

interface Sweep {
  readonly at: number;
  /** How many stale HPAs it found. */
  readonly stale: number;
}

/** Of a text that a cluster or a person has written; the longest `namespace/name` has 317. */
const MOST_CHARACTERS = 400;
/** Of one HPA. */
const MOST_CHANGES = 2;

/** An event of EventBridge, as far as it is read here. */
const eventSchema = z.object({ 'detail-type': z.string(), time: z.iso.datetime(), detail: z.unknown() });

/**
 * What a series of outcome events tells of each HPA and each cluster: as many lines as there are of these, however many
 * passes told of them, and no manifest.
 */
export class ToldOutcomes {
  readonly #region: string;
  readonly #told = new Map<string, ToldOutcome>();
  readonly #sweeps = new Map<string, Sweep>();
  #events = 0;
  #notUnderstood = 0;

  /** @param region the own */
  constructor(region: string) {
    this.#region = region;
  }

  get events(): number {
    return this.#events;
  }

  /** How many of the events were malformed, or of a detail-type that is no outcome. */
  get notUnderstood(): number {
    return this.#notUnderstood;
  }

  /** @param line an event of EventBridge as JSON; of two on the same, the one that is taken later was told last */
  take(line: string): void {
    this.#events += 1;
    const event = understood(line);
    if (event === undefined) this.#notUnderstood += 1;
    else this.#note(event, event.at);
  }

  #note({ detailType, detail }: OutcomeEvent, at: number): void {
    const place = clean(detail.region === this.#region ? detail.cluster : `${detail.cluster} (${detail.region})`);
    if ('runIds' in detail) {
      if (at >= (this.#sweeps.get(place)?.at ?? at)) this.#sweeps.set(place, { at, stale: detail.stale });
      return;
    }
    const hpa = 'hpa' in detail ? clean(`${detail.hpa.namespace}/${detail.hpa.name}`) : undefined;
    const key = keyOf(detailType, place, hpa);
    const before = this.#told.get(key);
    const changes = changesOf(detail);
    this.#told.set(key, {
      ...{ type: detailType, place, hpa },
      first: Math.min(before?.first ?? at, at),
      last: Math.max(before?.last ?? at, at),
      times: (before?.times ?? 0) + 1,
      why: whyOf(detail),
      changes: changes.length > 0 ? changes : (before?.changes ?? []),
    });
  }

  all(): ToldOutcome[] {
    return [...this.#told.values()];
  }

  /** Whether the HPA was deleted when, or after, this was told of it. */
  wasDeletedLater({ place, hpa, last }: ToldOutcome): boolean {
    const deleted = this.#told.get(keyOf(DELETED_DETAIL_TYPE, place, hpa));
    return deleted !== undefined && deleted.last >= last;
  }

  /** The last sweep of the cluster, if it was after this was told. */
  laterSweep({ place, last }: ToldOutcome): Sweep | undefined {
    const sweep = this.#sweeps.get(place);
    return sweep !== undefined && sweep.at > last ? sweep : undefined;
  }
}

const keyOf = (type: OutcomeDetailType, place: string, hpa: string | undefined) => JSON.stringify([type, place, hpa]);

function understood(line: string): (OutcomeEvent & { at: number }) | undefined {
  const event = eventSchema.safeParse(parseJson(line)).data;
  if (event === undefined || !Object.hasOwn(OUTCOME_DETAILS, event['detail-type'])) return undefined;
  const detailType = event['detail-type'] as OutcomeDetailType;
  const { data: detail } = OUTCOME_DETAILS[detailType].safeParse(event.detail);
  return detail && { detailType, detail, at: Date.parse(event.time) };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function whyOf(detail: OutcomeEvent['detail']): string[] {
  if ('message' in detail) return [clean(`${detail.reason}: ${detail.message}`), clean(`Remedy: ${detail.remedy}`)];
  if (!('hpa' in detail)) return [];
  const { reason, explanation, remedy } = detail.hpa;
  const guard = 'guard' in detail.hpa ? detail.hpa.guard : undefined;
  return [
    clean(`${reason}: ${explanation}`),
    ...(guard === undefined ? [] : [clean(`${guard.name}: ${guard.explanation}.`)]),
    ...(remedy === undefined ? [] : [clean(`Remedy: ${remedy}`)]),
  ];
}

function changesOf(detail: OutcomeEvent['detail']): string[] {
  const changes = 'changes' in detail ? detail.changes : [];
  return changes.slice(-MOST_CHANGES).map((change) => {
    const { username, impersonatedUsername, verb, resource, namespace, name, time, auditID } = change;
    const who = impersonatedUsername === undefined ? username : `${username} as ${impersonatedUsername}`;
    const what = [verb, resource, [namespace, name].filter((part) => part !== undefined).join('/')].join(' ');
    return clean(`Changed by ${who} at ${time}: ${what} (audit ID ${auditID})`);
  });
}

/** One line of bounded length, of characters that SNS takes. */
const clean = (text: string) =>
  text
    .slice(0, MOST_CHARACTERS)
    .replace(/[\p{Cc}\p{Cs}\s\uFFFE\uFFFF]+/gu, ' ')
    .trim();
