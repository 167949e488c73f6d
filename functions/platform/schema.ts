import * as z from 'zod/mini';
import { MalformedInputError } from './errors.ts';

/** A schema (default: a string) with its description in docs/schemas. */
export const described = <Schema extends z.ZodMiniType = z.ZodMiniString>(
  description: string,
  schema: Schema = z.string() as never,
): Schema => schema.check(z.describe(description));

/** Maximum number of faults of one value that are listed. */
const MAX_FAULTS = 10;

/**
 * The faults of a value, such as `detail.cluster: expected the name of an EKS cluster`. It quotes the value nowhere.
 *
 * @param whole the name of the whole value, for a fault that is not in a field
 * @param at the path of the value itself
 */
export function formatZodIssues({ issues }: z.core.$ZodError, whole: string, at: readonly string[] = []): string {
  const faults = issues.slice(0, MAX_FAULTS).map((issue) => {
    if (issue.code === 'unrecognized_keys') return `unknown ${issue.keys.join(', ')}`;
    return `${[...at, ...issue.path].join('.') || whole}: ${issue.message}`;
  });
  const more = issues.length - faults.length;
  return [...faults, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

/**
 * Parses the payload of a function that a person or a schedule invokes.
 *
 * @param schema a strict object: unknown keys are refused by name
 * @throws {MalformedInputError} naming every fault, and the known keys
 */
export function parsePayload<Schema extends z.ZodMiniObject>(schema: Schema, event: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(event);
  if (parsed.success) return parsed.data;
  throw new MalformedInputError(
    `the payload does not fit: ${formatZodIssues(parsed.error, '(the payload)')}; it may have ${Object.keys(schema.shape).join(', ')}`,
  );
}
