import { isDeepStrictEqual } from 'node:util';
import {
  appliedFields,
  assemble,
  type Comparison,
  compare,
  decodeFields,
  encodeFields,
  type FieldSet,
  fieldPath,
  parts,
  readablePath,
  without,
  withParents,
} from './field-set.ts';
import type { Json, JsonObject, ManagedFieldsEntry } from './objects.ts';
import type { FieldTypes, ResourceType } from './resource-types.ts';
import { ApiError } from './status.ts';

/** Who writes, as a managedFields entry names it. */
export interface Writer {
  manager: string;
  apiVersion: string;
  subresource?: string;
  time: string;
}

type Owner = Omit<ManagedFieldsEntry, 'fieldsV1'> & { fields: FieldSet };

/** What the server sets itself is nobody's. */
const unowned = [
  'f:apiVersion',
  'f:kind',
  ...[
    'name',
    'namespace',
    'uid',
    'resourceVersion',
    'generation',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'managedFields',
  ].map((field) => fieldPath('f:metadata', `f:${field}`)),
];

/**
 * The managedFields after a create, an update or a patch: the writer comes to own what it changed, everybody else
 * loses that and what is gone (`FieldManager.Update` of apimachinery). An entry's time changes only when it takes a
 * field: removing one leaves it alone. An object that lost its managedFields stays without until the next apply.
 */
export function ownersAfterUpdate(
  type: ResourceType,
  live: JsonObject | undefined,
  next: JsonObject,
  managedFields: ManagedFieldsEntry[],
  writer: Writer,
): ManagedFieldsEntry[] {
  if (live !== undefined && managedFields.length === 0) return [];
  const changes = changesBetween(type, live ?? type.zero, next, writer.subresource);
  return encode(takeOver(decode(managedFields), changes, updateEntry(writer)));
}

/**
 * Server-side apply: the live object with the configuration merged in, without what the manager owned alone and no
 * longer sends. Throws the 409 that names the other managers' fields unless `force`.
 */
export function applyConfiguration(
  type: ResourceType,
  live: JsonObject | undefined,
  configuration: JsonObject,
  managedFields: ManagedFieldsEntry[],
  writer: Writer,
  force: boolean,
): { object: JsonObject; managedFields: ManagedFieldsEntry[] } {
  const before = live ?? { metadata: {} };
  const owners =
    live !== undefined && managedFields.length === 0 ? beforeFirstApply(type, live, writer) : decode(managedFields);
  const { time, ...applier } = { ...writer, operation: 'Apply' as const, fieldsType: 'FieldsV1' as const };
  const previous = owners.find((owner) => isSame(owner, applier));
  const fields = without(appliedFields(configuration, type.fields), ...unowned, ...resetBy(type, writer.subresource));
  const others = owners.filter((owner) => owner !== previous);

  const merged = merge(before, configuration, '', type.fields);
  const given = new Set([...fields, ...others.flatMap((owner) => [...owner.fields])]);
  const object = prune(type, merged, previous?.fields ?? new Set(), given);

  const changes = changesBetween(type, before, object, writer.subresource);
  if (!force) refuseConflicts(others, changes.written);
  // An apply that changes no value leaves the entry's time alone, even where it comes to own a field.
  const changed = !isDeepStrictEqual(before, object);
  const entryTime = changed ? time : previous?.time;
  const own: Owner = { ...applier, fields, time: entryTime };
  return { object, managedFields: encode([...lose(others, changes), own]) };
}

function changesBetween(type: ResourceType, before: Json, after: Json, subresource: string | undefined): Comparison {
  const { written, removed } = compare(before, after, type.fields);
  const foreign = [...unowned, ...resetBy(type, subresource)];
  return {
    written: without(written, ...foreign),
    removed: without(removed, ...foreign),
  };
}

/** A write to the object leaves its status as it was, and the other way round, so neither owns the other's fields. */
function resetBy(type: ResourceType, subresource: string | undefined): string[] {
  if (!type.hasStatus) return [];
  return subresource === 'status' ? ['f:spec'] : ['f:status'];
}

const updateEntry = (writer: Writer) => ({ ...writer, operation: 'Update' as const, fieldsType: 'FieldsV1' as const });

function isSame(one: Omit<Owner, 'fields'>, other: Omit<Owner, 'fields'>): boolean {
  return (
    one.manager === other.manager &&
    one.operation === other.operation &&
    one.subresource === other.subresource &&
    (one.operation === 'Apply' || one.apiVersion === other.apiVersion)
  );
}

