import { isDeepStrictEqual } from 'node:util';
import { apiClient, apiPath, type ClusterConnection } from './api-client.ts';

/** The desired ClusterRole or ClusterRoleBinding. */
export interface RbacObject {
  readonly apiVersion: 'rbac.authorization.k8s.io/v1';
  readonly kind: 'ClusterRole' | 'ClusterRoleBinding';
  readonly metadata: { readonly name: string };
}

/**
 * Each call throws {@link ApiStatusError} if the API server refuses this object, {@link ClusterSkippedError} if it does not
 * authorize us, and {@link RetryableError} if it gives no answer now.
 */
export interface RbacStore {
  /**
   * The change that is needed, from a dry run.
   *
   * @param wanted false for an object that is to be deleted
   */
  plan(object: RbacObject, wanted: boolean): Promise<'create' | 'update' | 'delete' | 'none'>;
  /** By server-side apply: fields that others have added stay. */
  apply(object: RbacObject): Promise<void>;
  /** Also succeeds without such an object. */
  delete(object: RbacObject): Promise<void>;
  close(): void;
}

/** @param timeout milliseconds that one request may take */
export function rbacStore(connection: ClusterConnection, timeout: number): RbacStore {
  const { send, read, close } = apiClient(connection, timeout);

  const pathOf = ({ apiVersion, kind, metadata }: RbacObject) =>
    apiPath(apiVersion, `${kind.toLowerCase()}s`, { name: metadata.name });
  const applied = (object: RbacObject, dryRun?: 'All') =>
    send({
      method: 'PATCH',
      path: pathOf(object),
      // The name is ours: changes to fields of the manifest are overwritten, and the person has been shown that.
      query: { force: 'true', dryRun },
      contentType: 'application/apply-patch+yaml',
      body: object,
    });

  return {
    async plan(object, wanted) {
      const current = await read({ path: pathOf(object) });
      if (!wanted) return current === undefined ? 'none' : 'delete';
      if (current === undefined) return 'create';
      return isDeepStrictEqual(content(current), content(await applied(object, 'All'))) ? 'none' : 'update';
    },
    async apply(object) {
      await applied(object);
    },
    async delete(object) {
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
