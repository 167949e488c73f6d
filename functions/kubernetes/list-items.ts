const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Takes the items out of a List while its text arrives. So no more than one item is in memory whole, and what is not kept of it is
 * garbage at once.
 *
 * @param onItem called for each item that is an object
 * @returns a function that takes each part of the text, and returns what is left of it: `null` in place of these items. What is
 * no JSON is left as it is, and a List that ends within an item ends before it.
 */
export function itemsTaker(onItem: (item: unknown) => void): (part: string) => string {
  const take = (text: string): string => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return text;
    }
    onItem(value);
    return 'null';
  };
  /** What has arrived since the beginning of the item, or of the string, that is not complete. */
  let text = '';
  let at = 0;
  /** Where what is not returned yet begins. */
  let from = 0;
  /** Where a string that is not complete may end. */
  let searched = 0;
  let depth = 0;
  let isInItems = false;
  return (part) => {
    text += part;
    let rest = '';
    for (; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        const end = endOfString(text, Math.max(at + 1, searched));
        if (end < 0) {
          searched = text.length;
          break;
        }
        at = end;
      } else if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
        depth += 1;
        if (depth === 2) isInItems = code === OPEN_ARRAY;
        if (depth === 3 && isInItems) {
          rest += text.slice(from, at);
          from = at;
        }
      } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
        if (depth === 3 && isInItems) {
          rest += take(text.slice(from, at + 1));
          from = at + 1;
        }
        depth -= 1;
      }
    }
    if (depth < 3 || !isInItems) {
      rest += text.slice(from);
      from = text.length;
    }
    const done = Math.min(from, at);
    text = text.slice(done);
    at -= done;
    from -= done;
    searched -= done;
    return rest;
  };
}

/** The index of the quote that ends the string, or -1 for a text without one. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start); at >= 0; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at;
  }
  return -1;
}

/** Levels of objects that are compared. Without a limit, an object that is nested deeply would overflow the stack. */
const SHARED_DEPTH = 20;

/**
 * The same value of JSON, in which each part that equals that part of the item before is that part itself. So what the items of a cluster have
 * in common (what Envoy Gateway writes, the time of a rollout) is in memory once.
 */
export function sharing<T>(value: T, before: unknown, depth?: number): T;
export function sharing(value: unknown, before: unknown, depth = 0): unknown {
  if (value === before) return before;
  if (!isObject(value) || !isObject(before) || depth > SHARED_DEPTH) return value;
  const keys = Object.keys(value);
  let isSame = keys.length === Object.keys(before).length && Array.isArray(value) === Array.isArray(before);
  for (const key of keys) {
    const has = Object.hasOwn(before, key);
    value[key] = sharing(value[key], has ? before[key] : undefined, depth + 1);
    isSame &&= has && value[key] === before[key];
  }
  return isSame ? before : value;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
