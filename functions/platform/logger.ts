/** Powertools' Logger drops an attribute `message`. */
type Attributes = Record<string, unknown> & { message?: never };

/** A structured log, such as Powertools' Logger. */
export interface Log {
  info(message: string, ...attributes: Attributes[]): void;
  warn(message: string, ...attributes: Attributes[]): void;
  error(message: string, ...attributes: Attributes[]): void;
}

export const SILENT: Log = { info: () => {}, warn: () => {}, error: () => {} };
