import type { JsonObject } from './objects.ts';
import type { RequestInfo } from './request-info.ts';
import type { ResourceType } from './resource-types.ts';
import { methodNotAllowed, PageNotFound } from './status.ts';

/** The version that the embedded cluster says it is. */
const VERSION = { major: '1', minor: '34', gitVersion: 'v1.34.2', compiler: 'gc', platform: 'linux/amd64' };

/** Answers what is asked of the server itself and not of a resource: `/version` and `/apis/<group>`. */
export function discover({ path, verb }: RequestInfo, served: readonly ResourceType[]): JsonObject {
  if (path === '/version') {
    if (verb !== 'get') throw methodNotAllowed();
    return VERSION;
  }
  const name = /^\/apis\/([^/]+)$/.exec(path)?.[1];
  const versions = new Set(served.filter(({ group }) => group === name).map(({ version }) => version));
  const [preferred, ...others] = [...versions].map((version) => ({ groupVersion: `${name}/${version}`, version }));
  if (name === undefined || preferred === undefined) throw new PageNotFound();
  return {
    kind: 'APIGroup',
    apiVersion: 'v1',
    name,
    versions: [preferred, ...others],
    preferredVersion: preferred,
  };
}
