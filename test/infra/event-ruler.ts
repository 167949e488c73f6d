import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/**
 * Asks AWS's own matcher, the one of EventBridge.
 *
 * @param patterns event patterns by name
 * @returns for each event, the names of the patterns that match it
 */
export function matchEvents(jars: string, patterns: Readonly<Record<string, object>>, events: readonly object[]) {
  const output = execFileSync(
    'java',
    ['--class-path', join(jars, '*'), join(import.meta.dirname, 'event-ruler', 'MatchEvents.java')],
    { input: JSON.stringify({ patterns, events }), encoding: 'utf8' },
  );
  return JSON.parse(output) as string[][];
}
