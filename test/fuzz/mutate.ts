import { gzipSync } from 'node:zlib';
import type { Random } from './random.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A word that stands for every token, password and key of an input. Any part of it in what is printed is a leak. */
export const SECRET = 'zqxj9'.repeat(8);
export const isSecret = (value: unknown): boolean => typeof value === 'string' && value.includes('zqxj9');

/** Text that stands in JSON in place of a string: numbers and depths that no value of JavaScript has. */
const raw = (text: string) => `@raw:${text}@`;
const withRaw = (text: string): string =>
  text.includes('"@raw:')
    ? text.replaceAll(/"@raw:([^@]*)@"/g, (_, value: string) => value.replaceAll('\\"', '"'))
    : text;

const BIDI = '\u202Eevil\u2066';
const STRINGS = [
  '',
  ' ',
  'null',
  'NaN',
  '.nan',
  'Infinity',
  '-1',
  '0',
  '9007199254740993',
  'true',
  '\u0000',
  'a\nb',
  'a\r\nb: c',
  '\u001B[2J\u001B[31mred',
  '\uD800',
  '\uDFFF\uD800',
  '\u2028\u2029',
  BIDI,
  '\uFEFF',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '../../etc/passwd',
  '/',
  '%',
  '%00%zz',
  '$(x)',
  '$&$1',
  'not a date',
  '2026-13-45T99:99:99Z',
  '-271821-04-20T00:00:00.000Z',
  '+275760-09-13T00:00:00.001Z',
  '0000-00-00T00:00:00Z',
  '{',
  '{"kind":"Event"',
  '[',
  'https://',
  'https://[::1',
  'https://user:pw@host:99999/',
  'http://host/a b',
  'file:///etc/passwd',
  'javascript:alert(1)',
  'arn:aws:eks:::cluster/',
  'arn:aws:eks:eu-west-1:123456789012:cluster/a/b',
  'a: [',
  '*x',
  '&x *x',
  '!!js/function x',
  'e5',
  'yes',
  '0x10',
  '1e999',
];
const NUMBERS: readonly Json[] = [
  0,
  -1,
  1.5,
  -0.0,
  2 ** 31,
  2 ** 53,
  -(2 ** 53),
  Number.MAX_SAFE_INTEGER + 2,
  1e21,
  5e-324,
  raw('1e999'),
  raw('-1e999'),
  raw('-0'),
  raw('123456789012345678901234567890'),
];
const KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'length',
  '',
  ' ',
  'a\nb',
  '\uD800',
  'then',
  'toJSON',
];
const REPEATABLE = ['a', '\n', ' ', '{', '-', 'a-', '.a', '"', '\\', '\u202E', '💥', ',a', '0', '/', ':', 'aa-a'];

/** A text of up to some ten thousand characters; rarely long, since each takes its time. */
function longText(random: Random): string {
  const length = random.chance(0.1) ? 50_000 : random.chance(0.4) ? 5_000 : 300;
  const unit = random.pick(REPEATABLE);
  return unit.repeat(Math.ceil(length / unit.length));
}

function deep(random: Random): Json {
  const depth = random.chance(0.25) ? 100 + random.below(4_000) : 1 + random.below(60);
  const [open, close] = random.pick([
    ['[', ']'],
    ['{"a":', '}'],
    ['{"metadata":', '}'],
    ['{"items":[', ']}'],
  ]);
  return raw(`${open.repeat(depth)}null${close.repeat(depth)}`);
}

const oddValue = (random: Random): Json =>
  random.pick<() => Json>([
    () => null,
    () => random.chance(0.5),
    () => random.pick(NUMBERS),
    () => random.pick(STRINGS),
    () => random.pick(STRINGS),
    () => [],
    () => ({}),
    () => [null],
    () => ({ [random.pick(KEYS)]: random.pick(STRINGS) }),
    () => longText(random),
    () => deep(random),
    () => Array.from({ length: 1 + random.below(60) }, () => random.pick(STRINGS)),
    () => Object.fromEntries(Array.from({ length: random.below(60) }, (_, at) => [`${random.pick(KEYS)}${at}`, at])),
  ])();

/** A value somewhere in another one. */
function partOf(value: Json, random: Random): Json {
  let part = value;
  while (typeof part === 'object' && part !== null && random.chance(0.8)) {
    const children: readonly Json[] = Array.isArray(part) ? part : Object.values(part);
    if (children.length === 0) break;
    part = random.pick(children);
  }
  return part;
}

