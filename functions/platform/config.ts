import * as z from 'zod/mini';
import { ConfigurationError } from './errors.ts';

/**
 * Reads what a function is configured with from environment variables, once, at its start.
 *
 * @param schema an object schema whose keys are the variables' names
 * @throws {ConfigurationError} naming every variable that is missing or malformed, and never a value
 */
export function readConfig<Schema extends z.ZodMiniObject>(
  schema: Schema,
  environment: Record<string, string | undefined>,
): z.infer<Schema> {
  const parsed = schema.safeParse(environment);
  if (parsed.success) return parsed.data;
  throw new ConfigurationError(
    parsed.error.issues.map((issue) => {
      const name = issue.path.join('.');
      return environment[name] === undefined ? `${name} is missing` : `${name}: ${issue.message}`;
    }),
  );
}

export const regionSchema = z
  .string('expected an AWS Region')
  .check(z.regex(/^[a-z]{2}(-[a-z]+)+-\d+$/, 'expected an AWS Region'));

/** What every function knows of where it runs. AWS_REGION is set by Lambda itself. */
export const placeSchema = {
  ACCOUNT_ID: z.string().check(z.regex(/^\d{12}$/, 'expected the 12 digits of an AWS account')),
  AWS_REGION: regionSchema,
};

/** An event bus's name or, as PutEvents allows, its ARN. */
export const eventBusSchema = z
  .string()
  .check(
    z.regex(
      /^(arn:[^:]+:events:[^:]+:\d{12}:event-bus\/)?[/.\-_A-Za-z0-9]{1,256}$/,
      "expected an event bus's name or ARN",
    ),
  );

/** A whole number in an environment variable, within bounds, with what it is when the variable is not set. */
export const wholeNumber = (fallback: number, least: number, most: number) =>
  z._default(
    z.pipe(
      z.string().check(z.regex(/^\d+$/, `expected a whole number from ${least} to ${most}`)),
      z.pipe(
        z.transform((digits: string) => Number(digits)),
        z.number().check(z.refine((n) => n >= least && n <= most, `expected a whole number from ${least} to ${most}`)),
      ),
    ),
    fallback,
  );
