/** Powertools' Logger drops what would hide its own `message`. */
type Attributes = Record<string, unknown> & { message?: never };

/** What the use cases need of a log: a message and an object. Powertools' Logger is one, so is a test's array. */
export interface Log {
  info(message: string, ...attributes: Attributes[]): void;
  warn(message: string, ...attributes: Attributes[]): void;
  error(message: string, ...attributes: Attributes[]): void;
}

/** For who reads the report. */
export const SILENT: Log = { info: () => {}, warn: () => {}, error: () => {} };
