import type { JsonObject, KubernetesObject } from './objects.ts';
import { apiVersionOf, type ResourceType } from './resource-types.ts';
import { expiredContinue, notSimulated } from './status.ts';
import type { ObjectStore } from './store.ts';

/**
 * One page of a list. All pages of a list show the state of the first one's resourceVersion; when that snapshot no longer
 * exists, the answer is 410 Expired.
 */
export function listPage(
  store: ObjectStore,
  type: ResourceType,
  namespace: string | undefined,
  query: URLSearchParams,
): JsonObject {
  const limit = Number(query.get('limit') ?? 0);
  const token = query.get('continue');
  const from: ContinueToken | undefined = token ? JSON.parse(Buffer.from(token, 'base64url').toString()) : undefined;
  const objects = from ? store.snapshot(type, from.revision) : store.all(type);
  if (objects === undefined) throw expiredContinue();
  const isSelected = selectorOf(query);
  const rest = objects.filter(
    (object) =>
      (namespace === undefined || object.metadata.namespace === namespace) &&
      isSelected(object) &&
      keyOf(object) > (from?.after ?? ''),
  );
  const page = limit > 0 ? rest.slice(0, limit) : rest;
  const last = page.at(-1);
  const isLastPage = page.length === rest.length || last === undefined;
  const revision = from?.revision ?? (isLastPage ? store.revision : store.keepSnapshot(type));
  const next = isLastPage ? '' : Buffer.from(JSON.stringify({ revision, after: keyOf(last) })).toString('base64url');
  return {
    kind: `${type.kind}List`,
    apiVersion: apiVersionOf(type),
    metadata: { ...((type.custom || next) && { continue: next }), resourceVersion: String(revision) },
    // Items of built-in resources have no kind, those of custom resources have one.
    items: page.map(({ apiVersion, kind, ...rest }) => (type.custom ? { apiVersion, kind, ...rest } : rest)),
  };
}

interface ContinueToken {
  revision: number;
  after: string;
}

const keyOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/** The selectors that the product sends: labels `a` and `a=b`, joined by commas, and the field `metadata.name=x`. */
function selectorOf(query: URLSearchParams): (object: KubernetesObject) => boolean {
  const [labels, fields] = [query.get('labelSelector') ?? '', query.get('fieldSelector') ?? ''];
  const name = selectedName(query);
  if (/[^-\w./=,]/.test(labels) || (fields && name === undefined))
    throw notSimulated(`the selector ${labels}${fields}`);
  const requirements = labels.split(',').flatMap((text) => (text === '' ? [] : [text.split('=')]));
  return ({ metadata }) =>
    (name === undefined || metadata.name === name) &&
    requirements.every(([key = '', value]) => {
      const label = metadata.labels?.[key];
      return value === undefined ? label !== undefined : label === value;
    });
}

/** The one name that a field selector allows. Authorization treats a list of it as a request for that name. */
export const selectedName = (query: URLSearchParams): string | undefined =>
  /^metadata\.name=([^,=!]+)$/.exec(query.get('fieldSelector') ?? '')?.[1];
