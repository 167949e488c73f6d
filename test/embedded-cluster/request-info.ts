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
  const [root, ...afterRoot] = path.split('/').filter(Boolean).map(decodeURIComponent);
  const [group, version, ...rest] = root === 'api' ? ['', ...afterRoot] : afterRoot;
  if ((root !== 'api' && root !== 'apis') || group === undefined || version === undefined || rest.length === 0) {
    return { verb: method.toLowerCase(), path, isResourceRequest: false, group: '', version: '', resource: '' };
  }
  const isNamespaced = rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'status';
  const [resource = '', named, subresource] = isNamespaced ? rest.slice(2) : rest;
  return {
    verb: verbOf(method, named !== undefined),
    path,
    isResourceRequest: true,
    group,
    version,
    resource,
    subresource,
    // A namespace is in itself.
    namespace: isNamespaced || resource === 'namespaces' ? rest[1] : undefined,
    name: named ?? (method === 'GET' ? selectedName(url.searchParams) : undefined),
  };
}

/** The name in a field selector `metadata.name=x`. Authorization treats such a list as a request for that name. */
export const selectedName = (query: URLSearchParams): string | undefined =>
  /^metadata\.name=([^,=!]+)$/.exec(query.get('fieldSelector') ?? '')?.[1];

function verbOf(method: string, isNamed: boolean): string {
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
      return isNamed ? 'get' : 'list';
  }
}
