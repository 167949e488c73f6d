import { isDeepStrictEqual } from 'node:util';
import { apiClient, apiPath, type ClusterConnection } from './api-client.ts';

/** The desired ClusterRole or ClusterRoleBinding. */
export interface RbacObject {
  readonly apiVersion: 'rbac.authorization.k8s.io/v1';
  readonly kind: 'ClusterRole' | 'ClusterRoleBinding';
  readonly metadata: { readonly name: string };
}

/**
 * Each call throws {@link ApiStatusError} if the API server refuses this object, and what the methods of {@link ApiClient}
 * throw.
 *
 * @param timeout milliseconds for one request
 */
export function rbacStore(connection: ClusterConnection, timeout: number) {
  const { send, read, close } = apiClient(connection, timeout);
  const pathOf = ({ apiVersion, kind, metadata }: RbacObject) =>
    apiPath(apiVersion, `${kind.toLowerCase()}s`, { name: metadata.name });
  const applied = (object: RbacObject, dryRun?: 'All') => {
    // The name is ours: changes to fields of the manifest are overwritten, and the person has been shown that.
    const query = { force: 'true', dryRun };
    const contentType = 'application/apply-patch+yaml';
    return send({ method: 'PATCH', path: pathOf(object), query, contentType, body: object });
  };
  return {
    /**
     * The change that is needed, from a dry run.
     *
     * @param wanted false for an object to delete
     */
    async plan(object: RbacObject, wanted: boolean): Promise<'create' | 'update' | 'delete' | 'none'> {
      const current = await read({ path: pathOf(object) });
      if (!wanted) return current === undefined ? 'none' : 'delete';
      if (current === undefined) return 'create';
      return isDeepStrictEqual(content(current), content(await applied(object, 'All'))) ? 'none' : 'update';
    },
    /** By server-side apply: fields that others have added stay. */
    async apply(object: RbacObject): Promise<void> {
      await applied(object);
    },
    /** Also succeeds without such an object. */
    async delete(object: RbacObject): Promise<void> {
      await read({ method: 'DELETE', path: pathOf(object) });
    },
    close,
  };
}

/** An object without the fields that every write changes. */
function content(body: unknown): unknown {
  const { metadata, ...rest } = body as { metadata: Record<string, unknown> };
  const { managedFields: _, resourceVersion: __, ...meta } = metadata;
  return { ...rest, metadata: meta };
}
