import { isDeepStrictEqual } from 'node:util';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import { apiClient, type ClusterConnection, resourcePath } from './api-client.ts';

/** A ClusterRole or a ClusterRoleBinding, as it is to be. */
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
   * The difference to the cluster, from the API server (a dry run).
   *
   * @param wanted false for an object that is to be deleted
   */
  plan(object: RbacObject, wanted: boolean): Promise<'create' | 'update' | 'delete' | 'none'>;
  /** By server-side apply: what others have added to the object stays. */
  apply(object: RbacObject): Promise<void>;
  /** Succeeds also without such an object. */
  delete(object: RbacObject): Promise<void>;
  /** Closes the connections. */
  close(): void;
}

/** @param timeout milliseconds that one request may take */
export function rbacStore(connection: ClusterConnection, timeout: number): RbacStore {
  const { send, read, close } = apiClient(connection, timeout);

  const request = (method: 'GET' | 'DELETE', object: RbacObject) => ({ method, path: pathOf(object) });

  const applied = (body: RbacObject, dryRun: boolean): Promise<unknown> =>
    send({
      method: 'PATCH',
      path: pathOf(body),
      // The name is ours: changes to fields of the manifest are overwritten, and the person has been shown that.
      query: { fieldManager: OWN_MANAGER, force: 'true', dryRun: dryRun ? 'All' : undefined },
      contentType: 'application/apply-patch+yaml',
      body,
    });

  return {
    async plan(object, wanted) {
      const current = await read(request('GET', object));
      if (!wanted) return current === undefined ? 'none' : 'delete';
      if (current === undefined) return 'create';
      return isDeepStrictEqual(content(current), content(await applied(object, true))) ? 'none' : 'update';
    },
    async apply(object) {
      await applied(object, false);
    },
    async delete(object) {
      await read(request('DELETE', object));
    },
    close,
  };
}

const pathOf = ({ apiVersion, kind, metadata }: RbacObject) =>
  resourcePath(apiVersion, `${kind.toLowerCase()}s`, undefined, metadata.name);

/** An object without the fields that every write changes. */
function content(body: unknown): unknown {
  const { metadata, ...rest } = body as { metadata: Record<string, unknown> };
  const { managedFields: _, resourceVersion: __, ...meta } = metadata;
  return { ...rest, metadata: meta };
}
