import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { findObjects, type ObjectReader } from '../../../functions/cli/input/find-objects.ts';

const wanted = (name: string) => ({ kind: 'Wanted', name, text: 'a "quoted" } \\ [', inside: { kind: 'Wanted' } });
const json = (name: string) => JSON.stringify(wanted(name));

const reader: ObjectReader<string> = ({ kind, name, fault }) => {
  if (kind === 'Wanted') return { value: `${name}` };
  return fault === undefined ? undefined : { fault: `${fault}` };
};

const payload = (text: string) => ({ awslogs: { data: gzipSync(text).toString('base64') } });
const answer = (...messages: string[]) => ({ events: messages.map((message) => ({ timestamp: 1, message })) });
const inLambda = (text: string) => `2026-11-24T12:00:00.123000+00:00 2026/11/24/[$LATEST]0af3 ${text}`;
const pretty = (value: unknown) => JSON.stringify(value, null, 1);
const both = ['a', 'b'].map(json);
const CUT = '2026-11-24T12:00:00Z {"kind":"Event","user":{"groups":[';

test.each<[string, string]>([
  ['an array', `[${both}]`],
  ['a List', JSON.stringify({ kind: 'List', items: [{ kind: 'Pod' }, wanted('a'), wanted('b')] })],
  ['lines', both.join('\r\n\r\n')],
  ['documents without a line break between them', both.join('')],
  ['documents over several lines', `${pretty([wanted('a')])}\n${pretty(wanted('b'))}\n`],
  ['an export to S3', both.map((one) => `2026-11-24T12:00:00.123Z ${one}\n`).join('')],
  [
    'aws logs tail, with lines of Lambda itself',
    [...['START RequestId: 1 Version: $LATEST', ...both].map(inLambda), 'END RequestId: 1'].join('\n'),
  ],
  ['aws logs filter-log-events', pretty(answer('START RequestId: 1', ...both))],
  ['several answers of it', both.map((one) => pretty(answer(one))).join('')],
  ['CloudWatch Logs Insights', pretty({ results: both.map((value) => [{ field: '@message', value }]) })],
  ['the event of a subscription', pretty(payload(JSON.stringify({ logEvents: both.map((message) => ({ message })) })))],
  ['a failed invocation in a queue', JSON.stringify({ body: pretty({ requestPayload: payload(`[${both}]`) }) })],
  ['YAML', stringify({ kind: 'List', items: [wanted('a'), wanted('b')] })],
  [
    'documents of YAML',
    `# saved\n---\n${stringify(wanted('a'))}---\n${stringify({ ...wanted('b'), applied: json('no') })}`,
  ],
])('finds objects in %s', (_, text) => {
  expect(findObjects(text, reader)).toEqual({ found: ['a', 'b'], faults: [] });
});

// Inputs of people who had trouble with tools like this one.
test.each(['array', 'eventlist', 'firehose', 'fle', 'insights', 'payload'])(
  'finds the audit events of the report %s.json',
  (name) => {
    const text = readFileSync(`test/fixtures/reports/audit-log-formats/${name}.json`, 'utf8');
    const { found, faults } = findObjects(text, ({ kind, auditID }) =>
      kind === 'Event' ? { value: auditID } : undefined,
    );
    expect({ events: found.length, faults }).toEqual({ events: name === 'insights' ? 1 : 2, faults: [] });
  },
);

test('passes the objects that contain an object, the innermost first, also through a string', () => {
  const contexts: unknown[] = [];
  const message = JSON.stringify({ cluster: 'shop', manifest: wanted('a') });
  findObjects(JSON.stringify({ region: 'eu-central-1', events: [{ message }] }), (object, enclosing, where) => {
    if (object.kind !== 'Wanted') return undefined;
    contexts.push(
      where,
      enclosing.map((one) => Object.keys(one)),
    );
    return {};
  });
  expect(contexts).toEqual([
    'line 1, events.0.message.manifest',
    [['cluster', 'manifest'], ['message'], ['region', 'events']],
  ]);
});

test.each<[string, string, string]>([
  ['a line that is cut off in a string', json('a').slice(0, 30), ': not JSON (cut off?)'],
  ['a line that is cut off after a colon', '{"kind":', ': not JSON (cut off?)'],
  ['a line that is cut off after a brace', CUT, ': not JSON (cut off?)'],
  ['a line without JSON', 'hello there', ': not JSON'],
  ['what is no JSON between braces', '{"kind" }', ': not JSON (cut off?)'],
  ['a message that is cut off', JSON.stringify(answer('{"kind":"W')), ', events.0.message: not JSON (cut off?)'],
  ['a payload that is not gzip', '{"awslogs":{"data":"bm90IGd6aXA="}}', ', awslogs.data: not base64 of gzip of JSON'],
  ['an object that the reader refuses', '{"items":[{"fault":"no name"}]}', ', items.0: no name'],
])('reports %s with its place, and continues', (_, line, fault) => {
  const text = [json('a'), line, json('b')].join('\n');
  expect(findObjects(text, reader)).toEqual({ found: ['a', 'b'], faults: [`line 2${fault}`] });
});

const DEEP = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`;
const ALIASES = 'a: &a [1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]';
test.each([
  ['a sequence that does not end', 'a: [b', ['line 1: not YAML: BAD_INDENT']],
  ['a key that is there twice', 'a: 1\na: 2', ['line 2: not YAML: DUPLICATE_KEY']],
  ['JSON that no stack can hold', DEEP, ['line 1: nested too deeply']],
  ['YAML that no stack can hold', `a: ${'['.repeat(20_000)}`, ['line 1: not YAML: RESOURCE_EXHAUSTION']],
  ['YAML with aliases that no memory can hold', ALIASES, ['line 1: not YAML: BAD_ALIAS']],
  ['nothing', '', []],
])('reports what is wrong with %s', (_, text, faults) => {
  expect(findObjects(text, reader)).toEqual({ found: [], faults });
});

test('reads very many brackets that are never closed in little time, and what is whole within them', () => {
  const text = `${' [\n'.repeat(100_000)} ${json('a')},\n${' {"b":\n'.repeat(100_000)} ${json('b')}`;
  expect(findObjects(text, reader).found).toEqual(['a', 'b']);
});

test('reads very many lines that are cut off in little time', () => {
  const { faults } = findObjects(`${CUT}\n`.repeat(20_000), reader);
  expect(faults).toHaveLength(20_000);
});
