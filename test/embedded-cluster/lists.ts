import type { JsonObject, KubernetesObject } from './objects.ts';
import { selectedName } from './request-info.ts';
import type { ResourceType } from './resource-types.ts';
import { expiredContinue, notSimulated } from './status.ts';
import type { ObjectStore } from './store.ts';

/**
 * One page of a list. All pages show the state at the resourceVersion of the first. Without a snapshot of that state the
 * response is 410 Expired, with a token for the remainder in its present state.
 */
export function listPage(
  store: ObjectStore,
  type: ResourceType,
  namespace: string | undefined,
  query: URLSearchParams,
): JsonObject {
  const limit = Number(query.get('limit') ?? 0);
  const token = query.get('continue');
  const from: Position = token ? JSON.parse(Buffer.from(token, 'base64url').toString()) : { start: '' };
  const snapshot = from.revision === undefined ? undefined : store.snapshot(type, from.revision);
  if (from.revision !== undefined && !snapshot) throw expiredContinue(continueToken({ start: from.start }));

  const isSelected = selector(namespace, query);
  const rest = (snapshot ?? store.all(type)).filter((object) => isSelected(object) && keyOf(object) >= from.start);
  const page = limit > 0 ? rest.slice(0, limit) : rest;
  const last = page.at(-1);
  const hasMore = last !== undefined && page.length < rest.length;
  const revision = from.revision ?? (hasMore ? store.keepSnapshot(type) : store.revision);
  return {
    kind: `${type.kind}List`,
    apiVersion: type.apiVersion,
    metadata: {
      ...(type.custom && { continue: '' }),
      resourceVersion: String(revision),
      ...(hasMore && { continue: continueToken({ revision, start: `${keyOf(last)}\0` }) }),
    },
    // Items of custom resources have a kind, those of built-in resources have none.
    items: page.map(({ apiVersion, kind, ...item }) => (type.custom ? { apiVersion, kind, ...item } : item)) as never,
  };
}

/** Where a page begins: at a key, in the snapshot of a revision or in the present state. */
interface Position {
  revision?: number;
  start: string;
}

const keyOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

const continueToken = (position: Position): string => Buffer.from(JSON.stringify(position)).toString('base64url');

/** Label selectors consist of requirements `a` and `a=b`; a field selector is `metadata.name=x`. */
function selector(namespace: string | undefined, query: URLSearchParams): (object: KubernetesObject) => boolean {
  const requirements = (query.get('labelSelector') ?? '').split(',').filter(Boolean);
  const unknown = requirements.find((requirement) => !/^[-\w./]+(=[-\w.]*)?$/.test(requirement));
  if (unknown) throw notSimulated(`the label selector ${unknown}`);
  const name = selectedName(query);
  if (query.get('fieldSelector') && name === undefined)
    throw notSimulated(`the selector ${query.get('fieldSelector')}`);
  return ({ metadata }) =>
    (namespace === undefined || metadata.namespace === namespace) &&
    (name === undefined || metadata.name === name) &&
    requirements.every((requirement) => {
      const [key = '', value] = requirement.split('=');
      const label = metadata.labels?.[key];
      return value === undefined ? label !== undefined : label === value;
    });
}
