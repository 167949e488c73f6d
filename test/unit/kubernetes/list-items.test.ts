import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseList } from '../../../functions/kubernetes/list-items.ts';

function parsed(text: string): { rest: unknown; items: unknown[] } {
  const items: unknown[] = [];
  const rest = parseList(text, (item) => void items.push(item));
  return { rest, items };
}

test('finds the items that JSON.parse finds, however the list is written', () => {
  const item = fc.dictionary(fc.string(), fc.jsonValue());
  const lists = fc.record({ apiVersion: fc.string(), metadata: item, items: fc.array(item), kind: fc.string() });
  fc.assert(
    fc.property(lists, fc.shuffledSubarray(['apiVersion', 'metadata', 'kind']), fc.nat(2), (list, keys, indent) => {
      // Typed resources have their metadata before the items, and custom resources after them.
      const { items, ...rest } = list;
      const written = Object.fromEntries(
        [...keys.slice(1), 'items', ...keys.slice(0, 1)].map((key) => [key, list[key as keyof typeof list]]),
      );
      const found = parsed(JSON.stringify(written, null, indent));
      expect(found.items).toEqual(JSON.parse(JSON.stringify(items)));
      const expected = Object.fromEntries(keys.map((key) => [key, rest[key as keyof typeof rest]]));
      expect(found.rest).toEqual(JSON.parse(JSON.stringify({ ...expected, items: items.map(() => null) })));
    }),
    { seed: Number(process.env.FAST_CHECK_SEED ?? 20260101), numRuns: 500 },
  );
});

test('takes quotes, backslashes, and braces in a string for text', () => {
  const item = { data: { text: '}],"items":[{ \\" \\\\" \\\\\\" ', '{': '\\', '"': '\\\\' } };
  expect(parsed(JSON.stringify({ items: [item, item] })).items).toEqual([item, item]);
});

describe.each<[string, string]>([
  ['a string without an end', '{"items":[{"a":"b'],
  ['an item without an end', '{"items":[{"a":1}'],
  ['an item that is no JSON', '{"items":[{"a":x}]}'],
  ['text between the items', '{"items":[{} x {}]}'],
  ['text after the list', '{"items":[]} x'],
  ['a bracket in place of a brace', '{"items":[{"a":1]]}'],
  ['nothing', ''],
])('%s', (_, text) => {
  test('is refused', () => {
    expect(() => parsed(text)).toThrow(SyntaxError);
  });
});
