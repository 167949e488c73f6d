const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Parses a List, and passes on each item before it parses the next one. So what is not kept of an item is garbage at once, which
 * costs less to collect than the objects of a whole page.
 *
 * @param onItem called for each item that is an object
 * @returns the List with `null` in place of these items
 * @throws {SyntaxError} for text that is not JSON
 */
export function parseList(text: string, onItem: (item: unknown) => void): unknown {
  const rest: string[] = [];
  let restFrom = 0;
  let itemFrom = 0;
  let depth = 0;
  let isInItems = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      depth += 1;
      if (depth === 2) isInItems = code === OPEN_ARRAY;
      if (depth === 3) itemFrom = at;
    } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      if (depth === 3 && isInItems) {
        onItem(JSON.parse(text.slice(itemFrom, at + 1)));
        rest.push(text.slice(restFrom, itemFrom), 'null');
        restFrom = at + 1;
      }
      depth -= 1;
    }
  }
  return JSON.parse(rest.join('') + text.slice(restFrom));
}

/** The index of the quote that ends the string, or the length of a text without one. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at;
  }
  return text.length;
}
