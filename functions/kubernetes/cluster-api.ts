import { createHash } from 'node:crypto';
import type { Snapshot } from '../judgement/cluster-index.ts';
import { CONFIG_MAP_NAME, type EnvoyGatewayConfig, readEnvoyGatewayConfig } from '../judgement/envoy-gateway-config.ts';
import * as k8s from '../judgement/kubernetes-objects.ts';
import { markedManagedFields, OWN_MANAGER, OWNING_SELECTORS } from '../judgement/ownership.ts';
import { ClusterSkippedError, ForeignAnswerError, RetryableError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import {
  type ApiRequest,
  ApiStatusError,
  apiClient,
  apiPath,
  type ClusterConnection,
  managedFieldsPatch,
  type WriteResult,
} from './api-client.ts';
import { checkedObject, KINDS, type Kind, projectedObject } from './kinds.ts';
import { sharing } from './list-items.ts';

/** The objects that decide which HPAs are wanted. */
type GatewayConfig = Pick<Snapshot, 'gatewayClasses' | 'gateways' | 'envoyProxies' | 'envoyGatewayConfigs'>;

const NO_CONFIG: GatewayConfig = { gatewayClasses: [], gateways: [], envoyProxies: [], envoyGatewayConfigs: [] };

/** Something that happened to an object, for `kubectl describe`. */
export interface ObjectEvent {
  readonly object: Record<'apiVersion' | 'kind' | 'name' | 'uid', string> & { readonly namespace?: string };
  readonly type: 'Normal' | 'Warning';
  /** In CamelCase. An object has one Event of each reason. */
  readonly reason: string;
  readonly message: string;
  readonly time: Date;
}

export type ClusterApi = ReturnType<typeof clusterApi>;

/**
 * The requests that this project sends to a Kubernetes API server, and no others (`infra/kubernetes/rbac.yaml` allows exactly
 * these). Responses stay the server's own JSON, checked and not converted.
 *
 * Every call throws what the calls of {@link ApiClient} throw, and {@link ClusterSkippedError} if the custom resources are
 * not installed.
 *
 * @param timeout milliseconds for one request; for a List, between two parts of the response
 */
export function clusterApi(connection: ClusterConnection, timeout = 10_000) {
  const client = apiClient(connection, timeout);

  const pathOf = (kind: Kind, names?: Partial<k8s.NamespacedName>) => {
    const { group, version, plural } = KINDS[kind];
    return apiPath(group === '' ? version : `${group}/${version}`, plural, names);
  };

  /** @param keep what is kept of an item, so that no more than one item is in memory whole */
  async function list<T>(
    kind: Kind,
    keep: (item: unknown) => T,
    query: ApiRequest['query'] = {},
    namespace?: string,
  ): Promise<T[]> {
    const path = pathOf(kind, { namespace });
    const objects: T[] = [];
    const onItem = (item: unknown) => void objects.push(sharing(keep(item), objects.at(-1)));
    let token: string | undefined;
    try {
      do {
        const before = objects.length;
        const answer = await client.send({ path, query: { ...query, continue: token }, onItem });
        const { metadata, items } = answer as { metadata?: { continue?: string }; items?: unknown };
        if (!Array.isArray(items) || items.length !== objects.length - before) {
          throw new RetryableError('a list was answered without items');
        }
        // A list without a limit has no token, unless something on the way sets one.
        token = metadata?.continue || undefined;
      } while (token !== undefined);
      return objects;
    } catch (error) {
      if (!(error instanceof ApiStatusError && error.code === 404)) throw error;
      if (kind === 'HorizontalPodAutoscaler') throw new ForeignAnswerError(error.message, { cause: error });
      const message = `${kind} is not known to this API server (${error.message})`;
      throw new ClusterSkippedError(problem('CustomResourcesNotInstalled', message), { cause: error });
    }
  }

  const listProjected = <K extends Kind>(kind: K) => list(kind, (item) => projectedObject(kind, item));

  // The items of a list have no apiVersion and kind, which a manifest to restore needs.
  const checkedHpa = (item: unknown): k8s.HorizontalPodAutoscaler => ({
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    ...checkedObject('HorizontalPodAutoscaler', item),
  });
  const hpaPath = ({ metadata }: k8s.HorizontalPodAutoscaler) => pathOf('HorizontalPodAutoscaler', metadata);

  // A ConfigMap hardly ever changes, and parsing its YAML is a good part of a sweep.
  const parsedConfigs = new Map<string, EnvoyGatewayConfig>();
  const parseOnce = (configMap: k8s.ConfigMap): EnvoyGatewayConfig => {
    const { namespace, uid, resourceVersion } = configMap.metadata;
    const known = parsedConfigs.get(namespace);
    const before = known?.configMap.metadata;
    if (known && before?.uid === uid && before?.resourceVersion === resourceVersion) return known;
    const config = readEnvoyGatewayConfig(configMap);
    parsedConfigs.set(namespace, config);
    return config;
  };

  async function readConfig(known?: k8s.GatewayClass[]): Promise<GatewayConfig> {
    const [gatewayClasses, gateways, envoyProxies, configMaps] = await Promise.all([
      known ?? listProjected('GatewayClass'),
      listProjected('Gateway'),
      listProjected('EnvoyProxy'),
      list('ConfigMap', (item) => checkedObject('ConfigMap', item), {
        fieldSelector: `metadata.name=${CONFIG_MAP_NAME}`,
      }),
    ]);
    return { gatewayClasses, gateways, envoyProxies, envoyGatewayConfigs: configMaps.map(parseOnce) };
  }

  return {
    hpas: {
      /** All HPAs with an owning label of Envoy Gateway. */
      async list(): Promise<k8s.HorizontalPodAutoscaler[]> {
        const lists = await Promise.all(
          OWNING_SELECTORS.map((labelSelector) => list('HorizontalPodAutoscaler', checkedHpa, { labelSelector })),
        );
        return [...new Map(lists.flat().map((hpa) => [hpa.metadata.uid, hpa])).values()];
      },
      /** What each HPA of a namespace scales, whoever created the HPA. */
      async scalers(namespace: string): Promise<k8s.Scaler[]> {
        const kind = 'HorizontalPodAutoscaler';
        return await list(kind, (item) => projectedObject(kind, item, k8s.SCHEMAS.Scaler), {}, namespace);
      },
      async get(hpa: k8s.HorizontalPodAutoscaler): Promise<k8s.HorizontalPodAutoscaler | undefined> {
        const body = await client.read({ path: hpaPath(hpa) });
        return body === undefined ? undefined : checkedObject('HorizontalPodAutoscaler', body);
      },
      /** Removes the field of the mark from managedFields, if the HPA has not changed since it was read. */
      mark: (hpa: k8s.HorizontalPodAutoscaler) => client.writeHpa(managedFieldsPatch(hpa, markedManagedFields(hpa))),
      /** Deletes exactly this HPA in exactly this version. */
      async delete(hpa: k8s.HorizontalPodAutoscaler): Promise<WriteResult> {
        const { uid, resourceVersion } = hpa.metadata;
        const body = {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: 'Background',
          preconditions: { uid, resourceVersion },
        };
        const answer = await client.write({ method: 'DELETE', path: hpaPath(hpa), body });
        return answer.result === 'done' ? { result: 'done' } : answer;
      },
    },
    config: {
      read: () => readConfig(),
      /** Like `read`, but stops after the first list without a GatewayClass, or without the Gateway API. */
      async readIfUsed(): Promise<GatewayConfig> {
        try {
          const gatewayClasses = await listProjected('GatewayClass');
          return gatewayClasses.length === 0 ? NO_CONFIG : await readConfig(gatewayClasses);
        } catch (error) {
          if (error instanceof ClusterSkippedError && error.reason === 'CustomResourcesNotInstalled') return NO_CONFIG;
          throw error;
        }
      },
      /** @returns `null` without such a Deployment */
      async deployment(name: k8s.NamespacedName): Promise<k8s.Deployment | null> {
        const body = await client.read({ path: pathOf('Deployment', name) });
        return body === undefined ? null : projectedObject('Deployment', body);
      },
    },
    /**
     * Writes an Event, or increments the count of the one with that reason for that object and sets its message. It is in the
     * core group: `events.k8s.io/v1` has the same objects, but allows changing nothing but the count.
     *
     * @returns `conflict` if somebody else incremented it at the same time
     */
    async recordEvent({ object, type, reason, message, time }: ObjectEvent): Promise<WriteResult['result']> {
      const { namespace = 'default' } = object;
      const name = `${OWN_MANAGER}.${createHash('sha256').update(`${object.uid}/${reason}`).digest('hex').slice(0, 16)}`;
      // Events have whole seconds.
      const timestamp = `${time.toISOString().slice(0, 19)}Z`;
      const latest = { message, lastTimestamp: timestamp };
      const event = {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name },
        involvedObject: object,
        type,
        reason,
        source: { component: OWN_MANAGER },
        ...latest,
        firstTimestamp: timestamp,
        count: 1,
      };
      const created = await client.write({ method: 'POST', path: apiPath('v1', 'events', { namespace }), body: event });
      if (created.result !== 'conflict') return created.result;
      const path = apiPath('v1', 'events', { namespace, name });
      const patch = (body: object) =>
        client.write({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' });
      // An empty patch returns the Event. Permission to get it would be permission to read all Events.
      const found = await patch({});
      if (found.result !== 'done') return found.result;
      const { count = 1, metadata } = found.body as { count?: number; metadata: { resourceVersion: string } };
      const { resourceVersion } = metadata;
      return (await patch({ ...latest, metadata: { resourceVersion }, count: count + 1 })).result;
    },
    requestsSent: client.requestsSent,
    close: client.close,
  };
}
