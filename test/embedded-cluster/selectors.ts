import type { KubernetesObject } from './objects.ts';
import { badRequest } from './status.ts';

export type Selector = (object: KubernetesObject) => boolean;

/** A label selector of requirements `a` and `a=b`, joined by commas: what the product sends. */
export function labelSelector(text: string): Selector {
  const requirements = text === '' ? [] : text.split(',').map(requirementOf);
  return ({ metadata }) =>
    requirements.every(([key, value]) => {
      const label = metadata.labels?.[key];
      return value === undefined ? label !== undefined : label === value;
    });
}

function requirementOf(text: string): [key: string, value: string | undefined] {
  const match = /^([A-Za-z0-9][-A-Za-z0-9_./]*)(?:=([-A-Za-z0-9_.]*))?$/.exec(text);
  if (!match) throw badRequest(`unable to parse requirement: ${text}`);
  return [match[1] as string, match[2]];
}

/** A field selector `metadata.name=x`: what the product sends. */
export function fieldSelector(text: string): Selector {
  if (text === '') return () => true;
  const name = selectedName(text);
  if (name === undefined)
    throw badRequest(`"${text.split('=')[0]}" is not a known field selector: only "metadata.name"`);
  return ({ metadata }) => metadata.name === name;
}

/** The one name that a field selector allows. Authorization treats a list of it as a request for that name. */
export const selectedName = (text: string): string | undefined => /^metadata\.name=([^,=!]+)$/.exec(text)?.[1];
