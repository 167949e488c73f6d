import { gzipSync } from 'node:zlib';
import type { Choices } from '../choices.ts';

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
  ...['', ' ', 'null', 'NaN', '.nan', 'Infinity', '-1', '0', '9007199254740993', 'true', 'e5', 'yes', '0x10', '1e999'],
  ...[
    '\u0000',
    'a\nb',
    'a\r\nb: c',
    '\u001B[2J\u001B[31mred',
    '\uD800',
    '\uDFFF\uD800',
    '\u2028\u2029',
    '\uFEFF',
    BIDI,
  ],
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'],
  ...['../../etc/passwd', '/', '%', '%00%zz', '$(x)', '$&$1', 'javascript:alert(1)'],
  ...['not a date', '2026-13-45T99:99:99Z', '-271821-04-20T00:00:00.000Z', '+275760-09-13T00:00:00.001Z'],
  ...['0000-00-00T00:00:00Z', '{', '{"kind":"Event"', '[', 'a: [', '*x', '&x *x', '!!js/function x'],
  ...['https://', 'https://[::1', 'https://user:pw@host:99999/', 'http://host/a b', 'file:///etc/passwd'],
  ...['arn:aws:eks:::cluster/', 'arn:aws:eks:eu-west-1:123456789012:cluster/a/b'],
];
const NUMBERS: readonly Json[] = [
  ...[0, -1, 1.5, -0.0, 2 ** 31, 2 ** 53, -(2 ** 53), Number.MAX_SAFE_INTEGER + 2, 1e21, 5e-324],
  ...['1e999', '-1e999', '-0', '123456789012345678901234567890'].map(raw),
];
const KEYS = [
  ...['__proto__', 'constructor', 'prototype', 'toString', 'length', 'then', 'toJSON'],
  ...['', ' ', 'a\nb', '\uD800'],
];
const REPEATABLE = ['a', '\n', ' ', '{', '-', 'a-', '.a', '"', '\\', '\u202E', '💥', ',a', '0', '/', ':', 'aa-a'];

/** A text of up to some ten thousand characters; rarely long, since each takes its time. */
function longText(choices: Choices): string {
  const length = choices.chance(10) ? 50_000 : choices.chance(40) ? 5_000 : 300;
  const unit = choices.of(REPEATABLE);
  return unit.repeat(Math.ceil(length / unit.length));
}

function deep(choices: Choices): Json {
  const depth = choices.chance(25) ? 100 + choices.pick(4_000) : 1 + choices.pick(60);
  const [open = '', close = ''] = choices.of(['[ ]', '{"a": }', '{"metadata": }', '{"items":[ ]}']).split(' ');
  return raw(`${open.repeat(depth)}null${close.repeat(depth)}`);
}

const oddValue = (choices: Choices): Json =>
  choices.of<() => Json>([
    () => null,
    () => choices.chance(50),
    () => choices.of(NUMBERS),
    () => choices.of(STRINGS),
    () => choices.of(STRINGS),
    () => [],
    () => ({}),
    () => [null],
    () => ({ [choices.of(KEYS)]: choices.of(STRINGS) }),
    () => longText(choices),
    () => deep(choices),
    () => Array.from({ length: 1 + choices.pick(60) }, () => choices.of(STRINGS)),
    () => Object.fromEntries(Array.from({ length: choices.pick(60) }, (_, at) => [`${choices.of(KEYS)}${at}`, at])),
  ])();

/** A value somewhere in another one. */
function partOf(value: Json, choices: Choices): Json {
  let part = value;
  while (typeof part === 'object' && part !== null && choices.chance(80)) {
    const children: readonly Json[] = Array.isArray(part) ? part : Object.values(part);
    if (children.length === 0) break;
    part = choices.of(children);
  }
  return part;
}

function mutatedString(text: string, choices: Choices): Json {
  const at = choices.pick(text.length + 1);
  return choices.of<() => Json>([
    () => text.slice(0, at),
    () => text.slice(0, at) + choices.of(STRINGS) + text.slice(at),
    () => text.slice(0, at) + longText(choices) + text.slice(at),
    () => text.toUpperCase(),
    () => [text],
    () => `${text}\n`,
    () => text.slice(0, at) + text.slice(at + 1),
  ])();
}

const CHANGES = ['drop', 'duplicate', 'rename', 'odd', 'odd', 'splice', 'wrap', 'repeat', 'string'] as const;

/** One value of a tree changed in one way. Secrets stay where they are: where no secret belongs, printing it is no leak. */
function mutatedOnce(value: Json, corpus: readonly Json[], choices: Choices, stop = 8): Json {
  if (typeof value !== 'object' || value === null) return mutatedLeaf(value, corpus, choices);
  const keys = Object.keys(value);
  if (keys.length === 0 || choices.chance(stop)) return mutatedLeaf(value, corpus, choices);
  const key = choices.of(keys);
  const change = choices.chance(55) ? undefined : choices.of(CHANGES);
  if (Array.isArray(value)) {
    const at = Number(key);
    const item = value[at] as Json;
    if (change === 'drop') return value.toSpliced(at, 1);
    if (change === 'duplicate') return value.toSpliced(at, 0, item);
    if (change === 'repeat') return value.toSpliced(at, 0, ...Array.from({ length: choices.pick(40) }, () => item));
    if (change === 'splice') return value.toSpliced(at, 0, partOf(choices.of(corpus), choices));
    return value.with(
      at,
      change === undefined ? mutatedOnce(item, corpus, choices) : mutatedLeaf(item, corpus, choices),
    );
  }
  const object = value as { readonly [key: string]: Json };
  const child = object[key] as Json;
  const holdsSecret = JSON.stringify(child).includes('zqxj9');
  const others = Object.entries(object).filter(([other]) => other !== key);
  if (change === 'drop') return Object.fromEntries(others);
  if (!holdsSecret && (change === 'duplicate' || change === 'rename')) {
    const name = choices.chance(50) ? choices.of(keys) : choices.chance(80) ? choices.of(KEYS) : longText(choices);
    return Object.fromEntries([...(change === 'rename' ? others : Object.entries(object)), [name, child]]);
  }
  if (change === 'splice') return Object.fromEntries([...others, [key, partOf(choices.of(corpus), choices)]]);
  const changed = change === undefined ? mutatedOnce(child, corpus, choices) : mutatedLeaf(child, corpus, choices);
  // In place, so that the order of the keys stays.
  return Object.fromEntries(Object.entries(object).map(([name, one]) => [name, name === key ? changed : one]));
}

