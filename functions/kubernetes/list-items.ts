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
  let item = '';
  let depth = 0;
  let isInItems = false;
  let isInString = false;
  let isEscaped = false;
  return (part) => {
    let rest = '';
    let from = 0;
    for (let at = 0; at < part.length; at += 1) {
      const code = part.charCodeAt(at);
      if (isInString) {
        if (isEscaped) isEscaped = false;
        else if (code === BACKSLASH) isEscaped = true;
        else if (code === QUOTE) isInString = false;
      } else if (code === QUOTE) isInString = true;
      else if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
        depth += 1;
        if (depth === 2) isInItems = code === OPEN_ARRAY;
        if (depth === 3 && isInItems) {
          rest += part.slice(from, at);
          from = at;
        }
      } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
        if (depth === 3 && isInItems) {
          rest += take(item + part.slice(from, at + 1));
          item = '';
          from = at + 1;
        }
        depth -= 1;
      }
    }
    if (depth < 3 || !isInItems) return rest + part.slice(from);
    item += part.slice(from);
    return rest;
  };
}

/**
 * The same value, in which each part that equals that part of the item before is that part itself. So what the items of a cluster have
 * in common (what Envoy Gateway writes, the time of a rollout) is in memory once.
 */
export function sharing<T>(value: T, before: unknown): T;
export function sharing(value: unknown, before: unknown): unknown {
  if (!isObject(value) || !isObject(before) || Array.isArray(value) !== Array.isArray(before)) {
    return value === before ? before : value;
  }
  const keys = Object.keys(value);
  let isSame = keys.length === Object.keys(before).length;
  for (const key of keys) {
    const part = Object.hasOwn(before, key) ? before[key] : undefined;
    value[key] = sharing(value[key], part);
    isSame &&= value[key] === part;
  }
  return isSame ? before : value;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
