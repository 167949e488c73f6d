import * as z from 'zod/mini';
import { type Deployment, deploymentSchema } from '../judgement/kubernetes-objects.ts';
import { RetryableError } from '../platform/errors.ts';
import { formatZodIssues } from '../platform/schema.ts';
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
  const { send, read } = apiClient(connection, timeout);

  function checked<Schema extends z.ZodMiniType>(path: string, schema: Schema, body: unknown) {
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new RetryableError(
      `${path} was answered in an unknown shape: ${formatZodIssues(parsed.error, '(the answer)')}`,
    );
  }

  const get = async <Schema extends z.ZodMiniType>(path: string, schema: Schema, labelSelector?: string) =>
    checked(path, schema, await send({ method: 'GET', path, query: { labelSelector } }));

  async function denied(kind: string, subject: object, permissions: readonly Permission[]): Promise<Permission[]> {
    const isAllowed = await Promise.all(
      permissions.map(async (resourceAttributes) => {
        const path = `${REVIEWS}/${kind.toLowerCase()}s`;
        const body = { apiVersion: 'authorization.k8s.io/v1', kind, spec: { ...subject, resourceAttributes } };
        return checked(path, reviewSchema, await send({ method: 'POST', path, body })).status.allowed;
      }),
    );
    return permissions.filter((_, index) => !isAllowed[index]);
  }

  return {
    server: connection.server,
    version: async () => (await get('/version', versionSchema)).gitVersion,
    deniedToMe: (permissions) => denied('SelfSubjectAccessReview', {}, permissions),
    deniedToGroup: (group, permissions) => denied('SubjectAccessReview', { groups: [group] }, permissions),
    async servedVersions(group) {
      const path = `/apis/${group}`;
      const body = await read({ method: 'GET', path });
      return body === undefined ? [] : checked(path, groupSchema, body).versions.map(({ version }) => version);
    },
    controllers: async () => (await get('/apis/apps/v1/deployments', deploymentListSchema, CONTROLLER_LABEL)).items,
  };
}
