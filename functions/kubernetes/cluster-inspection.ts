import * as z from 'zod/mini';
import { SCHEMAS } from '../judgement/kubernetes-objects.ts';
import { ForeignAnswerError, RetryableError } from '../platform/errors.ts';
import { formatZodIssues } from '../platform/schema.ts';
import { type ApiRequest, apiClient, type ClusterConnection } from './api-client.ts';

/** One request that a role must allow, with the fields of a SubjectAccessReview. */
export interface Permission {
  /** Empty for the core group. */
  readonly group: string;
  /** The plural name. */
  readonly resource: string;
  readonly verb: string;
  /** The only name that is allowed; absent for all. */
  readonly name?: string;
}

const permissions = (group: string, resources: readonly string[], verbs: readonly string[], name?: string) =>
  resources.flatMap((resource) => verbs.map((verb): Permission => ({ group, resource, verb, name })));

/** The Kubernetes group of the access entries, which `infra/kubernetes/rbac.yaml` authorizes. */
export const REAPER_GROUP = 'envoy-hpa-reaper';

/** The permissions of the functions. Together they are `infra/kubernetes/rbac.yaml`, as a test checks. */
export const PERMISSIONS = {
  /** For judging a cluster. */
  scan: [
    ...permissions('autoscaling', ['horizontalpodautoscalers'], ['list']),
    ...permissions('apps', ['deployments'], ['get']),
    ...permissions('gateway.networking.k8s.io', ['gateways', 'gatewayclasses'], ['list']),
    ...permissions('gateway.envoyproxy.io', ['envoyproxies'], ['list']),
    ...permissions('', ['configmaps'], ['list'], 'envoy-gateway-config'),
  ],
  /** For deleting stale HPAs. */
  reap: permissions('autoscaling', ['horizontalpodautoscalers'], ['get', 'patch', 'delete']),
  /** For Events of the owners of deleted HPAs; nothing fails without them. */
  events: permissions('', ['events'], ['create', 'patch']),
};

export type ClusterInspection = ReturnType<typeof clusterInspection>;

const versionSchema = z.looseObject({ gitVersion: z.string() });
const reviewSchema = z.looseObject({ status: z.looseObject({ allowed: z.boolean() }) });
const groupSchema = z.looseObject({ versions: z.array(z.looseObject({ version: z.string() })) });
const deploymentListSchema = z.looseObject({ items: z.array(SCHEMAS.Deployment) });

const CONTROLLERS = { query: { labelSelector: 'control-plane=envoy-gateway' } };

/**
 * What only `doctor` reads from an API server. Nothing is written: reviews are answered and stored nowhere.
 *
 * Every call throws what {@link apiClient} throws, and {@link RetryableError} for an answer of an unknown shape.
 *
 * @param timeout milliseconds for one request
 */
export function clusterInspection(connection: ClusterConnection, timeout = 10_000) {
  const { send, read } = apiClient(connection, timeout);

  /** @returns `undefined` for a GET of what does not exist */
  async function request<Schema extends z.ZodMiniType>(path: string, schema: Schema, sent: Partial<ApiRequest> = {}) {
    const answer = sent.body
      ? await send({ method: 'POST', path, ...sent })
      : await read({ method: 'GET', path, ...sent });
    if (answer === undefined) return undefined;
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    throw new RetryableError(`the answer of ${path} has an unknown shape: ${formatZodIssues(parsed.error, 'it')}`);
  }

  async function denied(kind: string, subject: object, permissions: readonly Permission[]): Promise<Permission[]> {
    const path = `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`;
    const reviews = await Promise.all(
      permissions.map((resourceAttributes) => {
        const spec = { ...subject, resourceAttributes };
        return request(path, reviewSchema, { body: { apiVersion: 'authorization.k8s.io/v1', kind, spec } });
      }),
    );
    return permissions.filter((_, index) => !reviews[index]?.status.allowed);
  }

  return {
    /** The URL of the API server: `https://host:port`. */
    server: connection.server,
    /** `v1.34.2` */
    async version(): Promise<string> {
      const version = await request('/version', versionSchema);
      if (version !== undefined) return version.gitVersion;
      throw new ForeignAnswerError(`something other than a Kubernetes API server answers at ${connection.server}`);
    },
    /** Those of the permissions that the user of the connection does not have, at the cluster scope. */
    deniedToMe: (permissions: readonly Permission[]) => denied('SelfSubjectAccessReview', {}, permissions),
    /** Those that the members of a group do not have. Requires create on subjectaccessreviews. */
    deniedToGroup: (group: string, permissions: readonly Permission[]) =>
      denied('SubjectAccessReview', { groups: [group] }, permissions),
    /** The versions of an API group, the preferred one first; none for an unknown group. */
    servedVersions: async (group: string) =>
      (await request(`/apis/${group}`, groupSchema))?.versions.map(({ version }) => version) ?? [],
    /** The Deployments of Envoy Gateway itself, by the label of its Helm chart, the same from v1.3 to v1.9. */
    controllers: async () =>
      (await request('/apis/apps/v1/deployments', deploymentListSchema, CONTROLLERS))?.items ?? [],
  };
}
