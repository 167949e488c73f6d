import { selectedName } from './selectors.ts';

/** What a request is about, as authorization and the audit log see it (apiserver's `RequestInfo`). */
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

export function requestInfo(method: string, url: URL): RequestInfo {
  const path = url.pathname;
  const segments = path.split('/').filter(Boolean).map(decodeURIComponent);
  const [root, ...afterRoot] = segments;
  const [group, version, ...rest] = root === 'api' ? ['', ...afterRoot] : afterRoot;
  if ((root !== 'api' && root !== 'apis') || group === undefined || version === undefined || rest.length === 0) {
    return { verb: method.toLowerCase(), path, isResourceRequest: false, group: '', version: '', resource: '' };
  }
  const isNamespaced = rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'status';
  const [resource = '', named, subresource] = isNamespaced ? rest.slice(2) : rest;
  // A namespace lies in itself.
  const namespace = isNamespaced || resource === 'namespaces' ? rest[1] : undefined;
  const ofOne = method === 'POST' || method === 'PUT' || method === 'PATCH' || named !== undefined;
  const name = named ?? (ofOne ? undefined : selectedName(url.searchParams.get('fieldSelector') ?? ''));
  return {
    verb: verbOf(method, named !== undefined, url.searchParams),
    path,
    isResourceRequest: true,
    group,
    version,
    resource,
    subresource,
    namespace,
    name,
  };
}

function verbOf(method: string, isNamed: boolean, query: URLSearchParams): string {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return isNamed ? 'delete' : 'deletecollection';
    default:
      if (isNamed) return 'get';
      return /^(1|true)$/.test(query.get('watch') ?? '') ? 'watch' : 'list';
  }
}
