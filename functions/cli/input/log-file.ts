import * as z from 'zod/mini';

/** What one line of a log says, and where it stands, for a person. */
export interface LogLine {
  readonly where: string;
  readonly text: string;
  /** Milliseconds since 1970, where the log says. */
  readonly time?: number;
}

/** `aws logs filter-log-events` and `get-log-events`. */
const logEventsSchema = z.object({
  events: z.array(z.object({ message: z.string(), timestamp: z.optional(z.number()) })),
});

/** The answer of CloudWatch Logs that a document is, line by line; `undefined` where it is none. */
export function linesOfAnswer(document: unknown): LogLine[] | undefined {
  return logEventsSchema.safeParse(document).data?.events.map(({ message, timestamp }, index) => ({
    where: `event ${index + 1}`,
    text: message,
    time: timestamp,
  }));
}

/** CloudWatch Logs exports `<timestamp> <line>` to S3, and `aws logs tail` prints `<timestamp> <stream> <line>`. */
const EXPORTED = /^(\d{4}-\d\d-\d\dT[\d:.,]+(?:Z|[+-]\d\d:\d\d)) (?:\S+ (?=\{))?/;

/** The lines of a text that are not blank, without the times that CloudWatch Logs put before them. */
export function linesOfText(text: string): LogLine[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const [prefix = '', timestamp = ''] = EXPORTED.exec(line) ?? [];
    const time = Date.parse(timestamp);
    return [
      { where: `line ${index + 1}`, text: line.slice(prefix.length).trim(), ...(!Number.isNaN(time) && { time }) },
    ];
  });
}

/** @returns `undefined` for what is no JSON, or no object */
export function parsedObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
