import type * as z from 'zod/mini';
import { CONFIG_MAP_NAME, type EnvoyGatewayConfig, readEnvoyGatewayConfig } from '../judgement/envoy-gateway-config.ts';
import {
  type ConfigMap,
  configMapSchema,
  type Deployment,
  deploymentSchema,
  envoyProxySchema,
  type GatewayClass,
  gatewayClassSchema,
  gatewaySchema,
  type HorizontalPodAutoscaler,
  horizontalPodAutoscalerSchema,
  type NamespacedName,
  type Scaler,
  scalerSchema,
} from '../judgement/kubernetes-objects.ts';
import { markedManagedFields, OWNING_SELECTORS } from '../judgement/ownership.ts';
import type { Snapshot } from '../judgement/snapshot.ts';
import { ClusterSkippedError, RetryableError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import {
  apiClient,
  type ClusterConnection,
  hpasPath,
  managedFieldsPatch,
  parseHpa,
  resourcePath,
  type WriteResult,
} from './api-client.ts';
import { type EventRecorder, eventRecorder } from './event-recorder.ts';
import { parseObjects, projectObjects } from './parse-objects.ts';
import { ApiStatusError } from './transport.ts';

export interface HpaStore {
  /** Every HPA with an owning label of Envoy Gateway. */
  list(): Promise<HorizontalPodAutoscaler[]>;
  /** Every HPA of a namespace, whoever made it, as far as it says what it scales. */
  scalers(namespace: string): Promise<Scaler[]>;
  get(hpa: HorizontalPodAutoscaler): Promise<HorizontalPodAutoscaler | undefined>;
  /** Takes the mark's field out of managedFields, if the HPA is still what was read. */
  mark(hpa: HorizontalPodAutoscaler): Promise<WriteResult>;
  /** Deletes exactly this HPA in exactly this version. */
  delete(hpa: HorizontalPodAutoscaler): Promise<WriteResult>;
}

/** The lists that say what is wanted. */
export type GatewayConfig = Pick<Snapshot, 'gatewayClasses' | 'gateways' | 'envoyProxies' | 'envoyGatewayConfigs'>;

export interface GatewayConfigReader {
  read(): Promise<GatewayConfig>;
  /** The same, and after the first list nothing at all where there is no GatewayClass, or no Gateway API. */
  readIfUsed(): Promise<GatewayConfig | undefined>;
  /** @returns `null` where there is no such Deployment */
  deployment(place: NamespacedName): Promise<Deployment | null>;
}

export interface ClusterApi {
  readonly hpas: HpaStore;
  readonly config: GatewayConfigReader;
  /** How many requests were sent so far, whatever came of them. */
  requestsSent(): number;
  /** Absent where nothing can be written, as in a file. */
  readonly events?: EventRecorder;
  /** Ends all connections: what is under way and whatever comes later has no answer. */
  close(): void;
}

const PAGE_SIZE = 500;
/** A list that expires between two pages is read again from its start, so often. */
const LIST_ATTEMPTS = 3;
const HPA = 'HorizontalPodAutoscaler';

/**
 * The calls that this project makes to a Kubernetes API server, and no others (`infra/kubernetes/rbac.yaml` allows exactly
 * these). Answers stay the server's own JSON, checked and not converted.
 *
 * Every call throws {@link RetryableError} when no answer came or the server could not give one now, and
 * {@link ClusterSkippedError} when the server will not let us in or lacks the custom resources.
 *
 * @param timeout milliseconds that one request may take
 */
export function clusterApi(connection: ClusterConnection, timeout = 10_000): ClusterApi {
  const client = apiClient(connection, timeout);
  const { send, read, write, requestsSent, close } = client;

  /** @param keep what to keep of a page's items, so that no more than a page is ever in memory whole */
  async function list<T>(
    kind: string,
    path: string,
    keep: (items: unknown[]) => T[],
    selector: Record<string, string> = {},
  ): Promise<T[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await allPages(path, keep, selector);
      } catch (error) {
        if (!(error instanceof ApiStatusError)) throw error;
        if (error.code === 404) {
          const message = `${kind} is not known to this API server (${error.message})`;
          throw new ClusterSkippedError(problem('CustomResourcesNotInstalled', message), { cause: error });
        }
        if (error.code !== 410) throw error;
        // The server no longer remembers what the first page was read from. The token it offers instead would mix two moments.
        if (attempt === LIST_ATTEMPTS) {
          throw new RetryableError(`listing every ${kind} takes longer than the server keeps its pages`, {
            cause: error,
          });
        }
      }
    }
  }

  async function allPages<T>(
    path: string,
    keep: (items: unknown[]) => T[],
    selector: Record<string, string>,
  ): Promise<T[]> {
    const objects: T[] = [];
    let continueToken: string | undefined;
    do {
      const query = { ...selector, limit: String(PAGE_SIZE), continue: continueToken };
      const answer = await send({ method: 'GET', path, query });
      const body = answer as { metadata?: { continue?: string }; items?: unknown };
      if (!Array.isArray(body.items)) throw new RetryableError('a list was answered without items');
      for (const object of keep(body.items)) objects.push(object);
      continueToken = body.metadata?.continue || undefined;
    } while (continueToken !== undefined);
    return objects;
  }

  /** Lists objects that are only judged: nothing is kept of them but what their schema names. */
  const listConfiguration = <Schema extends z.ZodMiniType>(kind: string, schema: Schema, api: string, plural: string) =>
    list(kind, resourcePath(api, plural), (items) => projectObjects(kind, schema, items));

  // The items of a list do not say what they are. A manifest that is to be restored must, and an HPA read alone does.
  const readHpas = (items: unknown[]) =>
    parseObjects(HPA, horizontalPodAutoscalerSchema, items).map((hpa) => ({
      apiVersion: 'autoscaling/v2',
      kind: HPA,
      ...hpa,
    }));

  // A ConfigMap hardly ever changes, and parsing its YAML is a good part of a pass.
  const alreadyRead = new Map<string, EnvoyGatewayConfig>();
  const readOnce = (configMap: ConfigMap): EnvoyGatewayConfig => {
    const { namespace, uid, resourceVersion } = configMap.metadata;
    const known = alreadyRead.get(namespace);
    const before = known?.configMap.metadata;
    if (known && before?.uid === uid && before?.resourceVersion === resourceVersion) return known;
    const config = readEnvoyGatewayConfig(configMap);
    alreadyRead.set(namespace, config);
    return config;
  };

  const gatewayApi = 'gateway.networking.k8s.io/v1';
  const listClasses = () => listConfiguration('GatewayClass', gatewayClassSchema, gatewayApi, 'gatewayclasses');

  async function readConfig(known?: GatewayClass[]): Promise<GatewayConfig> {
    const [gatewayClasses, gateways, envoyProxies, configMaps] = await Promise.all([
      known ?? listClasses(),
      listConfiguration('Gateway', gatewaySchema, gatewayApi, 'gateways'),
      listConfiguration('EnvoyProxy', envoyProxySchema, 'gateway.envoyproxy.io/v1alpha1', 'envoyproxies'),
      list('ConfigMap', '/api/v1/configmaps', (items) => parseObjects('ConfigMap', configMapSchema, items), {
        fieldSelector: `metadata.name=${CONFIG_MAP_NAME}`,
      }),
    ]);
    return { gatewayClasses, gateways, envoyProxies, envoyGatewayConfigs: configMaps.map(readOnce) };
  }

  return {
    hpas: {
      async list() {
        const lists = await Promise.all(
          OWNING_SELECTORS.map((labelSelector) => list(HPA, hpasPath(), readHpas, { labelSelector })),
        );
        return [...new Map(lists.flat().map((hpa) => [hpa.metadata.uid, hpa])).values()];
      },
      scalers: (namespace) => list(HPA, hpasPath(namespace), (items) => projectObjects(HPA, scalerSchema, items)),
      async get({ metadata }) {
        const body = await read({ method: 'GET', path: hpasPath(metadata.namespace, metadata.name) });
        return body === undefined ? undefined : parseHpa(body);
      },
      async mark(hpa) {
        const answer = await write(managedFieldsPatch(hpa, markedManagedFields(hpa)));
        return answer.result === 'done' ? { result: 'done', hpa: parseHpa(answer.body) } : answer;
      },
      async delete({ metadata: { namespace, name, uid, resourceVersion } }) {
        const answer = await write({
          method: 'DELETE',
          path: hpasPath(namespace, name),
          body: {
            apiVersion: 'v1',
            kind: 'DeleteOptions',
            propagationPolicy: 'Background',
            preconditions: { uid, resourceVersion },
          },
        });
        return answer.result === 'done' ? { result: 'done' } : answer;
      },
    },
    config: {
      read: () => readConfig(),
      async readIfUsed() {
        try {
          const gatewayClasses = await listClasses();
          return gatewayClasses.length === 0 ? undefined : await readConfig(gatewayClasses);
        } catch (error) {
          if (error instanceof ClusterSkippedError && error.reason === 'CustomResourcesNotInstalled') return undefined;
          throw error;
        }
      },
      async deployment({ namespace, name }) {
        const body = await read({ method: 'GET', path: resourcePath('apps/v1', 'deployments', namespace, name) });
        return body === undefined ? null : (projectObjects('Deployment', deploymentSchema, [body])[0] as Deployment);
      },
    },
    events: eventRecorder(client),
    requestsSent,
    close,
  };
}
