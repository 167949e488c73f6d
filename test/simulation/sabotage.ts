import type { Gateway, GatewayClass, HorizontalPodAutoscaler } from '../../functions/judgement/kubernetes-objects.ts';
import { markedManagedFields } from '../../functions/judgement/ownership.ts';
import type { ClusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { appliedFields } from '../builders/cluster.ts';
import { isForeign } from './cluster.ts';
import type { Sabotage } from './simulation.ts';

/** What the reaper would do without one of its safeguards, one each. The invariants must find every one of them. */
export const SABOTAGES: Readonly<Record<string, Sabotage>> = {
  'skips the mark': {
    api(api) {
      const marked = new Set<string>();
      const pretend = (hpa: HorizontalPodAutoscaler): HorizontalPodAutoscaler =>
        marked.has(hpa.metadata.uid)
          ? { ...hpa, metadata: { ...hpa.metadata, managedFields: markedManagedFields(hpa) } }
          : hpa;
      return withHpas(api, {
        list: async () => (await api.hpas.list()).map(pretend),
        get: async (hpa) => {
          const found = await api.hpas.get(hpa);
          return found && pretend(found);
        },
        mark: async (hpa) => {
          marked.add(hpa.metadata.uid);
          return { result: 'done', hpa: pretend(hpa) };
        },
      });
    },
  },
  'skips the second judgement': {
    api(api) {
      let config: ReturnType<ClusterApi['config']['read']> | undefined;
      const read = () => {
        config ??= api.config.read();
        return config;
      };
      return withConfig(api, { read, readIfUsed: read });
    },
  },
  'ignores what Envoy Gateway has seen': {
    api: (api) =>
      withConfig(api, {
        read: async () => seen(await api.config.read()),
        readIfUsed: async () => seen(await api.config.readIfUsed()),
      }),
  },
  // Of the two, only the time of the configuration matters here: HPAs are listed before what they are judged by, and judged twice.
  'does not wait for what settles': { settings: { SETTLE_HPA_SECONDS: 0, SETTLE_CONFIG_SECONDS: 0 } },
  'takes every release for v1.9.1, which no class stops': {
    api: (api) =>
      withConfig(api, {
        deployment: async (name) => {
          const found = await api.config.deployment(name);
          const labels = { 'app.kubernetes.io/version': 'v1.9.1' };
          return found && { ...found, metadata: { ...found.metadata, labels }, spec: undefined };
        },
      }),
  },
  'ignores preconditions': {
    api: (api, cluster) =>
      withHpas(api, {
        delete: async (hpa) => {
          const { name } = hpa.metadata;
          const live = () => cluster.hpas.get(name)?.metadata ?? hpa.metadata;
          // They are read when the API server acts.
          const metadata = {
            ...hpa.metadata,
            get uid() {
              return live().uid;
            },
            get resourceVersion() {
              return live().resourceVersion;
            },
          };
          return await api.hpas.delete({ ...hpa, metadata });
        },
      }),
  },
  'deletes nothing': {
    api: (api) => withHpas(api, { delete: async () => ({ result: 'done' }) }),
  },
  'ignores protection': {
    api: (api) => {
      const bare = <T extends { metadata: { annotations?: unknown } }>(object: T): T => {
        return { ...object, metadata: { ...object.metadata, annotations: undefined } };
      };
      const read = async () => {
        const { gatewayClasses, gateways, envoyProxies, ...config } = await api.config.read();
        const [classes, proxies] = [gatewayClasses.map(bare), envoyProxies.map(bare)];
        return { ...config, gatewayClasses: classes, gateways: gateways.map(bare), envoyProxies: proxies };
      };
      const list = async () => (await api.hpas.list()).map(bare);
      return withConfig(withHpas(api, { list }), { read, readIfUsed: read });
    },
  },
  'takes every HPA for one of Envoy Gateway': {
    api: (api) =>
      withHpas(api, {
        list: async () =>
          (await api.hpas.list()).map((hpa) => {
            if (!isForeign(hpa)) return hpa;
            const managedFields = [appliedFields(hpa.metadata.labels ?? {})];
            return { ...hpa, metadata: { ...hpa.metadata, annotations: undefined, managedFields } };
          }),
      }),
  },
  'takes missing HPAs for there': {
    api: (api, { deployments }) =>
      withHpas(api, {
        scalers: async (namespace) =>
          [...deployments.keys()].map((name) => {
            return { metadata: { namespace, name }, spec: { scaleTargetRef: { kind: 'Deployment', name } } };
          }),
      }),
  },
  'swallows failed messages': {
    reap: (handler) => async (event, context) => {
      await handler(event, context);
      return { batchItemFailures: [] };
    },
  },
};

const withHpas = (api: ClusterApi, hpas: Partial<ClusterApi['hpas']>): ClusterApi => ({
  ...api,
  hpas: { ...api.hpas, ...hpas },
});

const withConfig = (api: ClusterApi, config: Partial<ClusterApi['config']>): ClusterApi => ({
  ...api,
  config: { ...api.config, ...config },
});

type Config = Awaited<ReturnType<ClusterApi['config']['read']>>;

/** As if Envoy Gateway had seen every generation. */
function seen({ gateways, gatewayClasses, ...config }: Config): Config {
  const observed = <T extends Gateway | GatewayClass>(object: T): T => {
    const { generation: observedGeneration } = object.metadata;
    const conditions = ['Accepted', 'Programmed'].map((type) => ({ type, status: 'True', observedGeneration }));
    return { ...object, status: { conditions, listeners: [{ conditions }] } };
  };
  return { ...config, gateways: gateways.map(observed), gatewayClasses: gatewayClasses.map(observed) };
}
