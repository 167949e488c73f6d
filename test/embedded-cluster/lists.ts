import { isJsonObject, type JsonObject, type KubernetesObject } from './objects.ts';
import { apiVersionOf, type ResourceType } from './resource-types.ts';
import { fieldSelector, labelSelector } from './selectors.ts';
import { badRequest, expiredContinue } from './status.ts';
import type { ObjectStore } from './store.ts';

/** The objects of a namespace, or of all, that the query's selectors let through. */
export function selected(
  objects: readonly KubernetesObject[],
  namespace: string | undefined,
  query: URLSearchParams,
): KubernetesObject[] {
  const byLabel = labelSelector(query.get('labelSelector') ?? '');
  const byField = fieldSelector(query.get('fieldSelector') ?? '');
  return objects.filter(
    (object) =>
      (namespace === undefined || object.metadata.namespace === namespace) && byLabel(object) && byField(object),
  );
}

/**
 * One page of a list. All pages of a list show the state of the first one's resourceVersion; when that snapshot is
 * gone the answer is 410 Expired, with a token for the remainder as it is now.
 */
export function listPage(
  store: ObjectStore,
  type: ResourceType,
  namespace: string | undefined,
  query: URLSearchParams,
): JsonObject {
  const limit = parseLimit(query.get('limit'));
  const token = query.get('continue');
  const from = token ? decodeContinue(token) : { revision: inconsistent, start: '' };
  const consistent = from.revision === inconsistent ? undefined : store.snapshot(type, from.revision);
  if (from.revision !== inconsistent && !consistent) {
    throw expiredContinue(encodeContinue({ ...from, revision: inconsistent }));
  }
  const rest = selected(consistent ?? store.all(type), namespace, query).filter(
    (object) => keyOf(object) >= from.start,
  );
  const page = limit > 0 ? rest.slice(0, limit) : rest;
  const last = page.at(-1);
  const isLastPage = page.length === rest.length || last === undefined;
  const revision = consistent ? from.revision : isLastPage ? store.revision : store.keepSnapshot(type);
  // Behind a selector the server cannot know how many of the remaining objects it will let through.
  const isSelected = Boolean(query.get('labelSelector') || query.get('fieldSelector'));
  const metadata: JsonObject = {
    ...(type.custom && { continue: '' }),
    resourceVersion: String(revision),
    ...(!isLastPage && { continue: encodeContinue({ revision, start: `${keyOf(last)}\0` }) }),
    ...(!isLastPage && !isSelected && { remainingItemCount: rest.length - page.length }),
  };
  return listOf(type, page, metadata);
}

/** Items of built-in resources do not say what they are, those of custom resources do. */
export function listOf(type: ResourceType, objects: KubernetesObject[], metadata: JsonObject): JsonObject {
  const items = objects.map(({ apiVersion, kind, ...rest }) => (type.custom ? { apiVersion, kind, ...rest } : rest));
  return {
    kind: `${type.kind}List`,
    apiVersion: apiVersionOf(type),
    metadata,
    items: items as unknown as JsonObject[],
  };
}

const inconsistent = -1;
const keyOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

function parseLimit(text: string | null): number {
  if (text && !/^[+-]?[0-9]+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  return Number(text ?? 0);
}

function encodeContinue({ revision, start }: { revision: number; start: string }): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start })).toString('base64url');
}

function decodeContinue(token: string): { revision: number; start: string } {
  try {
    const decoded: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (isJsonObject(decoded) && typeof decoded.rv === 'number' && typeof decoded.start === 'string') {
      return { revision: decoded.rv, start: decoded.start };
    }
  } catch {
    // Answered below, like any other token that this server did not make.
  }
  throw badRequest('invalid continue token: continue key is not valid');
}
