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

export const list = <T>(value: OneOrMore<T>): readonly T[] => (Array.isArray(value) ? value : [value as T]);

/** @returns the statements that allow the call, or deny it, as may be */
export const allowing = (statements: readonly Statement[], { action, resource, context }: RecordedCall): Statement[] =>
  statements.filter(
    ({ Action, Resource, Condition = {} }) =>
      list(Action).some((pattern) => matchOf(pattern, action)) &&
      list(Resource).some((pattern) => matchOf(pattern, resource)) &&
      Object.entries(Condition).every(([operator, keys]) =>
        Object.entries(keys).every(([key, expected]) => holds(operator, context[key], list(expected))),
      ),
  );

/**
 * What the statements allow and none of the calls made use of: an action on a resource, or a value of a condition.
 *
 * @returns each as `Sid action resource` or `Sid condition key value`
 */
export function unusedParts(statements: readonly Statement[], calls: readonly RecordedCall[]): string[] {
  return statements.flatMap((statement) => {
    const { Sid, Action, Resource, Condition = {} } = statement;
    const uses = calls.filter((call) => allowing([statement], call).length > 0);
    const actions = list(Action).flatMap((action) =>
      list(Resource)
        .filter((pattern) => !uses.some((use) => use.action === action && matchOf(pattern, use.resource)))
        .map((pattern) => `${Sid} ${action} ${pattern}`),
    );
    const values = Object.entries(Condition)
      .filter(([operator]) => operator !== 'Null')
      .flatMap(([operator, keys]) =>
        Object.entries(keys).flatMap(([key, expected]) =>
          list(expected)
            .filter((value) => !uses.some(({ context }) => context[key]?.includes(value)))
            .map((value) => `${Sid} ${operator} ${key} ${value}`),
        ),
      );
    return [...actions, ...values];
  });
}

/**
 * The resources with a wildcard that stood for the same in every call: that could be written out.
 *
 * @returns each as `Sid resource`, with what the wildcard stood for in braces in its place
 */
export const needlessWildcards = (statements: readonly Statement[], calls: readonly RecordedCall[]): string[] =>
  statements.flatMap((statement) => {
    const uses = calls.filter((call) => allowing([statement], call).length > 0);
    return list(statement.Resource).flatMap((pattern) => {
      const [first, ...others] = uses
        .map(({ resource }) => matchOf(pattern, resource))
        .filter((match) => match !== undefined);
      if (pattern === '*' || first === undefined) return [];
      let wildcard = -1;
      const told = pattern.replaceAll('*', () => {
        wildcard += 1;
        return others.every((match) => match[wildcard] === first[wildcard]) ? `{${first[wildcard]}}` : '*';
      });
      return told === pattern ? [] : [`${statement.Sid} ${told}`];
    });
  });

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
    case 'ArnLike':
      return (actual ?? []).some((one) => expected.some((pattern) => matchOf(pattern, one)));
    default:
      throw new Error(`${operator} is not evaluated`);
  }
}

/**
 * IAM's wildcard stands for any characters, parts of an ARN included.
 *
 * @returns what each wildcard stands for; `undefined` where the pattern does not fit
 */
function matchOf(pattern: string, text: string): string[] | undefined {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('(.*)')}$`).exec(text)?.slice(1);
}
