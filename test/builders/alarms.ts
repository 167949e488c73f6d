import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface Alarm {
  readonly Namespace?: string;
  readonly MetricName?: string;
  readonly Dimensions?: readonly { readonly Name: string; readonly Value: string }[];
}

/** The properties of the alarms of the stack. */
export function alarms(): Alarm[] {
  const text = readFileSync('infra/alarms.yml', 'utf8');
  const { Resources } = parse(text, { merge: true, maxAliasCount: -1, logLevel: 'silent' });
  return Object.values<{ Properties: Alarm }>(Resources).map(({ Properties }) => Properties);
}