function lose(owners: Owner[], { written, removed }: Comparison): Owner[] {
  return owners.map((owner) => ({
    ...owner,
    fields: new Set([...owner.fields].filter((path) => !written.has(path) && !removed.has(path))),
  }));
}

function takeOver(owners: Owner[], changes: Comparison, writer: ReturnType<typeof updateEntry>): Owner[] {
  const remaining = lose(owners, changes);
  if (changes.written.size === 0) return remaining;
  const own = remaining.find((owner) => isSame(owner, writer));
  const fields = new Set([...(own?.fields ?? []), ...changes.written]);
  return [...remaining.filter((owner) => owner !== own), { ...writer, fields }];
}

/** The first apply to an object without managedFields writes down whose the fields were that are there already. */
function beforeFirstApply(type: ResourceType, live: JsonObject, writer: Writer): Owner[] {
  const changes = changesBetween(type, type.zero, live, writer.subresource);
  return takeOver([], changes, updateEntry({ ...writer, manager: 'before-first-apply' }));
}

function merge(live: Json, configuration: Json, at: string, types: FieldTypes): Json {
  const liveParts = parts(live, at, types);
  const appliedParts = parts(configuration, at, types);
  if (liveParts === undefined || appliedParts === undefined) return configuration;
  const merged = new Map([...liveParts].map(([element, part]) => [element, part.value]));
  for (const [element, part] of appliedParts) {
    const current = merged.get(element);
    merged.set(element, current === undefined ? part.value : merge(current, part.value, part.at, types));
  }
  return assemble(merged, configuration);
}

function prune(type: ResourceType, merged: Json, previous: FieldSet, given: FieldSet): JsonObject {
  const kept = withParents(given);
  const dropped = new Set([...withParents(previous)].filter((path) => !kept.has(path)));
  const walk = (value: Json, at: string, path: string[]): Json | undefined => {
    const below = parts(value, at, type.fields);
    const isDropped = dropped.has(fieldPath(...path));
    if (below === undefined || below.size === 0) return isDropped ? undefined : value;
    const remaining = new Map<string, Json>();
    for (const [element, part] of below) {
      const left = walk(part.value, part.at, [...path, element]);
      if (left !== undefined) remaining.set(element, left);
    }
    if (remaining.size > 0) return assemble(remaining, value);
    // The server's merge turns a map that it emptied into null, which a custom resource's schema refuses.
    if (!isDropped && type.custom && path[0] === 'f:spec') throw new TypeError(`not simulated: ${at} becomes empty`);
    return undefined;
  };
  return (walk(merged, '', []) ?? {}) as JsonObject;
}

function refuseConflicts(others: Owner[], written: FieldSet): void {
  const conflicts = others
    .map((owner) => ({
      by: `"${owner.manager}"${owner.subresource === undefined ? '' : ` with subresource "${owner.subresource}"`}${owner.operation === 'Update' ? ` using ${owner.apiVersion}` : ''}`,
      fields: [...owner.fields].filter((path) => written.has(path)).map(readablePath),
    }))
    .filter(({ fields }) => fields.length > 0)
    .sort((one, other) => (one.by < other.by ? -1 : 1));
  const causes = conflicts
    .flatMap(({ by, fields }) =>
      fields.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${by}`, field })),
    )
    .sort((one, other) => (one.field < other.field ? -1 : 1));
  const [first] = causes;
  if (first === undefined) return;
  const message =
    causes.length === 1
      ? `Apply failed with 1 conflict: ${first.message}: ${first.field}`
      : `Apply failed with ${causes.length} conflicts: ${conflicts.map(({ by, fields }) => `conflicts with ${by}:\n${fields.map((field) => `- ${field}`).join('\n')}`).join('\n')}`;
  throw new ApiError(409, 'Conflict', message, { causes });
}

function decode(managedFields: ManagedFieldsEntry[]): Owner[] {
  return managedFields.map(({ fieldsV1, ...entry }) => ({ ...entry, fields: decodeFields(fieldsV1) }));
}

function encode(owners: Owner[]): ManagedFieldsEntry[] {
  const order = (owner: Owner): string =>
    [owner.operation, owner.time ?? '', owner.manager, owner.apiVersion, owner.subresource ?? ''].join('\0');
  return owners
    .filter((owner) => owner.fields.size > 0)
    .sort((one, other) => (order(one) < order(other) ? -1 : 1))
    .map(({ manager, operation, apiVersion, time, fieldsType, fields, subresource }) => ({
      manager,
      operation,
      apiVersion,
      time,
      fieldsType,
      fieldsV1: encodeFields(fields),
      subresource,
    }));
}
