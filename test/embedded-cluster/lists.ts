import type { JsonObject, KubernetesObject } from './objects.ts';
import { apiVersionOf, type ResourceType } from './resource-types.ts';
import { notSimulated } from './status.ts';
import type { ObjectStore } from './store.ts';

/** A list at one moment. */
export function listOf(
  store: ObjectStore,
  type: ResourceType,
  namespace: string | undefined,
  query: URLSearchParams,
): JsonObject {
  if (query.has('limit') || query.has('continue')) throw notSimulated('a list in pages');
  const isSelected = selectorOf(query);
  const isInScope = ({ metadata }: KubernetesObject) => namespace === undefined || metadata.namespace === namespace;
  return {
    kind: `${type.kind}List`,
    apiVersion: apiVersionOf(type),
    metadata: { ...(type.custom && { continue: '' }), resourceVersion: String(store.revision) },
    // Items of built-in resources have no kind, those of custom resources have one.
    items: store.all(type).flatMap((object) => {
      if (!isInScope(object) || !isSelected(object)) return [];
      const { apiVersion, kind, ...rest } = object;
      return [type.custom ? { apiVersion, kind, ...rest } : rest];
    }),
  };
}

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
