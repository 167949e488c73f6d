import { CommanderError } from 'commander';
import * as errors from '../../functions/platform/errors.ts';
import type { Choices } from '../choices.ts';

/** An input: what a target reads, by name. */
export type Parts = Readonly<Record<string, string | Buffer | undefined>>;

export interface Target {
  readonly name: string;
  /** Its share of all inputs. */
  readonly weight: number;
  make(choices: Choices): Parts;
  /** Throws an error of the product for an input that it refuses, and {@link Finding} for what must not happen. */
  run(parts: Parts): Promise<void>;
}

/** What must not happen for any input. */
export class Finding extends Error {
  override name = 'Finding';
}

/** The refusal of a configuration file, which lists each problem in its own line. */
export class RefusedConfiguration extends Error {}

const EXPECTED = [errors.MalformedInputError, errors.UsageError, errors.ClusterSkippedError, errors.RetryableError];

/** Whether an error has one of the project's classes, so that its caller knows what to do. */
export const isExpected = (error: unknown): boolean =>
  [...EXPECTED, CommanderError, RefusedConfiguration].some((one) => error instanceof one) ||
  // Its class belongs to the wiring of the functions alone.
  (error instanceof Error && error.name === 'ConfigurationError');
