type Condition = (json: unknown) => boolean;

/**
 * Evaluates a JSON filter pattern of CloudWatch Logs ("Filter pattern syntax for metric filters, subscription filters,
 * filter log events, and Live Tail" in its user guide), as far as the product's pattern goes: `&&` before `||`,
 * parentheses, `=` and `!=` on strings with `*` as wildcard, `=`, `>=` and `<` on numbers, `NOT EXISTS`. A comparison with
 * a field that is missing or of another type is false.
 *
 * @throws {SyntaxError} for a pattern that is not in this grammar
 */
export function parseFilterPattern(pattern: string): (line: string) => boolean {
  const token = /\s*(&&|\|\||!=|>=|=|<|[(){}]|NOT EXISTS|"[^"]*"|\$[-.\w]+|\d+)\s*/y;
  const tokens: string[] = [];
  while (token.lastIndex < pattern.length) {
    const at = token.lastIndex;
    const found = token.exec(pattern)?.[1];
    if (found === undefined) throw new SyntaxError(`not in the grammar, at ${at}: ${pattern.slice(at, at + 20)}`);
    tokens.push(found);
  }
  const next = (): string => tokens.shift() ?? '';
  const take = (expected: string): boolean => tokens[0] === expected && next() === expected;
  const require = (expected: string): void => {
    if (!take(expected)) throw new SyntaxError(`expected ${expected}, found ${tokens[0] ?? 'the end'}`);
  };

  function parseSides(operator: '||' | '&&'): Condition {
    const parseSide = operator === '||' ? () => parseSides('&&') : parseTerm;
    const sides = [parseSide()];
    while (take(operator)) sides.push(parseSide());
    return operator === '||' ? (json) => sides.some((side) => side(json)) : (json) => sides.every((side) => side(json));
  }

  function parseTerm(): Condition {
    if (take('(')) {
      const inner = parseSides('||');
      require(')');
      return inner;
    }
    const path = next().split('.');
    if (path.shift() !== '$') throw new SyntaxError(`expected a selector before ${tokens.join(' ')}`);
    const select = (json: unknown) =>
      path.reduce<unknown>(
        (value, key) => (isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined),
        json,
      );
    if (take('NOT EXISTS')) return (json) => select(json) === undefined;
    const compare = comparison(next(), next());
    return (json) => compare(select(json));
  }

  require('{');
  const condition = parseSides('||');
  require('}');
  if (tokens.length > 0) throw new SyntaxError(`expected the end, found ${tokens[0]}`);
  return (line) => {
    try {
      return condition(JSON.parse(line));
    } catch {
      return false; // A JSON pattern matches no line that is not JSON.
    }
  };
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function comparison(operator: string, operand: string): Condition {
  if (operand.startsWith('"')) {
    const pieces = operand
      .slice(1, -1)
      .split('*')
      .map((piece) => piece.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    const wildcard = new RegExp(`^${pieces.join('.*')}$`, 's');
    if (operator === '=') return (value) => typeof value === 'string' && wildcard.test(value);
    if (operator === '!=') return (value) => typeof value === 'string' && !wildcard.test(value);
  } else if (/^\d+$/.test(operand)) {
    const number = Number(operand);
    if (operator === '=') return (value) => value === number;
    if (operator === '>=') return (value) => typeof value === 'number' && value >= number;
    if (operator === '<') return (value) => typeof value === 'number' && value < number;
  }
  throw new SyntaxError(`no comparison: ${operator} ${operand}`);
}
