/**
 * Evaluates a JSON filter pattern of CloudWatch Logs ("Filter pattern syntax for metric filters, subscription filters,
 * filter log events, and Live Tail" in its user guide), as far as the product's pattern goes: `&&` before `||`,
 * parentheses, `=` and `!=` on strings with `*` as wildcard, `=`, `>=` and `<` on numbers, `NOT EXISTS`. A comparison with
 * a field that is missing or of another type is false.
 */
export type FilterPattern = (line: string) => boolean;

type Condition = (json: unknown) => boolean;

/** @throws {SyntaxError} for anything that is not in the grammar above */
export function parseFilterPattern(pattern: string): FilterPattern {
  const tokens = new Tokens(pattern);
  tokens.expect('{');
  const condition = parseOr(tokens);
  tokens.expect('}');
  tokens.expectEnd();
  return (line) => {
    try {
      return condition(JSON.parse(line));
    } catch {
      return false; // A JSON pattern matches no line that is not JSON.
    }
  };
}

function parseOr(tokens: Tokens): Condition {
  const sides = [parseAnd(tokens)];
  while (tokens.take('||')) sides.push(parseAnd(tokens));
  return (json) => sides.some((side) => side(json));
}

function parseAnd(tokens: Tokens): Condition {
  const sides = [parseTerm(tokens)];
  while (tokens.take('&&')) sides.push(parseTerm(tokens));
  return (json) => sides.every((side) => side(json));
}

function parseTerm(tokens: Tokens): Condition {
  if (tokens.take('(')) {
    const inner = parseOr(tokens);
    tokens.expect(')');
    return inner;
  }
  const select = parseSelector(tokens.next());
  if (tokens.take('NOT EXISTS')) return (json) => select(json) === undefined;
  const operator = tokens.next();
  const compare = parseComparison(operator, tokens.next());
  return (json) => compare(select(json));
}

function parseSelector(token: string): (json: unknown) => unknown {
  if (!token.startsWith('$.')) throw new SyntaxError(`expected a selector, found ${token}`);
  const path = token.slice(2).split('.');
  return (json) =>
    path.reduce<unknown>(
      (value, key) =>
        typeof value === 'object' && value !== null && Object.hasOwn(value, key)
          ? (value as Record<string, unknown>)[key]
          : undefined,
      json,
    );
}

function parseComparison(operator: string, operand: string): (value: unknown) => boolean {
  if (operand.startsWith('"')) {
    const pieces = operand.slice(1, -1).split('*').map(escapeRegExp);
    const wildcard = new RegExp(`^${pieces.join('.*')}$`, 's');
    if (operator === '=') return (value) => typeof value === 'string' && wildcard.test(value);
    if (operator === '!=') return (value) => typeof value === 'string' && !wildcard.test(value);
  } else if (/^\d+$/.test(operand)) {
    const number = Number(operand);
    if (operator === '=') return (value) => typeof value === 'number' && value === number;
    if (operator === '>=') return (value) => typeof value === 'number' && value >= number;
    if (operator === '<') return (value) => typeof value === 'number' && value < number;
  }
  throw new SyntaxError(`no comparison: ${operator} ${operand}`);
}

const escapeRegExp = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

class Tokens {
  readonly #tokens: string[];

  constructor(pattern: string) {
    const token = /\s*(&&|\|\||!=|>=|=|<|[(){}]|NOT EXISTS|"[^"]*"|\$[-.\w]+|\d+)\s*/y;
    this.#tokens = [];
    while (token.lastIndex < pattern.length) {
      const at = token.lastIndex;
      const found = token.exec(pattern)?.[1];
      if (found === undefined) throw new SyntaxError(`not in the grammar, at ${at}: ${pattern.slice(at, at + 20)}`);
      this.#tokens.push(found);
    }
  }

  next(): string {
    const token = this.#tokens.shift();
    if (token === undefined) throw new SyntaxError('the pattern ends too early');
    return token;
  }

  take(token: string): boolean {
    if (this.#tokens[0] !== token) return false;
    this.#tokens.shift();
    return true;
  }

  expect(token: string): void {
    if (!this.take(token)) throw new SyntaxError(`expected ${token}, found ${this.#tokens[0] ?? 'the end'}`);
  }

  expectEnd(): void {
    if (this.#tokens.length > 0) throw new SyntaxError(`expected the end, found ${this.#tokens[0]}`);
  }
}
