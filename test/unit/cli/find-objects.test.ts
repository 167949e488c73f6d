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
const pretty = (value: unknown) => JSON.stringify(value, null, 1);

test.each<[string, string]>([
  ['an array', `[${json('a')},${json('b')}]`],
  ['a List', JSON.stringify({ kind: 'List', items: [{ kind: 'Pod' }, wanted('a'), wanted('b')] })],
  ['lines', `${json('a')}\r\n\r\n${json('b')}`],
  ['documents without a line break between them', json('a') + json('b')],
  ['documents over several lines', `${pretty([wanted('a')])}\n${pretty(wanted('b'))}\n`],
  ['an export to S3', `2026-11-24T12:00:00.123Z ${json('a')}\n2026-11-24T12:00:01.123Z ${json('b')}\n`],
  [
    'aws logs tail, with lines of Lambda itself',
    [
      '2026-11-24T12:00:00.123000+00:00 2026/11/24/[$LATEST]0af3 START RequestId: 1 Version: $LATEST',
      `2026-11-24T12:00:00.123000+00:00 2026/11/24/[$LATEST]0af3 ${json('a')}`,
      `2026-11-24T12:00:00.123000+00:00 2026/11/24/[$LATEST]0af3 ${json('b')}`,
      'END RequestId: 1',
    ].join('\n'),
  ],
  ['aws logs filter-log-events', pretty(answer('START RequestId: 1', json('a'), json('b')))],
  ['several answers of it', pretty(answer(json('a'))) + pretty(answer(json('b')))],
  [
    'CloudWatch Logs Insights',
    pretty({ results: ['a', 'b'].map((name) => [{ field: '@message', value: json(name) }]) }),
  ],
  [
    'the event of a subscription',
    pretty(payload(JSON.stringify({ logEvents: ['a', 'b'].map((name) => ({ message: json(name) })) }))),
  ],
  [
    'a failed invocation in a queue',
    JSON.stringify({ body: pretty({ requestPayload: payload(`[${json('a')}, ${json('b')}]`) }) }),
  ],
  ['YAML', stringify({ kind: 'List', items: [wanted('a'), wanted('b')] })],
  [
    'documents of YAML',
    `# saved\n---\n${stringify(wanted('a'))}---\n${stringify({ ...wanted('b'), applied: json('no') })}`,
  ],
])('finds objects in %s', (_, text) => {
  expect(findObjects(text, reader)).toEqual({ found: ['a', 'b'], faults: [] });
});

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

test.each<[string, string, string[]]>([
  ['a line that is cut off in a string', json('a').slice(0, 30), ['line 2: not JSON (cut off?)']],
  ['a line that is cut off after a colon', '{"kind":', ['line 2: not JSON (cut off?)']],
  [
    'a line that is cut off after a brace',
    '2026-11-24T12:00:00Z {"kind":"Event","user":{"groups":[',
    ['line 2: not JSON (cut off?)'],
  ],
  ['a line without JSON', 'hello there', ['line 2: not JSON']],
  ['what is no JSON between braces', '{"kind" }', ['line 2: not JSON (cut off?)']],
  [
    'a message that is cut off',
    JSON.stringify(answer('{"kind":"W')),
    ['line 2, events.0.message: not JSON (cut off?)'],
  ],
  [
    'a payload that is not gzip',
    '{"awslogs":{"data":"bm90IGd6aXA="}}',
    ['line 2, awslogs.data: not base64 of gzip of JSON'],
  ],
  ['an object that the reader refuses', '{"items":[{"fault":"no name"}]}', ['line 2, items.0: no name']],
])('reports %s with its place, and continues', (_, line, faults) => {
  expect(findObjects([json('a'), line, json('b')].join('\n'), reader)).toEqual({ found: ['a', 'b'], faults });
});

test.each([
  ['a: [b', ['line 1: not YAML: BAD_INDENT']],
  ['a: 1\na: 2', ['line 2: not YAML: DUPLICATE_KEY']],
  ['', []],
])('reports what is wrong with %j', (text, faults) => {
  expect(findObjects(text, reader)).toEqual({ found: [], faults });
});

test.each([
  ['JSON', `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`, 'line 1: nested too deeply'],
  ['YAML', `a: ${'['.repeat(20_000)}`, 'line 1: not YAML: RESOURCE_EXHAUSTION'],
  [
    'YAML with aliases',
    'a: &a [1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]',
    'line 1: not YAML: BAD_ALIAS',
  ],
])('reports %s that no stack or memory can hold', (_, text, fault) => {
  expect(findObjects(text, reader)).toEqual({ found: [], faults: [fault] });
});

test('reads very many brackets that are never closed in little time, and what is whole within them', () => {
  const text = `${' [\n'.repeat(100_000)} ${json('a')},\n${' {"b":\n'.repeat(100_000)} ${json('b')}`;
  expect(findObjects(text, reader).found).toEqual(['a', 'b']);
});

test('reads very many lines that are cut off in little time', () => {
  const cut = '2026-11-24T12:00:00Z {"kind":"Event","user":{"groups":[';
  const { faults } = findObjects(`${cut}\n`.repeat(20_000), reader);
  expect(faults).toHaveLength(20_000);
});
