import type { RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import * as z from 'zod/mini';
import { type Deployment, deploymentSchema } from '../judgement/kubernetes-objects.ts';
import { RetryableError } from '../platform/errors.ts';
import { apiClient, type ClusterConnection } from './api-client.ts';
import type { Permission } from './permissions.ts';

/**
 * What only the command line asks of an API server, to see whether the links to it hold. Nothing is written: a review is
 * posted, and stored nowhere.
 *
 * Every call throws what {@link apiClient} throws, and {@link RetryableError} for an answer that is not understood.
 */
export interface ClusterInspection {
  /** Where the API server is: `https://host:port`. */
  readonly server: string;
  /** `v1.34.2` */
  version(): Promise<string>;
  /** Which of these whoever asks may not do, at the cluster scope. */
  deniedToMe(permissions: readonly Permission[]): Promise<Permission[]>;
  /** Which of these the members of a group may not do. To ask takes a right of its own. */
  deniedToGroup(group: string, permissions: readonly Permission[]): Promise<Permission[]>;
  /** The versions of an API group, the preferred one first; none where the group is not known. */
  servedVersions(group: string): Promise<string[]>;
  /** The Deployments that run Envoy Gateway itself, by the label of its Helm chart, the same from v1.3 to v1.9. */
  controllers(): Promise<Deployment[]>;
}

const versionSchema = z.looseObject({ gitVersion: z.string() });
const reviewSchema = z.looseObject({ status: z.looseObject({ allowed: z.boolean() }) });
const groupSchema = z.looseObject({ versions: z.array(z.looseObject({ version: z.string() })) });
const deploymentListSchema = z.looseObject({ items: z.array(deploymentSchema) });

const CONTROLLER_LABEL = 'control-plane=envoy-gateway';
const REVIEWS = '/apis/authorization.k8s.io/v1';

/** @param timeout milliseconds that one request may take */
export function clusterInspection(connection: ClusterConnection, timeout = 10_000): ClusterInspection {
  const { server, send, read } = apiClient(connection, timeout);

  function checked<Schema extends z.ZodMiniType>(context: RequestContext, schema: Schema, body: unknown) {
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    const path = new URL(context.getUrl()).pathname;
    throw new RetryableError(`${path} was answered in an unknown shape: ${issue?.path.join('.')}: ${issue?.message}`);
  }

  const requestOf = (method: 'GET' | 'POST', path: string) => server.makeRequestContext(path, method);

  /** `undefined` where there is no such thing. */
  async function find<Schema extends z.ZodMiniType>(path: string, schema: Schema) {
    const context = requestOf('GET', path);
    const body = await read(context);
    return body === undefined ? undefined : checked(context, schema, body);
  }

  async function denied(kind: string, subject: object, permissions: readonly Permission[]): Promise<Permission[]> {
    const isAllowed = await Promise.all(
      permissions.map(async (resourceAttributes) => {
        const context = requestOf('POST', `${REVIEWS}/${kind.toLowerCase()}s`);
        context.setHeaderParam('Content-Type', 'application/json');
        const review = { apiVersion: 'authorization.k8s.io/v1', kind, spec: { ...subject, resourceAttributes } };
        context.setBody(JSON.stringify(review));
        return checked(context, reviewSchema, await send(context)).status.allowed;
      }),
    );
    return permissions.filter((_, index) => !isAllowed[index]);
  }

  return {
    server: connection.server,
    async version() {
      const context = requestOf('GET', '/version');
      return checked(context, versionSchema, await send(context)).gitVersion;
    },
    deniedToMe: (permissions) => denied('SelfSubjectAccessReview', {}, permissions),
    deniedToGroup: (group, permissions) => denied('SubjectAccessReview', { groups: [group] }, permissions),
    async servedVersions(group) {
      const found = await find(`/apis/${group}`, groupSchema);
      return found?.versions.map(({ version }) => version) ?? [];
    },
    async controllers() {
      const context = requestOf('GET', '/apis/apps/v1/deployments');
      context.setQueryParam('labelSelector', CONTROLLER_LABEL);
      return checked(context, deploymentListSchema, await send(context)).items;
    },
  };
}
