import process from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseYaml, yamlDocuments } from '../../../functions/platform/yaml.ts';

describe('what is wrong with a text is said in few words, which quote nothing of it:', () => {
  const aliases = ['a: &a [x, x, x, x, x, x, x, x, x]', 'b: &b [*a, *a, *a, *a, *a]', 'c: &c [*b, *b, *b, *b]'];
  test.each<[string, string, string, number, RegExp]>([
    ['a scalar after the end', 'a: 1\n]secret', 'UNEXPECTED_TOKEN', 2, /^Unexpected .* at line 2, column 1$/],
    [
      'a key twice',
      'a:\n  secret: 1\n  secret: 2',
      'DUPLICATE_KEY',
      3,
      /^Map keys must be unique at line 3, column 3$/,
    ],
    ['a map as a key', '{{secret: 1}: 1}', 'UNEXPECTED_TOKEN', 1, /^Map keys must be scalars at line 1, column 2$/],
    ['an alias as a key', 'a: &b {secret: 1}\n*b : 1', 'UNEXPECTED_TOKEN', 2, /^Map keys must be scalars at line 2, /],
    ['an alias of nothing', 'a: *secret', 'BAD_ALIAS', 1, /^Unresolved alias .* at line 1, column 1$/],
    ['aliases of aliases', [...aliases, 'd: [*c, *c, *c, *c]'].join('\n'), 'BAD_ALIAS', 1, /^Excessive alias count/],
    ['a merge with a number', '%YAML 1.1\n---\n<<: 5', 'BAD_ALIAS', 3, /^Merge sources must be maps/],
    ['a long key', `${'x'.repeat(1100)}: 1`, 'KEY_OVER_1024_CHARS', 1, /^The : indicator must be at most 1024 chars /],
    ['deep nesting', '['.repeat(20_000), 'RESOURCE_EXHAUSTION', 1, /^it is nested too deeply$/],
  ])('%s', (_, text, code, line, fault) => {
    expect(yamlDocuments(text)).toEqual([{ line, code, fault: expect.stringMatching(fault) }]);
    expect(() => parseYaml(text)).toThrow(fault);
    expect(() => parseYaml(text)).not.toThrow('secret');
  });
});

test('the other documents of a text are read, each with its line', () => {
  expect(yamlDocuments('a: 1\n---\nb: [\n---\n# c\nc: 1')).toMatchObject([
    { line: 1, value: { a: 1 } },
    { code: 'BAD_INDENT' },
    { line: 6, value: { c: 1 } },
  ]);
  expect(() => parseYaml('a: 1\n---\nb: 1')).toThrow('it contains more than one document');
  expect(parseYaml('')).toBeNull();
});

test('a text may repeat a key in two maps, and merge', () => {
  expect(parseYaml('a: &a {x: 1}\nb: {x: 1}\nc: {<<: *a}', { version: '1.1' })).toEqual({
    a: { x: 1 },
    b: { x: 1 },
    c: { x: 1 },
  });
});

test('warnings of the parser, which quote the text, are not printed', async () => {
  const warnings: unknown[] = [];
  const listen = (warning: unknown) => void warnings.push(warning);
  process.on('warning', listen);
  onTestFinished(() => void process.off('warning', listen));
  expect(parseYaml('a: !secret b')).toEqual({ a: 'b' });
  await setImmediate();
  expect(warnings).toEqual([]);
});

test.each([
  ['keys', Array.from({ length: 100_000 }, (_, index) => `key${index}: 1`).join('\n')],
  ['maps as keys', `${'{'.repeat(900)}a${'}'.repeat(900)}`],
  ['faults in one line', `{a: ${'"b" '.repeat(30_000)}`],
])('very many %s are read in little time', (_, text) => {
  expect(yamlDocuments(text)).toHaveLength(1);
});
