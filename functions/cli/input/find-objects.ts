import { gunzipSync } from 'node:zlib';
import { yamlDocuments } from '../../platform/yaml.ts';
import { say } from '../output/terminal.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Decides on an object of a file: `undefined` continues with the values in it; otherwise these are skipped. Then `value` is
 * what was found, and `fault` says why the object is unreadable.
 *
 * @param enclosing the objects that contain it, the innermost first
 * @param where its place in the file, such as `line 3, events.0`
 */
export type ObjectReader<T> = (
  object: JsonObject,
  enclosing: readonly JsonObject[],
  where: string,
) => { readonly value?: T; readonly fault?: string } | undefined;

interface FoundObjects<T> {
  readonly found: T[];
  /** What is unreadable: where, and why. */
  readonly faults: string[];
}

/** Maximum number of faults that are printed. */
const MAX_FAULTS = 10;

/** As `findObjects`; prints on stderr what is unreadable, or that there is nothing. */
export function findAndReport<T>(name: string, text: string, wanted: string, reader: ObjectReader<T>): FoundObjects<T> {
  const { found, faults } = findObjects(text, reader);
  if (found.length === 0) faults.push(`no ${wanted} found`);
  for (const fault of faults.slice(0, MAX_FAULTS)) say(`${name}: ${fault}`);
  if (faults.length > MAX_FAULTS) say(`${name}: and ${faults.length - MAX_FAULTS} more; ${faults.at(-1)}`);
  return { found, faults };
}

/** Maximum nesting; saved files come nowhere near it. The time grows with its square, and deeper values overflow the stack elsewhere. */
const MAX_DEPTH = 200;
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
/** Whether a value is nested more deeply than {@link findObjects} and the YAML writer can follow. */
export const isTooDeep = (value: unknown, depth = 0): boolean =>
  isObject(value) && (depth > MAX_DEPTH || Object.values(value).some((child) => isTooDeep(child, depth + 1)));

/** A YAML document that begins with a key. */
const YAML = /^(?:[^\S\n]*(?:#.*)?\n|---.*\n)*[A-Za-z]\w*:\s/;

/**
 * Finds objects in a text wherever they are: in JSON documents (one after another, one on each line, or after a prefix such
 * as a time), in YAML documents, in strings that are JSON themselves, and in the payload of a CloudWatch Logs subscription.
 */
export function findObjects<T>(text: string, reader: ObjectReader<T>): FoundObjects<T> {
  const found: T[] = [];
  const faults: string[] = [];

  function search(value: unknown, where: string, enclosing: readonly JsonObject[], depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError('nested too deeply');
    if (typeof value === 'string') searchString(value, where, enclosing, depth);
    else if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) search(item, `${where}.${index}`, enclosing, depth + 1);
    } else if (isObject(value)) {
      const object = value as JsonObject;
      const read = reader(object, enclosing, placeOf(where));
      if (read?.value !== undefined) found.push(read.value);
      if (read?.fault !== undefined) faults.push(`${placeOf(where)}: ${read.fault}`);
      if (read !== undefined) return;
      const within = [object, ...enclosing];
      for (const [key, child] of Object.entries(object)) search(child, `${where}.${key}`, within, depth + 1);
    }
  }

  function searchString(value: string, where: string, enclosing: readonly JsonObject[], depth: number): void {
    try {
      if (where.endsWith('awslogs.data')) search(unpacked(value), where, enclosing, depth + 1);
      else if (/^\s*[{[]/.test(value)) search(JSON.parse(value), where, enclosing, depth + 1);
    } catch {
      if (where.endsWith('awslogs.data')) faults.push(`${placeOf(where)}: not base64 of gzip of JSON`);
      // A text of another kind may begin with a bracket, too.
      else if (where.endsWith('.message')) faults.push(`${placeOf(where)}: not JSON (cut off?)`);
    }
  }

  for (const { line, value, fault } of YAML.test(text) ? inYaml(text) : jsonDocuments(text)) {
    if (fault !== undefined) faults.push(`line ${line}: ${fault}`);
    else {
      try {
        search(value, `line ${line}`, [], 0);
      } catch (error) {
        // Also if a reader overflows the stack.
        if (!(error instanceof RangeError)) throw error;
        faults.push(`line ${line}: nested too deeply`);
      }
    }
  }
  return { found, faults };
}

/** `line 3.events.0` as a person writes it. */
const placeOf = (where: string): string => where.replace('.', ', ');

const unpacked = (data: string): unknown => JSON.parse(gunzipSync(Buffer.from(data, 'base64')).toString('utf8'));

interface Document {
  readonly line: number;
  readonly value?: unknown;
  readonly fault?: string;
}

const inYaml = (text: string): Document[] =>
  yamlDocuments(text).map(({ code, ...document }) => ({ ...document, fault: code && `not YAML: ${code}` }));

/** The start of a JSON object, or of an array with objects or strings. */
const START = /\{(?=\s*["}])|\[(?=\s*["{[\]])/g;

/** Lines that Lambda itself writes between those of a function. */
const LAMBDA_LINE = /(^|\s)(INIT_START|START|END|REPORT|XRAY) /;

function* jsonDocuments(text: string): Generator<Document> {
  const ends: Ends = new Map();
  let at = 0;
  let line = 1;
  while (at < text.length) {
    START.lastIndex = at;
    const start = START.exec(text)?.index ?? text.length;
    const lines = text.slice(at, start).split('\n');
    const withoutJson = start < text.length ? lines.slice(0, -1) : lines;
    for (const [index, other] of withoutJson.entries()) {
      if (other.trim() !== '' && !LAMBDA_LINE.test(other)) yield { line: line + index, fault: 'not JSON' };
    }
    line += lines.length - 1;
    const end = endOfJson(text, start, ends);
    const next = end ?? text.indexOf('\n', start);
    if (start < text.length) yield { line, ...(end === undefined ? CUT_OFF : parsed(text.slice(start, end))) };
    at = next === -1 ? text.length : next;
    line += text.slice(start, at).split('\n').length - 1;
  }
}

const CUT_OFF = { fault: 'not JSON (cut off?)' };

function parsed(text: string): Pick<Document, 'value' | 'fault'> {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return CUT_OFF;
  }
}

/** By the index of a bracket, the index after the value that it begins; `undefined` where that is cut off. */
type Ends = Map<number, number | undefined>;

/**
 * The index after the JSON value that begins at `start`; `undefined` where it is cut off.
 *
 * @param ends of the values within the last one, so that those within one that is cut off are not read again
 */
function endOfJson(text: string, start: number, ends: Ends): number | undefined {
  if (ends.has(start)) return ends.get(start);
  ends.clear();
  const open: number[] = [];
  let isInString = false;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at] as string;
    if (character === '\\') at += 1;
    else if (character === '"') isInString = !isInString;
    // Within a value lines are indented, except for the last one.
    else if (character === '\n' && (isInString || /[^\s}\]]/.test(text[at + 1] ?? ' '))) break;
    else if (!isInString && '{['.includes(character)) open.push(at);
    else if (!isInString && '}]'.includes(character)) {
      ends.set(open.pop() as number, at + 1);
      if (open.length === 0) return at + 1;
    }
  }
  for (const bracket of open) ends.set(bracket, undefined);
  return undefined;
}
