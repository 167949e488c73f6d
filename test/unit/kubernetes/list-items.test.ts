import fc from 'fast-check';
import { expect, onTestFinished, test, vi } from 'vitest';
import { itemsTaker, sharing } from '../../../functions/kubernetes/list-items.ts';

/** @param cuts where the text is divided into parts */
function parsed(text: string, cuts: readonly number[] = []): { rest: unknown; items: unknown[] } {
  const items: unknown[] = [];
  const take = itemsTaker((item) => void items.push(item));
  const ends = cuts.map((cut) => cut % (text.length + 1)).toSorted((one, other) => one - other);
  const parts = [...ends, text.length].map((end, index) => text.slice(ends[index - 1] ?? 0, end));
  return { rest: JSON.parse(parts.map(take).join('')), items };
}

test('finds the items that JSON.parse finds, however the list is written and arrives', () => {
  const item = fc.dictionary(fc.string(), fc.jsonValue());
  const lists = fc.record({ apiVersion: fc.string(), metadata: item, items: fc.array(item), kind: fc.string() });
  const orders = fc.shuffledSubarray(['apiVersion', 'metadata', 'kind']);
  fc.assert(
    fc.property(lists, orders, fc.nat(2), fc.array(fc.nat()), (list, keys, indent, cuts) => {
      // Typed resources have their metadata before the items, and custom resources after them.
      const { items, ...rest } = list;
      const written = Object.fromEntries(
        [...keys.slice(1), 'items', ...keys.slice(0, 1)].map((key) => [key, list[key as keyof typeof list]]),
      );
      const found = parsed(JSON.stringify(written, null, indent), cuts);
      expect(found.items).toEqual(JSON.parse(JSON.stringify(items)));
      const expected = Object.fromEntries(keys.map((key) => [key, rest[key as keyof typeof rest]]));
      expect(found.rest).toEqual(JSON.parse(JSON.stringify({ ...expected, items: items.map(() => null) })));
    }),
    { seed: Number(process.env.FAST_CHECK_SEED ?? 20260101), numRuns: 500 },
  );
});

test('takes quotes, backslashes, and braces in a string for text, wherever a part ends', () => {
  const item = { data: { text: '}],"items":[{ \\" \\\\" \\\\\\" ', '{': '\\', '"': '\\\\' } };
  const text = JSON.stringify({ metadata: { a: {} }, items: [item, item] });
  for (const cut of Array(text.length).keys()) expect(parsed(text, [cut]).items).toEqual([item, item]);
});

test('searches a string that arrives in many parts once', () => {
  const searched = vi.spyOn(String.prototype, 'indexOf');
  onTestFinished(() => searched.mockRestore());
  const take = itemsTaker(() => {});
  take('{"items":[{"a":"');
  for (let part = 0; part < 100; part += 1) take('\\"');
  take('"}]}');
  expect(searched.mock.calls.length).toBeLessThan(400);
});

test.each<[string, string]>([
  ['a string without an end', '{"items":[{"a":"b'],
  ['an item without an end', '{"items":[{"a":1}'],
  ['an item that is no JSON', '{"items":[{"a":x}]}'],
  ['text between the items', '{"items":[{} x {}]}'],
  ['text after the list', '{"items":[]} x'],
  ['a string after the list', '{"items":[]}"x'],
  ['a bracket in place of a brace', '{"items":[{"a":1]]}'],
  ['nothing', ''],
])('leaves what is no JSON, wherever a part ends: %s', (_, text) => {
  for (const cut of Array(text.length + 1).keys()) expect(() => parsed(text, [cut])).toThrow(SyntaxError);
});

test('an item shares what equals the item before, and stays equal to itself', () => {
  const [one, other] = ['one', 'other'].map((name) => ({
    metadata: { name, labels: { app: 'web' } },
    list: [{ a: [] }],
  }));
  const shared = sharing(structuredClone(other), one);
  expect(shared).toEqual(other);
  expect(shared?.list).toBe(one?.list);
  expect(shared?.metadata.labels).toBe(one?.metadata.labels);
  expect(sharing({ a: undefined }, { b: undefined })).toHaveProperty('a');
  const withKey = JSON.parse('{"__proto__":{}}');
  expect(Object.values(sharing(withKey, {}))).not.toContain(Object.prototype);
  const deep = () => JSON.parse(`${'['.repeat(10_000)}${']'.repeat(10_000)}`);
  expect(() => sharing(deep(), deep())).not.toThrow();
  // Few values, so that many parts are equal; `__proto__` is a key like any other.
  const keys = fc.constantFrom('a', 'b', '0', '__proto__', 'toString');
  const { value: values } = fc.letrec((tie) => ({
    value: fc.oneof(
      fc.constantFrom(null, 0, 1, 'a', true),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.uniqueArray(fc.tuple(keys, tie('value')), { selector: ([key]) => key }).map(Object.fromEntries),
    ),
  }));
  fc.assert(
    fc.property(values, values, (value, before) => {
      const [copy, copyOfBefore] = [structuredClone(value), structuredClone(before)];
      expect(sharing(copy, copyOfBefore)).toStrictEqual(value);
      expect(copyOfBefore).toStrictEqual(before);
    }),
    { seed: Number(process.env.FAST_CHECK_SEED ?? 20260101), numRuns: 1_000 },
  );
});
