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
  without,
  withParents,
} from './field-set.ts';
import type { Json, JsonObject, KubernetesObject, ManagedFieldsEntry } from './objects.ts';
import type { ResourceType } from './resource-types.ts';
import { notSimulated } from './status.ts';

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
 * The managedFields after a create, an update or a patch: the writer then owns what it changed, everybody else
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
  const remaining = lose(decode(managedFields), changes);
  if (changes.written.size === 0) return encode(remaining);
  const entry = { ...writer, operation: 'Update' as const, fieldsType: 'FieldsV1' as const };
  const own = remaining.find((owner) => isSame(owner, entry));
  const fields = new Set([...(own?.fields ?? []), ...changes.written]);
  return encode([...remaining.filter((owner) => owner !== own), { ...entry, fields }]);
}

/**
 * Server-side apply with force: the live object with the configuration merged in, without what only this manager owned and
 * no longer sends. The other managers lose the fields that change.
 */
export function applyConfiguration(
  type: ResourceType,
  live: KubernetesObject | undefined,
  configuration: JsonObject,
  writer: Writer,
): { object: JsonObject; managedFields: ManagedFieldsEntry[] } {
  const before = (live ?? { metadata: {} }) as unknown as JsonObject;
  const owners = decode(live?.metadata.managedFields ?? []);
  const { time, ...applier } = { ...writer, operation: 'Apply' as const, fieldsType: 'FieldsV1' as const };
  const previous = owners.find((owner) => isSame(owner, applier));
  const fields = without(appliedFields(configuration), ...unowned, ...resetBy(type, writer.subresource));
  const others = owners.filter((owner) => owner !== previous);

  const merged = merge(before, configuration, '');
  const asked = new Set([...fields, ...others.flatMap((owner) => [...owner.fields])]);
  const object = prune(type, merged, previous?.fields ?? new Set(), asked);

  const changes = changesBetween(type, before, object, writer.subresource);
  // An apply that changes no value leaves the entry's time alone, even if it then owns a field.
  const entryTime = isDeepStrictEqual(before, object) ? previous?.time : time;
  const own: Owner = { ...applier, fields, time: entryTime };
  return { object, managedFields: encode([...lose(others, changes), own]) };
}

function changesBetween(type: ResourceType, before: Json, after: Json, subresource: string | undefined): Comparison {
  const { written, removed } = compare(before, after);
  const foreign = [...unowned, ...resetBy(type, subresource)];
  return { written: without(written, ...foreign), removed: without(removed, ...foreign) };
}

/** A write to the object leaves its status as it was, and the other way round, so neither owns the other's fields. */
function resetBy(type: ResourceType, subresource: string | undefined): string[] {
  if (!type.hasStatus) return [];
  return subresource === 'status' ? ['f:spec'] : ['f:status'];
}

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

function merge(live: Json, configuration: Json, at: string): Json {
  const liveParts = parts(live, at);
  const appliedParts = parts(configuration, at);
  if (liveParts === undefined || appliedParts === undefined) return configuration;
  const merged = new Map([...liveParts].map(([element, part]) => [element, part.value]));
  for (const [element, part] of appliedParts) {
    const current = merged.get(element);
    merged.set(element, current === undefined ? part.value : merge(current, part.value, part.at));
  }
  return assemble(merged, configuration);
}

function prune(type: ResourceType, merged: Json, previous: FieldSet, asked: FieldSet): JsonObject {
  const kept = withParents(asked);
  const dropped = new Set([...withParents(previous)].filter((path) => !kept.has(path)));
  const walk = (value: Json, at: string, path: string[]): Json | undefined => {
    const below = parts(value, at);
    const isDropped = dropped.has(fieldPath(...path));
    if (below === undefined || below.size === 0) return isDropped ? undefined : value;
    const remaining = new Map<string, Json>();
    for (const [element, part] of below) {
      const left = walk(part.value, part.at, [...path, element]);
      if (left !== undefined) remaining.set(element, left);
    }
    if (remaining.size > 0) return assemble(remaining, value);
    // The server's merge turns a map that it emptied into null, which a custom resource's schema refuses.
    if (!isDropped && type.custom && path[0] === 'f:spec') throw notSimulated(`an apply that empties ${at}`);
    return undefined;
  };
  return (walk(merged, '', []) ?? {}) as JsonObject;
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
