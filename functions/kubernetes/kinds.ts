import type * as z from 'zod/mini';
import { objectKey, SCHEMAS } from '../judgement/kubernetes-objects.ts';
import { RetryableError } from '../platform/errors.ts';
import { formatZodIssues } from '../platform/schema.ts';

const GATEWAY_API = { group: 'gateway.networking.k8s.io', version: 'v1' } as const;

/** The kinds that a judgement needs. */
export const KINDS = {
  GatewayClass: { ...GATEWAY_API, plural: 'gatewayclasses' },
  Gateway: { ...GATEWAY_API, plural: 'gateways' },
  EnvoyProxy: { group: 'gateway.envoyproxy.io', version: 'v1alpha1', plural: 'envoyproxies' },
  HorizontalPodAutoscaler: { group: 'autoscaling', version: 'v2', plural: 'horizontalpodautoscalers' },
  Deployment: { group: 'apps', version: 'v1', plural: 'deployments' },
  ConfigMap: { group: '', version: 'v1', plural: 'configmaps' },
} as const;
export type Kind = keyof typeof KINDS;
type ObjectOf<K extends Kind> = z.infer<(typeof SCHEMAS)[K]>;

/** The kind of an object; `undefined` for kinds that a judgement does not need, such as the Gateways of other groups. */
export function kindOf(object: unknown): Kind | undefined {
  const { apiVersion, kind } = (object ?? {}) as { apiVersion?: unknown; kind?: unknown };
  const group = typeof apiVersion === 'string' ? (/^([^/]*)\//.exec(apiVersion)?.[1] ?? '') : '';
  return (Object.keys(KINDS) as Kind[]).find((known) => known === kind && KINDS[known].group === group);
}

/**
 * Checks an object and returns it unchanged, for kinds that must be kept whole, such as an HPA that is restored later.
 *
 * @throws {RetryableError} for an object of an unknown shape, with its name and the field. The whole cluster is skipped then,
 * because an unknown shape may mean anything.
 */
export function checkedObject<K extends Kind>(kind: K, object: unknown): ObjectOf<K> {
  projectedObject(kind, object);
  return object as ObjectOf<K>;
}

/**
 * Checks an object and returns only the fields of its schema: most of the memory of a large cluster is the rest.
 *
 * @param schema in place of the one of this kind in {@link SCHEMAS}
 * @throws what {@link checkedObject} throws
 */
export function projectedObject<K extends Kind, T = ObjectOf<K>>(
  kind: K,
  object: unknown,
  schema = SCHEMAS[kind] as unknown as z.ZodMiniType<T>,
): T {
  const { success, data, error } = schema.safeParse(object);
  if (success) return data;
  throw new RetryableError(
    `${kind} ${nameOf(object)} has a shape that is not understood: ${formatZodIssues(error, '(the object)')}. ` +
      'Nothing is deleted in this cluster until it is gone or this program knows it',
  );
}

function nameOf(object: unknown): string {
  const metadata = (object as { metadata?: { namespace?: unknown; name?: unknown } } | null)?.metadata;
  if (typeof metadata?.name !== 'string') return '(without a name)';
  return objectKey({
    name: metadata.name,
    namespace: typeof metadata.namespace === 'string' ? metadata.namespace : undefined,
  });
}
