import type { KubernetesObject } from './objects.ts';
import { badRequest } from './status.ts';

export type Selector = (object: KubernetesObject) => boolean;

/** A label selector (`a`, `!a`, `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, joined by commas). */
export function labelSelector(text: string): Selector {
  // A comma inside parentheses separates values, not requirements.
  const requirements =
    text.trim() === '' ? [] : text.split(/,(?![^(]*\))/).map((part) => labelRequirement(part.trim()));
  return ({ metadata }) => requirements.every((matches) => matches(metadata.labels ?? {}));
}

type Requirement = (labels: Record<string, string>) => boolean;

function labelRequirement(text: string): Requirement {
  const name = '[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?';
  const exists = new RegExp(`^(!?)\\s*(${name})$`).exec(text);
  if (exists) {
    const [, not, key = ''] = exists;
    return (labels) => Object.hasOwn(labels, key) !== (not === '!');
  }
  const equals = new RegExp(`^(${name})\\s*(==?|!=)\\s*([-A-Za-z0-9_.]*)$`).exec(text);
  if (equals) {
    const [, key = '', operator, value] = equals;
    return (labels) => (labels[key] === value) !== (operator === '!=');
  }
  const within = new RegExp(`^(${name})\\s+(in|notin)\\s*\\(([^()]*)\\)$`).exec(text);
  if (within) {
    const [, key = '', operator, list = ''] = within;
    const values = list.split(',').map((value) => value.trim());
    return (labels) => (Object.hasOwn(labels, key) && values.includes(labels[key] ?? '')) !== (operator === 'notin');
  }
  throw badRequest(`unable to parse requirement: ${text === '' ? "found '', expected: identifier" : text}`);
}

const selectable: Record<string, (object: KubernetesObject) => string> = {
  'metadata.name': ({ metadata }) => metadata.name,
  'metadata.namespace': ({ metadata }) => metadata.namespace ?? '',
};

interface FieldRequirement {
  field: string;
  operator: string;
  value: string;
}

function fieldRequirements(text: string): FieldRequirement[] {
  return text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const match = /^([^=!]+)(==?|!=)(.*)$/.exec(part);
      if (!match) throw badRequest(`invalid selector: '${text}'; can't understand '${part}'`);
      const [, field = '', operator = '', value = ''] = match;
      return { field, operator, value };
    });
}

/** A field selector over `metadata.name` and `metadata.namespace`, the only fields that every resource can select. */
export function fieldSelector(text: string): Selector {
  const requirements = fieldRequirements(text).map(({ field, operator, value }): Selector => {
    const read = selectable[field];
    if (!read) {
      throw badRequest(`"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`);
    }
    return (object) => (read(object) === value) !== (operator === '!=');
  });
  return (object) => requirements.every((matches) => matches(object));
}

/** The one name that a field selector allows. Authorization treats a list of it as a request for that name. */
export function selectedName(text: string): string | undefined {
  try {
    return fieldRequirements(text).find(({ field, operator }) => field === 'metadata.name' && operator !== '!=')?.value;
  } catch {
    return undefined;
  }
}
