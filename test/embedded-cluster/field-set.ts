import { isDeepStrictEqual } from 'node:util';
import { isJsonObject, type Json, type JsonObject } from './objects.ts';

/**
 * A set of fields, as in `structured-merge-diff`. A member consists of the FieldsV1 elements of a path (`f:spec`,
 * `k:{"name":"http"}`, `v:"finalizer"`), joined by a character that JSON escapes.
 */
export type FieldSet = ReadonlySet<string>;

const separator = '\0';

/** The lists that are not atomic, as far as this project reads who owns their items, and the only atomic map. */
const LIST_KEYS: Record<string, string> = { 'metadata.ownerReferences': 'uid', 'status.conditions': 'type' };
const SETS = ['metadata.finalizers'];
const ATOMIC_MAPS = ['metadata.ownerReferences[]'];

export function fieldPath(...elements: string[]): string {
  return elements.join(separator);
}

/** FieldsV1 to a set; `.` is the node itself. */
export function decodeFields(fieldsV1: JsonObject): FieldSet {
  const paths = new Set<string>();
  const walk = (node: Json, path: string[]): void => {
    const entries = Object.entries(isJsonObject(node) ? node : {});
    if (entries.length === 0 && path.length > 0) paths.add(fieldPath(...path));
    for (const [element, below] of entries) {
      if (element === '.') paths.add(fieldPath(...path));
      else walk(below, [...path, element]);
    }
  };
  walk(fieldsV1, []);
  return paths;
}

export function encodeFields(fields: FieldSet): JsonObject {
  const root: JsonObject = {};
  // In this order a path precedes those below it: a node starts as a leaf, and its first child adds its `.`.
  const leaves = new Set<JsonObject>();
  for (const path of [...fields].sort()) {
    let node = root;
    for (const element of path.split(separator)) {
      if (leaves.delete(node)) node['.'] = {};
      const below = node[element];
      const next: JsonObject = isJsonObject(below) ? below : {};
      node[element] = next;
      node = next;
    }
    leaves.add(node);
  }
  return root;
}

/** The parts of a value by FieldsV1 element, or `undefined` for a leaf: a scalar, null, an atomic list or an atomic map. */
export function parts(value: Json | undefined, at: string): Map<string, { value: Json; at: string }> | undefined {
  if (Array.isArray(value)) {
    const key = LIST_KEYS[at];
    if (key === undefined && !SETS.includes(at)) return undefined;
    const element = (item: Json): string =>
      key === undefined
        ? `v:${JSON.stringify(item)}`
        : `k:${JSON.stringify({ [key]: isJsonObject(item) ? (item[key] ?? null) : null })}`;
    return new Map(value.map((item) => [element(item), { value: item, at: `${at}[]` }]));
  }
  if (!isJsonObject(value) || ATOMIC_MAPS.includes(at)) return undefined;
  const prefix = at === '' ? '' : `${at}.`;
  return new Map(
    Object.entries(value).map(([field, below]) => [`f:${field}`, { value: below, at: `${prefix}${field}` }]),
  );
}

/** The inverse of `parts`, in the shape of `like`. */
export function assemble(elements: Map<string, Json>, like: Json): Json {
  if (Array.isArray(like)) return [...elements.values()];
  return Object.fromEntries([...elements].map(([element, value]) => [element.slice(2), value]));
}

/** The fields that a server-side apply of this configuration owns: its leaves, and the items of keyed lists. */
export function appliedFields(configuration: Json): Set<string> {
  const paths = new Set<string>();
  const walk = (value: Json, at: string, path: string[]): void => {
    const below = parts(value, at);
    const isLeaf = below === undefined || below.size === 0;
    if (path.length > 0 && (isLeaf || path.at(-1)?.startsWith('k:'))) paths.add(fieldPath(...path));
    for (const [element, part] of below ?? []) walk(part.value, part.at, [...path, element]);
  };
  walk(configuration, '', []);
  return paths;
}

export interface Comparison {
  /** New fields, and fields with another value. */
  written: Set<string>;
  removed: Set<string>;
}

/** The fields that differ between two states of an object. A new or removed map counts, and so does each of its fields. */
export function compare(before: Json, after: Json): Comparison {
  const written = new Set<string>();
  const removed = new Set<string>();
  const all = (into: Set<string>, value: Json, at: string, path: string[]): void => {
    into.add(fieldPath(...path));
    for (const [element, part] of parts(value, at) ?? []) all(into, part.value, part.at, [...path, element]);
  };
  const walk = (old: Json, now: Json, at: string, path: string[]): void => {
    const newParts = parts(now, at);
    // Null is an empty list or map.
    const oldParts = old === null && newParts ? new Map() : parts(old, at);
    if (oldParts === undefined && newParts === undefined) {
      if (!isDeepStrictEqual(old, now)) written.add(fieldPath(...path));
      return;
    }
    if ((oldParts === undefined) !== (newParts === undefined)) written.add(fieldPath(...path));
    for (const [element, part] of newParts ?? []) {
      const counterpart = oldParts?.get(element);
      if (counterpart === undefined) all(written, part.value, part.at, [...path, element]);
      else walk(counterpart.value, part.value, part.at, [...path, element]);
    }
    for (const [element, part] of oldParts ?? []) {
      if (!newParts?.has(element)) all(removed, part.value, part.at, [...path, element]);
    }
  };
  walk(before, after, '', []);
  return { written, removed };
}

/** The set with the parents of every member. */
export function withParents(fields: Iterable<string>): Set<string> {
  const paths = new Set<string>();
  for (const path of fields) {
    const elements = path.split(separator);
    for (let length = 1; length <= elements.length; length += 1) paths.add(fieldPath(...elements.slice(0, length)));
  }
  return paths;
}

export function without(fields: Iterable<string>, ...prefixes: string[]): Set<string> {
  const isBelow = (path: string): boolean =>
    prefixes.some((prefix) => path === prefix || path.startsWith(`${prefix}${separator}`));
  return new Set([...fields].filter((path) => !isBelow(path)));
}
