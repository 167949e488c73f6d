import type { DocumentOptions, ParseOptions, SchemaOptions } from 'yaml';
import { parseYaml } from '../platform/yaml.ts';
import { type ComponentSettings, type ConfigMap, type EnvoyProxySpec, SCHEMAS } from './kubernetes-objects.ts';

/** The ConfigMap of Envoy Gateway's Helm chart in the controller's namespace, and its key. */
export const CONFIG_MAP_NAME = 'envoy-gateway-config';
const CONFIG_MAP_KEY = 'envoy-gateway.yaml';
/** Anybody with a namespace may write such a ConfigMap of up to a MiB, and parsing one that is all errors takes seconds. */
const MAX_CHARACTERS = 256 * 1024;
const DEFAULT_CONTROLLER_NAME = 'gateway.envoyproxy.io/gatewayclass-controller';

/** By default the parser reads the name `e5` as a number. */
const EXPONENT = /^[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.[\d_]+)[eE][-+]?\d+$/;

/** How kubectl and Envoy Gateway read YAML: as version 1.1, where `yes` is a boolean, but what looks like a time stays text. */
export const KUBERNETES_YAML: ParseOptions & DocumentOptions & SchemaOptions = {
  version: '1.1',
  customTags: (tags) =>
    tags
      .filter((tag) => typeof tag === 'string' || !tag.tag.endsWith(':timestamp'))
      .map((tag) =>
        typeof tag === 'object' && 'format' in tag && tag.format === 'EXP'
          ? ({ ...tag, test: EXPONENT } as typeof tag)
          : tag,
      ),
};

/** One installation of Envoy Gateway, from its ConfigMap. */
export interface EnvoyGatewayConfig {
  readonly configMap: ConfigMap;
  readonly settings: EnvoyGatewaySettings | UnreadableSettings;
}
export interface EnvoyGatewaySettings {
  readonly unreadable?: undefined;
  readonly controllerName: string;
  readonly gatewayNamespaceMode: boolean;
  /** The least specific EnvoyProxy spec (v1.7+). */
  readonly defaultProxy: EnvoyProxySpec | undefined;
  /** The rate limit service that Envoy Gateway runs; absent if none is configured. */
  readonly rateLimit:
    | {
        /** Absent if no autoscaling is asked for. */
        readonly hpa: ComponentSettings | undefined;
        readonly deployment: ComponentSettings | undefined;
      }
    | undefined;
}
interface UnreadableSettings extends Partial<Record<Exclude<keyof EnvoyGatewaySettings, 'unreadable'>, undefined>> {
  /** Why the ConfigMap cannot be read; it may belong to any controller. */
  readonly unreadable: string;
}

/** Never throws: the result says what cannot be read, and the judgement keeps every HPA that depends on it. */
export function readEnvoyGatewayConfig(configMap: ConfigMap): EnvoyGatewayConfig {
  return { configMap, settings: readSettings(configMap.data?.[CONFIG_MAP_KEY]) };
}

function readSettings(text: string | undefined): EnvoyGatewaySettings | UnreadableSettings {
  if (text === undefined) return { unreadable: `it has no key ${CONFIG_MAP_KEY}` };
  if (text.length > MAX_CHARACTERS)
    return { unreadable: `${CONFIG_MAP_KEY} is longer than ${MAX_CHARACTERS} characters` };
  let document: unknown;
  try {
    document = parseYaml(text, KUBERNETES_YAML);
  } catch (error) {
    return { unreadable: `${CONFIG_MAP_KEY} is not valid YAML: ${(error as Error).message}` };
  }
  const parsed = SCHEMAS.EnvoyGateway.safeParse(document);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { unreadable: `${CONFIG_MAP_KEY} is not a valid EnvoyGateway: ${issue?.path.join('.')}: ${issue?.message}` };
  }
  const { gateway, provider, envoyProxy, rateLimit } = parsed.data;
  const { deploy, rateLimitHpa, rateLimitDeployment } = provider?.kubernetes ?? {};
  return {
    controllerName: gateway?.controllerName || DEFAULT_CONTROLLER_NAME,
    gatewayNamespaceMode: deploy?.type === 'GatewayNamespace',
    defaultProxy: envoyProxy ?? undefined,
    rateLimit: rateLimit ? { hpa: rateLimitHpa ?? undefined, deployment: rateLimitDeployment ?? undefined } : undefined,
  };
}
