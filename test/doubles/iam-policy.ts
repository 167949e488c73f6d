import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** A call that IAM authorizes: the action, its resource, and the condition keys of the request. */
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
 * The statements of a role in a file of infra/, with the values of its references.
 *
 * @param values of `!Ref X` and `!Sub ${X}` by `X`, of `!GetAtt X.Arn` by `X.Arn`
 */
export function statementsOf(file: string, role: string, values: Readonly<Record<string, string>>): Statement[] {
  // References in other resources of the file get a value that matches nothing.
  const value = (name: string) => values[name] ?? `(no value for ${name})`;
  const text = readFileSync(file, 'utf8')
    .replaceAll(/!(?:Ref|GetAtt) ([\w.:]+)/g, (_, name) => JSON.stringify(value(name)))
    .replaceAll(/\$\{([^}]+)\}/g, (_, name) => value(name));
  const { Resources } = parse(text, { logLevel: 'error' }); // Other tags have no meaning here.
  // The policies from infra/policies.yml are for what AWS does with the role.
  const policies: (string | { PolicyDocument: { Statement: Statement[] } })[] = Resources[role].Properties.Policies;
  return policies.flatMap((policy) => (typeof policy === 'string' ? [] : policy.PolicyDocument.Statement));
}

export const list = <T>(value: OneOrMore<T>): readonly T[] => (Array.isArray(value) ? value : [value as T]);

/** The statements that apply to the call: that allow it, or deny it. */
export const allowing = (statements: readonly Statement[], { action, resource, context }: RecordedCall): Statement[] =>
  statements.filter(
    ({ Action, Resource, Condition = {} }) =>
      list(Action).some((pattern) => matchOf(pattern, action)) &&
      list(Resource).some((pattern) => matchOf(pattern, resource)) &&
      Object.entries(Condition).every(([operator, keys]) =>
        Object.entries(keys).every(([key, expected]) => holds(operator, key, context[key], list(expected))),
      ),
  );

/**
 * The parts of statements that none of the calls needs: an action on a resource, or a value of a condition.
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
 * The resources with a wildcard that matched the same text in every call, which the statement could have instead.
 *
 * @returns each as `Sid resource`, with that text in braces in the place of the wildcard
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
      const written = pattern.replaceAll('*', () => {
        wildcard += 1;
        return others.every((match) => match[wildcard] === first[wildcard]) ? `{${first[wildcard]}}` : '*';
      });
      return written === pattern ? [] : [`${statement.Sid} ${written}`];
    });
  });

/** Decides as IAM does within an account: the policy of the caller allows it, and the policy of the resource does not deny it. */
export function isAllowed(
  ofCaller: readonly Statement[],
  ofResource: readonly Statement[],
  call: RecordedCall,
): boolean {
  const allows = ofCaller.filter(({ Effect }) => Effect === 'Allow');
  const denies = ofResource.filter(({ Effect }) => Effect === 'Deny');
  return allowing(allows, call).length > 0 && allowing(denies, call).length === 0;
}

/** The condition keys that can have several values in one request: type ArrayOfString in the Service Authorization Reference. */
const MULTIVALUED = ['events:source', 'events:detail-type', 'eks:kubernetesGroups', 'aws:TagKeys'];

/**
 * Evaluates one key of a condition.
 *
 * @throws {Error} for a key with several values and no set operator, whose result IAM does not define; and for the opposite
 */
function holds(operator: string, key: string, actual: readonly string[] = [], expected: readonly string[]): boolean {
  if (operator === 'Null') return String(actual.length === 0) === expected[0];
  const parts = /^(?:(ForAnyValue|ForAllValues):)?(String|Arn)(Not)?(?:Equals|Like)(IfExists)?$/.exec(operator);
  if (!parts) throw new Error(`${operator} is not evaluated`);
  const [, quantifier, type, not, ifExists] = parts;
  if ((quantifier !== undefined) !== MULTIVALUED.includes(key)) {
    throw new Error(`${operator} ${key}: a set operator is required for a key with several values, and for no other`);
  }
  // ArnEquals accepts wildcards like ArnLike.
  const hasWildcards = type === 'Arn' || operator.includes('Like');
  const passes = (value: string) =>
    expected.some((one) => (hasWildcards ? matchOf(one, value) !== undefined : one === value)) === (not === undefined);
  if (quantifier === 'ForAnyValue') return actual.some(passes);
  // Without a value, these are true: all values, IfExists, and negated operators.
  if (actual.length === 0) return (quantifier ?? not ?? ifExists) !== undefined;
  return actual.every(passes);
}

/**
 * IAM's wildcard matches any characters, across the parts of an ARN.
 *
 * @returns the text that each wildcard matches; `undefined` if the pattern does not match
 */
function matchOf(pattern: string, text: string): string[] | undefined {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('(.*)')}$`).exec(text)?.slice(1);
}