function mutatedLeaf(value: Json, corpus: readonly Json[], choices: Choices): Json {
  if (typeof value === 'string' && !value.startsWith('@raw:') && choices.chance(40))
    return mutatedString(value, choices);
  if (choices.chance(10)) return partOf(choices.of(corpus), choices);
  if (choices.chance(10)) return choices.chance(50) ? [value] : { [choices.of(KEYS)]: value };
  return oddValue(choices);
}

/** A value with a few changes that keep most of its structure, as JSON. Every tenth or so is unchanged. */
export function mutatedJson(value: unknown, corpus: readonly unknown[], choices: Choices, indent?: number): string {
  return jsonOf(mutatedValue(value, corpus, choices), indent);
}

/** The JSON of a value that {@link mutatedValue} returned. */
export const jsonOf = (value: unknown, indent?: number): string => withRaw(JSON.stringify(value, null, indent));

export function mutatedValue(value: unknown, corpus: readonly unknown[], choices: Choices): unknown {
  let result = value as Json;
  for (let times = choices.pick(4); times > 0; times -= 1) result = mutatedOnce(result, corpus as Json[], choices);
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
  ...['self: &self [*self]', '<<: 5', '<<: *nobody', 'a: *nobody', '? [a, b]\n: c', '? {a: b}\n: c'],
  ...[
    'a: !foo bar',
    'a: !!binary "%%%"',
    'a: !!set {x, y}',
    'a: !!omap [x: 1]',
    'a: !!timestamp 2026-99-99',
    'a: !!int x',
  ],
  ...['%YAML 9.9', '%TAG ! tag:x,2000:', '---', '...', '--- |\n text', '\tkey: value', '- 1'],
  ...['a: "unclosed', 'a: {b: [', '__proto__: {polluted: true}', 'constructor: {prototype: {polluted: true}}'],
];
const PIECES = [...STRINGS, ...YAML_LINES, '}', ']', '"', '\\', ':', ',', '\uFEFF', '\r\n', '\n---\n', '\u0000'];

/** A text with a few changes of its characters and lines. Others are texts that it may be joined with. */
export function mutatedText(text: string, others: readonly string[], choices: Choices): string {
  let result = text;
  for (let times = 1 + choices.pick(3); times > 0; times -= 1) {
    const at = choices.pick(result.length + 1);
    const before = result.slice(0, at);
    const after = result.slice(at);
    const lineStart = result.lastIndexOf('\n', at) + 1;
    result = choices.of<() => string>([
      () => before,
      () => before + after.slice(1 + choices.pick(30)),
      () => before + choices.of(PIECES) + after,
      () => `${result.slice(0, lineStart)}${choices.of(YAML_LINES)}\n${result.slice(lineStart)}`,
      () => `${result.slice(0, lineStart)}${choices.of(YAML_LINES)}\n${result.slice(lineStart)}`,
      () => before + longText(choices) + after,
      () => `\uFEFF${result}`,
      () => result.replaceAll('\n', '\r\n'),
      () => result + choices.of(['', '\n', '\n---\n', '\r\n', ' ']) + choices.of(others),
      () => {
        const line = `${result.slice(lineStart, result.indexOf('\n', at) + 1 || undefined)}\n`;
        const times = choices.chance(15) ? Math.ceil(40_000 / line.length) : 1 + choices.pick(20);
        return result.slice(0, lineStart) + line.repeat(times) + result.slice(lineStart);
      },
      () => (choices.chance(30) ? ` ${before}\n`.repeat(Math.ceil(20_000 / (before.length + 1))) : before) + after,
      () => withRaw(before + JSON.stringify(deep(choices)) + after),
    ])();
  }
  return result.slice(0, MAX_LENGTH);
}

/** Characters. What takes the parsers of YAML and JSON a second is a fault of theirs only where it is not much longer. */
const MAX_LENGTH = 100_000;

/** The bytes of a text, some of them broken: gzip or not, several members, flipped and cut, invalid UTF-8. */
export function bytesOf(text: string, choices: Choices): Buffer {
  let bytes: Buffer = Buffer.from(text);
  if (choices.chance(25)) bytes = gzipSync(bytes, { level: 1 });
  if (choices.chance(5)) bytes = Buffer.concat([bytes, gzipSync(text, { level: 1 })]);
  if (choices.chance(15)) {
    bytes = Buffer.from(bytes);
    for (let times = 1 + choices.pick(4); times > 0 && bytes.length > 0; times -= 1) {
      bytes[choices.pick(bytes.length)] = choices.pick(256);
    }
  }
  if (choices.chance(8)) bytes = bytes.subarray(0, choices.pick(bytes.length + 1));
  if (choices.chance(3)) bytes = Buffer.concat([choices.of(MARKS), bytes]);
  return bytes;
}

/** Of UTF-8, of UTF-16, of gzip, and half a character. */
const MARKS = ['efbbbf', 'fffe', 'feff', '1f8b', 'c3'].map((bytes) => Buffer.from(bytes, 'hex'));
