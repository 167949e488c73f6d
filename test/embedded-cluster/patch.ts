import { isDeepStrictEqual } from 'node:util';
import { isJsonObject, type Json, type JsonObject } from './objects.ts';
import { badRequest, unprocessablePatch } from './status.ts';

/** RFC 7386. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  const merged: JsonObject = isJsonObject(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete merged[field];
    else merged[field] = mergePatch(merged[field], value);
  }
  return merged;
}

/** RFC 6902, with the API server's answers: 400 for what is no patch, 422 for one that cannot be carried out. */
export function jsonPatch(target: JsonObject, patch: Json): JsonObject {
  if (!Array.isArray(patch)) {
    throw badRequest(
      'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp',
    );
  }
  // The wrapper makes the whole document a field like any other.
  const root: JsonObject = { document: structuredClone(target) };
  for (const operation of patch) {
    if (!isJsonObject(operation) || typeof operation.path !== 'string') throw unprocessablePatch();
    execute(root, operation, pointer(operation.path));
  }
  const document = root.document;
  if (!isJsonObject(document)) throw unprocessablePatch();
  return document;
}

function execute(root: JsonObject, operation: JsonObject, path: string[]): void {
  const from = typeof operation.from === 'string' ? pointer(operation.from) : [];
  const value = operation.value;
  switch (operation.op) {
    case 'add':
      add(root, path, required(value));
      return;
    case 'remove':
      remove(root, path);
      return;
    case 'replace':
      // The server's library takes a replace of a missing field of an object for an add.
      if (Array.isArray(parent(root, path))) remove(root, path);
      add(root, path, required(value));
      return;
    case 'move':
      add(root, path, remove(root, from));
      return;
    case 'copy':
      add(root, path, structuredClone(read(root, from)));
      return;
    case 'test':
      if (!isDeepStrictEqual(read(root, path), required(value))) throw unprocessablePatch();
      return;
    default:
      throw unprocessablePatch();
  }
}

function pointer(path: string): string[] {
  if (path !== '' && !path.startsWith('/')) throw unprocessablePatch();
  const segments = path.split('/').slice(1);
  return ['document', ...segments.map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'))];
}

function required(value: Json | undefined): Json {
  if (value === undefined) throw unprocessablePatch();
  return value;
}

function parent(root: JsonObject, path: string[]): Json[] | JsonObject {
  let node: Json | undefined = root;
  for (const segment of path.slice(0, -1)) node = child(node, segment);
  if (!Array.isArray(node) && !isJsonObject(node)) throw unprocessablePatch();
  return node;
}

function child(node: Json | undefined, segment: string): Json | undefined {
  if (Array.isArray(node)) return node[index(segment, node.length - 1)];
  return isJsonObject(node) && Object.hasOwn(node, segment) ? node[segment] : undefined;
}

function index(segment: string, last: number): number {
  if (!/^(0|[1-9][0-9]*)$/.test(segment) || Number(segment) > last) throw unprocessablePatch();
  return Number(segment);
}

function lastOf(path: string[]): string {
  return path.at(-1) ?? '';
}

function read(root: JsonObject, path: string[]): Json {
  return required(child(parent(root, path), lastOf(path)));
}

function add(root: JsonObject, path: string[], value: Json): void {
  const into = parent(root, path);
  const last = lastOf(path);
  if (!Array.isArray(into)) into[last] = value;
  else into.splice(last === '-' ? into.length : index(last, into.length), 0, value);
}

function remove(root: JsonObject, path: string[]): Json {
  const removed = read(root, path);
  const from = parent(root, path);
  const last = lastOf(path);
  if (Array.isArray(from)) from.splice(index(last, from.length - 1), 1);
  else delete from[last];
  return removed;
}
