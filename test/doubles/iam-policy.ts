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
  Effect: 'Allow' | 'Deny';
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
      ...['!Equals', '!Not', '!If'].map((tag) => ({
        tag,
        collection: 'seq' as const,
        resolve: () => undefined as never,
      })),
    ],
  });
  // What comes from another file, infra/policies.yml, is what AWS does in the name of the role.
  const policies: (string | { PolicyDocument: { Statement: Statement[] } })[] = Resources[role].Properties.Policies;
  return policies.flatMap((policy) => (typeof policy === 'string' ? [] : policy.PolicyDocument.Statement));
}

const list = <T>(value: OneOrMore<T>): readonly T[] => (Array.isArray(value) ? value : [value as T]);

/** @returns the statements that allow the call, or deny it, as may be */
export const allowing = (statements: readonly Statement[], { action, resource, context }: RecordedCall): Statement[] =>
  statements.filter(
    ({ Action, Resource, Condition = {} }) =>
      list(Action).includes(action) &&
      list(Resource).some((pattern) => matchesPattern(pattern, resource)) &&
      Object.entries(Condition).every(([operator, keys]) =>
        Object.entries(keys).every(([key, expected]) => holds(operator, context[key], list(expected))),
      ),
  );

/** As IAM decides within an account: by what the caller's policy allows, unless the policy of the resource denies it. */
export function isAllowed(
  ofCaller: readonly Statement[],
  ofResource: readonly Statement[],
  call: RecordedCall,
): boolean {
  const allows = ofCaller.filter(({ Effect }) => Effect === 'Allow');
  const denies = ofResource.filter(({ Effect }) => Effect === 'Deny');
  return allowing(allows, call).length > 0 && allowing(denies, call).length === 0;
}

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
    // True of a key that is not there, too.
    case 'StringNotEquals':
    case 'ArnNotEquals':
      return !(actual ?? []).some(isExpected);
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
