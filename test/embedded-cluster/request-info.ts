import { selectedName } from './lists.ts';

/** What a request is about, as authorization and the audit log see it (`RequestInfo` of k8s.io/apiserver). */
export interface RequestInfo {
  verb: string;
  path: string;
  isResourceRequest: boolean;
  group: string;
  version: string;
  resource: string;
  subresource?: string;
  namespace?: string;
  name?: string;
}

export function requestInfo(method: string, { pathname: path, searchParams }: URL): RequestInfo {
  const [root, ...afterRoot] = path.split('/').filter(Boolean).map(decodeURIComponent);
  const [group, version, ...rest] = root === 'api' ? ['', ...afterRoot] : afterRoot;
  if ((root !== 'api' && root !== 'apis') || group === undefined || version === undefined || rest.length === 0) {
    return { verb: method.toLowerCase(), path, isResourceRequest: false, group: '', version: '', resource: '' };
  }
  const isNamespaced = rest[0] === 'namespaces' && rest.length > 2;
  const [resource = '', named, subresource] = isNamespaced ? rest.slice(2) : rest;
  // A namespace is in itself.
  const namespace = isNamespaced || resource === 'namespaces' ? rest[1] : undefined;
  const name = named ?? (method === 'GET' ? selectedName(searchParams) : undefined);
  const verb = verbOf(method, named !== undefined);
  return { verb, path, isResourceRequest: true, group, version, resource, subresource, namespace, name };
}

function verbOf(method: string, isNamed: boolean): string {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return isNamed ? 'delete' : 'deletecollection';
    default:
      return isNamed ? 'get' : 'list';
  }
}
