import type * as z from 'zod/mini';
import { objectKey } from '../judgement/kubernetes-objects.ts';
import { RetryableError } from '../platform/errors.ts';
import { formatZodIssues } from '../platform/schema.ts';

/**
 * Checks objects where they come in, and gives back the very same ones: what is deleted must be kept whole, so nothing is
 * copied field by field.
 *
 * @throws {RetryableError} for the first object of an unknown shape, with its name and the field. The whole cluster is left
 * alone then: a shape that is not understood may mean anything.
 */
export function parseObjects<Schema extends z.ZodMiniType>(
  kind: string,
  schema: Schema,
  objects: readonly unknown[],
): z.infer<Schema>[] {
  for (const object of objects) parsed(kind, schema, object);
  return objects as z.infer<Schema>[];
}

/**
 * The same check, and of each object only what the schema names: what is only judged by need not be kept whole, and of a
 * large cluster the rest is most.
 *
 * @throws what {@link parseObjects} throws
 */
export function projectObjects<Schema extends z.ZodMiniType>(
  kind: string,
  schema: Schema,
  objects: readonly unknown[],
): z.infer<Schema>[] {
  return objects.map((object) => parsed(kind, schema, object));
}

function parsed<Schema extends z.ZodMiniType>(kind: string, schema: Schema, object: unknown): z.infer<Schema> {
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
  return objectKey({ name: metadata.name, namespace: metadata.namespace as string | undefined });
}
