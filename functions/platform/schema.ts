import * as z from 'zod/mini';
import { MalformedInputError } from './errors.ts';

/** A schema (default: a string) with its description in docs/schemas. */
export const described = <Schema extends z.ZodMiniType = z.ZodMiniString>(
  description: string,
  schema: Schema = z.string() as never,
): Schema => schema.check(z.describe(description));

/** The same for a key that may be absent. */
export const optional = <Schema extends z.ZodMiniType = z.ZodMiniString>(description: string, schema?: Schema) =>
  z.optional(described(description, schema));

/** A text of one form. The fault of anything else is `expected`. */
export const textLike = (pattern: RegExp, expected: string) => z.string(expected).check(z.regex(pattern, expected));

/** Maximum number of faults of one value that are listed. */
const MAX_FAULTS = 10;

/**
 * The faults of a value, such as `detail.cluster: expected the name of an EKS cluster`. It quotes the value nowhere.
 *
 * @param whole the name of the whole value, for a fault that is not in a field
 */
export function formatZodIssues({ issues }: z.core.$ZodError, whole: string): string {
  const faults = issues.slice(0, MAX_FAULTS).map((issue) => {
    if (issue.code === 'unrecognized_keys') return `unknown ${issue.keys.join(', ')}`;
    return `${issue.path.join('.') || whole}: ${issue.message}`;
  });
  if (issues.length > MAX_FAULTS) faults.push(`and ${issues.length - MAX_FAULTS} more`);
  return faults.join('; ');
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

/** The account and Region of a function. Lambda itself sets AWS_REGION. */
export const placeSchema = {
  ACCOUNT_ID: textLike(/^\d{12}$/, 'expected the 12 digits of an AWS account'),
  AWS_REGION: textLike(/^[a-z]{2,}(-[a-z]+)+-\d+$/, 'expected an AWS Region'),
};

const EVENT_BUS = /^(arn:[^:]+:events:[^:]+:\d{12}:event-bus\/)?[/.\-_A-Za-z0-9]{1,256}$/;
export const eventBusSchema = textLike(EVENT_BUS, "expected an event bus's name or ARN");

/** A whole number within bounds in an environment variable, with a default. */
export const wholeNumber = (fallback: number, least: number, most: number) => {
  const isInRange = (text: string) => /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most;
  const text = z.string().check(z.refine(isInRange, `expected a whole number from ${least} to ${most}`));
  return z._default(z.pipe(text, z.transform(Number)), fallback);
};