function mutatedString(text: string, random: Random): Json {
  const at = random.below(text.length + 1);
  return random.pick<() => Json>([
    () => text.slice(0, at),
    () => text.slice(0, at) + random.pick(STRINGS) + text.slice(at),
    () => text.slice(0, at) + longText(random) + text.slice(at),
    () => text.toUpperCase(),
    () => [text],
    () => `${text}\n`,
    () => text.slice(0, at) + text.slice(at + 1),
  ])();
}

const CHANGES = ['drop', 'duplicate', 'rename', 'odd', 'odd', 'splice', 'wrap', 'repeat', 'string'] as const;

/** One value of a tree changed in one way. Secrets stay where they are: where no secret belongs, printing it is no leak. */
function mutatedOnce(value: Json, corpus: readonly Json[], random: Random, stop = 0.08): Json {
  if (typeof value !== 'object' || value === null) return mutatedLeaf(value, corpus, random);
  const keys = Object.keys(value);
  if (keys.length === 0 || random.chance(stop)) return mutatedLeaf(value, corpus, random);
  const key = random.pick(keys);
  const change = random.chance(0.55) ? undefined : random.pick(CHANGES);
  if (Array.isArray(value)) {
    const at = Number(key);
    const item = value[at] as Json;
    if (change === 'drop') return value.toSpliced(at, 1);
    if (change === 'duplicate') return value.toSpliced(at, 0, item);
    if (change === 'repeat') return value.toSpliced(at, 0, ...Array.from({ length: random.below(40) }, () => item));
    if (change === 'splice') return value.toSpliced(at, 0, partOf(random.pick(corpus), random));
    return value.with(at, change === undefined ? mutatedOnce(item, corpus, random) : mutatedLeaf(item, corpus, random));
  }
  const object = value as { readonly [key: string]: Json };
  const child = object[key] as Json;
  const holdsSecret = JSON.stringify(child).includes('zqxj9');
  const others = Object.entries(object).filter(([other]) => other !== key);
  if (change === 'drop') return Object.fromEntries(others);
  if (!holdsSecret && (change === 'duplicate' || change === 'rename')) {
    const name = random.chance(0.5) ? random.pick(keys) : random.chance(0.8) ? random.pick(KEYS) : longText(random);
    return Object.fromEntries([...(change === 'rename' ? others : Object.entries(object)), [name, child]]);
  }
  if (change === 'splice') return Object.fromEntries([...others, [key, partOf(random.pick(corpus), random)]]);
  const changed = change === undefined ? mutatedOnce(child, corpus, random) : mutatedLeaf(child, corpus, random);
  // In place, so that the order of the keys stays.
  return Object.fromEntries(Object.entries(object).map(([name, one]) => [name, name === key ? changed : one]));
}

function mutatedLeaf(value: Json, corpus: readonly Json[], random: Random): Json {
  if (typeof value === 'string' && !value.startsWith('@raw:') && random.chance(0.4))
    return mutatedString(value, random);
  if (random.chance(0.1)) return partOf(random.pick(corpus), random);
  if (random.chance(0.1)) return random.chance(0.5) ? [value] : { [random.pick(KEYS)]: value };
  return oddValue(random);
}

/** A value with a few changes that keep most of its structure, as JSON. Every tenth or so is unchanged. */
export function mutatedJson(value: unknown, corpus: readonly unknown[], random: Random, indent?: number): string {
  return jsonOf(mutatedValue(value, corpus, random), indent);
}

/** The JSON of a value that {@link mutatedValue} returned. */
export const jsonOf = (value: unknown, indent?: number): string => withRaw(JSON.stringify(value, null, indent));

export function mutatedValue(value: unknown, corpus: readonly unknown[], random: Random): unknown {
  let result = value as Json;
  for (let times = random.below(4); times > 0; times -= 1) result = mutatedOnce(result, corpus as Json[], random);
  return result;
}

/** The same value in YAML of block style. Scalars are JSON, which is YAML too. */
export function yamlOf(value: unknown): string {
  const lines: string[] = [];
  const plain = (text: string) => (/^[A-Za-z][\w./-]*$/.test(text) ? text : JSON.stringify(text));
  const write = (node: unknown, indent: string, lead: string): void => {
    const isBranch = typeof node === 'object' && node !== null && Object.keys(node).length > 0;
    if (!isBranch || indent.length > 60) {
      const scalar = JSON.stringify(node);
      lines.push(lead + (scalar.length > 2 && /^"[A-Za-z][\w-]*"$/.test(scalar) ? scalar.slice(1, -1) : scalar));
    } else if (Array.isArray(node)) {
      if (lead.trim() !== '') lines.push(lead.trimEnd());
      for (const item of node) write(item, `${indent}  `, `${indent}- `);
    } else {
      let first = lead.endsWith('- ') ? lead : undefined;
      if (first === undefined && lead.trim() !== '') lines.push(lead.trimEnd());
      for (const [key, child] of Object.entries(node)) {
        write(child, `${indent}  `, `${first ?? indent}${plain(key)}: `);
        first = undefined;
      }
    }
  };
  write(value, '', '');
  return withRaw(`${lines.join('\n')}\n`);
}

