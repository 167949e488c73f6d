import * as z from 'zod/mini';
import { ConfigurationError } from './errors.ts';

/**
 * Reads the configuration of a function from environment variables.
 *
 * @param schema an object schema whose keys are the variables' names
 * @throws {ConfigurationError} with every variable that is missing or malformed, and no value
 */
export function readConfig<Schema extends z.ZodMiniObject>(
  schema: Schema,
  environment: Record<string, string | undefined>,
): z.infer<Schema> {
  const parsed = schema.safeParse(environment);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => {
    const name = path.join('.');
    return environment[name] === undefined ? `${name} is missing` : `${name}: ${message}`;
  });
  throw new ConfigurationError(`the environment does not fit: ${faults.join('; ')}`);
}

const REGION = 'expected an AWS Region';
export const regionSchema = z.string(REGION).check(z.regex(/^[a-z]{2}(-[a-z]+)+-\d+$/, REGION));

/** The account and Region of a function. Lambda itself sets AWS_REGION. */
export const placeSchema = {
  ACCOUNT_ID: z.string().check(z.regex(/^\d{12}$/, 'expected the 12 digits of an AWS account')),
  AWS_REGION: regionSchema,
};

const EVENT_BUS = /^(arn:[^:]+:events:[^:]+:\d{12}:event-bus\/)?[/.\-_A-Za-z0-9]{1,256}$/;
/** The name or the ARN of an event bus. */
export const eventBusSchema = z.string().check(z.regex(EVENT_BUS, "expected an event bus's name or ARN"));

/** A whole number within bounds in an environment variable, with a default. */
export const wholeNumber = (fallback: number, least: number, most: number) => {
  const isInRange = (text: string) => /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most;
  const text = z.string().check(z.refine(isInRange, `expected a whole number from ${least} to ${most}`));
  return z._default(z.pipe(text, z.transform(Number)), fallback);
};
