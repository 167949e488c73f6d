import type { RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
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
import { markedManagedFields, OWN_MANAGER, OWNING_SELECTORS } from '../judgement/ownership.ts';
import type { Snapshot } from '../judgement/snapshot.ts';
import { ClusterSkippedError, RetryableError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import { apiClient, type ClusterConnection, HPAS, parseHpa, type WriteResult } from './api-client.ts';
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
 * these). Requests are built by the generated client; answers stay the server's own JSON, checked and not converted.
 *
 * Every call throws {@link RetryableError} when no answer came or the server could not give one now, and
 * {@link ClusterSkippedError} when the server will not let us in or lacks the custom resources.
 *
 * @param timeout milliseconds that one request may take
 */
export function clusterApi(connection: ClusterConnection, timeout = 10_000): ClusterApi {
  const client = apiClient(connection, timeout);
  const { server, requests, send, read, write, requestsSent, close } = client;

  /** @param keep makes of a page's items what is kept of them, so that no more than a page is ever held whole */
  async function list<T>(
    kind: string,
    keep: (items: unknown[]) => T[],
    page: (continueToken: string | undefined) => Promise<RequestContext>,
  ): Promise<T[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await allPages(keep, page);
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
    keep: (items: unknown[]) => T[],
    page: (continueToken: string | undefined) => Promise<RequestContext>,
  ): Promise<T[]> {
    const objects: T[] = [];
    let continueToken: string | undefined;
    do {
      const body = (await send(await page(continueToken))) as { metadata?: { continue?: string }; items?: unknown };
      if (!Array.isArray(body.items)) throw new RetryableError('a list was answered without items');
      for (const object of keep(body.items)) objects.push(object);
      continueToken = body.metadata?.continue || undefined;
    } while (continueToken !== undefined);
    return objects;
  }

  const listCustom = <T>(
    kind: string,
    keep: (items: unknown[]) => T[],
    [group, version, plural]: readonly [string, string, string],
    labelSelector?: string,
  ) =>
    list(kind, keep, (continueToken) =>
      requests.listCustomObjectForAllNamespaces(
        group,
        version,
        plural,
        undefined,
        undefined,
        continueToken,
        undefined,
        labelSelector,
        PAGE_SIZE,
      ),
    );

  /** What is only judged by: of each object no more is kept than its schema names. */
  const listConfiguration = <Schema extends z.ZodMiniType>(
    kind: string,
    schema: Schema,
    resource: readonly [string, string, string],
  ) => listCustom(kind, (items) => projectObjects(kind, schema, items), resource);

  /** ConfigMaps lie in the core group, which the generic part of the client does not reach; CoreV1Api weighs 1.5 MB. */
  const listConfigMaps = (continueToken: string | undefined): Promise<RequestContext> => {
    const context = server.makeRequestContext('/api/v1/configmaps', 'GET');
    context.setQueryParam('fieldSelector', `metadata.name=${CONFIG_MAP_NAME}`);
    context.setQueryParam('limit', String(PAGE_SIZE));
    if (continueToken !== undefined) context.setQueryParam('continue', continueToken);
    return Promise.resolve(context);
  };

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

  const gatewayApi = 'gateway.networking.k8s.io';
  const listClasses = () => listConfiguration('GatewayClass', gatewayClassSchema, [gatewayApi, 'v1', 'gatewayclasses']);

  async function readConfig(known?: GatewayClass[]): Promise<GatewayConfig> {
    const [gatewayClasses, gateways, envoyProxies, configMaps] = await Promise.all([
      known ?? listClasses(),
      listConfiguration('Gateway', gatewaySchema, [gatewayApi, 'v1', 'gateways']),
      listConfiguration('EnvoyProxy', envoyProxySchema, ['gateway.envoyproxy.io', 'v1alpha1', 'envoyproxies']),
      list('ConfigMap', (items) => parseObjects('ConfigMap', configMapSchema, items), listConfigMaps),
    ]);
    return { gatewayClasses, gateways, envoyProxies, envoyGatewayConfigs: configMaps.map(readOnce) };
  }

  return {
    hpas: {
      async list() {
        const lists = await Promise.all(OWNING_SELECTORS.map((selector) => listCustom(HPA, readHpas, HPAS, selector)));
        return [...new Map(lists.flat().map((hpa) => [hpa.metadata.uid, hpa])).values()];
      },
      async scalers(namespace) {
        const [group, version, plural] = HPAS;
        return await list(
          HPA,
          (items) => projectObjects(HPA, scalerSchema, items),
          (continueToken) =>
            requests.listNamespacedCustomObject(
              group,
              version,
              namespace,
              plural,
              undefined,
              undefined,
              continueToken,
              undefined,
              undefined,
              PAGE_SIZE,
            ),
        );
      },
      async get({ metadata }) {
        const body = await read(
          await requests.getNamespacedCustomObject(HPAS[0], HPAS[1], metadata.namespace, HPAS[2], metadata.name),
        );
        return body === undefined ? undefined : parseHpa(body);
      },
      async mark(hpa) {
        const { namespace, name, resourceVersion } = hpa.metadata;
        const patch = [
          { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
          { op: 'replace', path: '/metadata/managedFields', value: markedManagedFields(hpa) },
        ];
        const answer = await write(
          await requests.patchNamespacedCustomObject(
            HPAS[0],
            HPAS[1],
            namespace,
            HPAS[2],
            name,
            patch,
            undefined,
            OWN_MANAGER,
          ),
        );
        return answer.result === 'done' ? { result: 'done', hpa: parseHpa(answer.body) } : answer;
      },
      async delete({ metadata: { namespace, name, uid, resourceVersion } }) {
        const answer = await write(
          await requests.deleteNamespacedCustomObject(
            HPAS[0],
            HPAS[1],
            namespace,
            HPAS[2],
            name,
            undefined,
            undefined,
            undefined,
            undefined,
            {
              apiVersion: 'v1',
              kind: 'DeleteOptions',
              propagationPolicy: 'Background',
              preconditions: { uid, resourceVersion },
            } as never,
          ),
        );
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
        const request = await requests.getNamespacedCustomObject('apps', 'v1', namespace, 'deployments', name);
        const body = await read(request);
        return body === undefined ? null : (projectObjects('Deployment', deploymentSchema, [body])[0] as Deployment);
      },
    },
    events: eventRecorder(client),
    requestsSent,
    close,
  };
}