const YAML_LINES = [
  'a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c]',
  'self: &self [*self]',
  '<<: 5',
  '<<: *nobody',
  '? [a, b]\n: c',
  '? {a: b}\n: c',
  'a: *nobody',
  'a: !foo bar',
  'a: !!binary "%%%"',
  'a: !!set {x, y}',
  'a: !!omap [x: 1]',
  'a: !!timestamp 2026-99-99',
  'a: !!int x',
  '%YAML 9.9',
  '%TAG ! tag:x,2000:',
  '---',
  '...',
  '--- |\n text',
  '\tkey: value',
  'a: "unclosed',
  'a: {b: [',
  '- 1',
  '__proto__: {polluted: true}',
  'constructor: {prototype: {polluted: true}}',
];
const PIECES = [...STRINGS, ...YAML_LINES, '}', ']', '"', '\\', ':', ',', '\uFEFF', '\r\n', '\n---\n', '\u0000'];

/** A text with a few changes of its characters and lines. Others are texts that it may be joined with. */
export function mutatedText(text: string, others: readonly string[], random: Random): string {
  let result = text;
  for (let times = 1 + random.below(3); times > 0; times -= 1) {
    const at = random.below(result.length + 1);
    const before = result.slice(0, at);
    const after = result.slice(at);
    const lineStart = result.lastIndexOf('\n', at) + 1;
    result = random.pick<() => string>([
      () => before,
      () => before + after.slice(1 + random.below(30)),
      () => before + random.pick(PIECES) + after,
      () => `${result.slice(0, lineStart)}${random.pick(YAML_LINES)}\n${result.slice(lineStart)}`,
      () => `${result.slice(0, lineStart)}${random.pick(YAML_LINES)}\n${result.slice(lineStart)}`,
      () => before + longText(random) + after,
      () => `\uFEFF${result}`,
      () => result.replaceAll('\n', '\r\n'),
      () => result + random.pick(['', '\n', '\n---\n', '\r\n', ' ']) + random.pick(others),
      () => {
        const line = `${result.slice(lineStart, result.indexOf('\n', at) + 1 || undefined)}\n`;
        const times = random.chance(0.15) ? Math.ceil(40_000 / line.length) : 1 + random.below(20);
        return result.slice(0, lineStart) + line.repeat(times) + result.slice(lineStart);
      },
      () => (random.chance(0.3) ? ` ${before}\n`.repeat(Math.ceil(20_000 / (before.length + 1))) : before) + after,
      () => withRaw(before + JSON.stringify(deep(random)) + after),
    ])();
  }
  return result.slice(0, MAX_LENGTH);
}

/** Characters. What takes the parsers of YAML and JSON a second is a fault of theirs only where it is not much longer. */
const MAX_LENGTH = 100_000;

/** The bytes of a text, some of them broken: gzip or not, several members, flipped and cut, invalid UTF-8. */
export function bytesOf(text: string, random: Random): Buffer {
  let bytes: Buffer = Buffer.from(text);
  if (random.chance(0.25)) bytes = gzipSync(bytes, { level: 1 });
  if (random.chance(0.05)) bytes = Buffer.concat([bytes, gzipSync(text, { level: 1 })]);
  if (random.chance(0.15)) {
    bytes = Buffer.from(bytes);
    for (let times = 1 + random.below(4); times > 0 && bytes.length > 0; times -= 1) {
      bytes[random.below(bytes.length)] = random.below(256);
    }
  }
  if (random.chance(0.08)) bytes = bytes.subarray(0, random.below(bytes.length + 1));
  if (random.chance(0.03)) bytes = Buffer.concat([random.pick(MARKS), bytes]);
  return bytes;
}

const MARKS = [
  Buffer.from([0xef, 0xbb, 0xbf]),
  Buffer.from([0xff, 0xfe]),
  Buffer.from([0xfe, 0xff]),
  Buffer.from([0x1f, 0x8b]),
  Buffer.from([0xc3]),
];
