import { readFileSync } from 'node:fs';
import { parse, type ScalarTag } from 'yaml';

/** A call as IAM sees it: the action, the resource that it is about, and the condition keys of the request. */
export interface RecordedCall {
  action: string;
  resource: string;
  context: Readonly<Record<string, readonly string[]>>;
}

type OneOrMore<T> = T | readonly T[];
type Condition = Record<string, Record<string, OneOrMore<string>>>;

export interface Statement {
  Sid: string;
  Effect: 'Allow';
  Action: OneOrMore<string>;
  Resource: OneOrMore<string>;
  Condition?: Condition;
}

/**
 * The statements of a role in one of the files of infra/, with what CloudFormation would put in.
 *
 * @param values of `!Ref X` and `!Sub ${X}` by `X`, of `!GetAtt X.Arn` by `X.Arn`
 */
export function statementsOf(file: string, role: string, values: Readonly<Record<string, string>>): Statement[] {
  // What stands in other resources of the file matches nothing.
  const value = (name: string) => values[name] ?? `(no value for ${name})`;
  const scalar = (tag: string, resolve: (text: string) => string): ScalarTag => ({ tag, resolve });
  const { Resources } = parse(readFileSync(file, 'utf8'), {
    customTags: [
      scalar('!Ref', value),
      scalar('!GetAtt', value),
      scalar('!Sub', (text) => text.replace(/\$\{([^}]+)\}/g, (_, name) => value(name))),
      { tag: '!Equals', collection: 'seq', resolve: () => undefined as never },
    ],
  });
  return Resources[role].Properties.Policies.flatMap(
    ({ PolicyDocument }: { PolicyDocument: { Statement: Statement[] } }) => PolicyDocument.Statement,
  );
}

const list = <T>(value: OneOrMore<T>): readonly T[] => (Array.isArray(value) ? value : [value as T]);

/** @returns the statements that allow the call */
export const allowing = (statements: readonly Statement[], { action, resource, context }: RecordedCall): Statement[] =>
  statements.filter(
    ({ Action, Resource, Condition = {} }) =>
      list(Action).includes(action) &&
      list(Resource).some((pattern) => matchesPattern(pattern, resource)) &&
      Object.entries(Condition).every(([operator, keys]) =>
        Object.entries(keys).every(([key, expected]) => holds(operator, context[key], list(expected))),
      ),
  );

function holds(operator: string, actual: readonly string[] | undefined, expected: readonly string[]): boolean {
  const isExpected = (one: string) => expected.includes(one);
  switch (operator) {
    case 'Null':
      return String(actual === undefined) === expected[0];
    // True of nothing at all, too.
    case 'ForAllValues:StringEquals':
      return (actual ?? []).every(isExpected);
    case 'StringEquals':
    case 'ArnEquals':
      return actual?.length === 1 && actual.every(isExpected);
    case 'StringEqualsIfExists':
    case 'ArnEqualsIfExists':
      return actual === undefined || actual.every(isExpected);
    default:
      throw new Error(`${operator} is not evaluated`);
  }
}

/** IAM's wildcard stands for any characters, parts of an ARN included. */
function matchesPattern(pattern: string, text: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(text);
}
