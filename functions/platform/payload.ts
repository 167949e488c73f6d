import type * as z from 'zod/mini';
import { MalformedInputError } from './errors.ts';

/**
 * Reads what a person or a schedule invokes a function with.
 *
 * @param schema a strict object: a key that it does not know is refused by name
 * @throws {MalformedInputError} naming every fault, and the keys that there are
 */
export function parsePayload<Schema extends z.ZodMiniObject>(schema: Schema, event: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(event);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `unknown ${issue.keys.join(', ')}`
      : `${issue.path.join('.') || '(the payload)'}: ${issue.message}`,
  );
  throw new MalformedInputError(
    `the payload does not fit: ${faults.join('; ')}; it may have ${Object.keys(schema.shape).join(', ')}`,
  );
}
