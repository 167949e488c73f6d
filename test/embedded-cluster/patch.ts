import { isJsonObject, type Json, type JsonObject } from './objects.ts';
import { badRequest, unprocessablePatch } from './status.ts';

/** Applies a merge patch (RFC 7386). */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  const merged: JsonObject = isJsonObject(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete merged[field];
    else merged[field] = mergePatch(merged[field], value);
  }
  return merged;
}

/** Applies a JSON patch (RFC 6902) of `replace` operations on fields of objects, the only ones that the product sends. */
export function jsonPatch(target: JsonObject, patch: Json): JsonObject {
  if (!Array.isArray(patch)) {
    throw badRequest(
      'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp',
    );
  }
  const document = structuredClone(target);
  for (const operation of patch) {
    if (!isJsonObject(operation) || operation.op !== 'replace' || typeof operation.path !== 'string') {
      throw unprocessablePatch();
    }
    const path = operation.path.split('/').slice(1);
    const last = path.pop() ?? '';
    let parent: Json | undefined = document;
    for (const segment of path) parent = isJsonObject(parent) ? parent[segment] : undefined;
    if (!isJsonObject(parent) || operation.value === undefined) throw unprocessablePatch();
    parent[last] = operation.value;
  }
  return document;
}
