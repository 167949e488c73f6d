import { CONFIG_MAP_NAME, type EnvoyGatewayConfig } from './envoy-gateway-config.ts';
import { type Deployment, type NamespacedName, VERSION_LABEL } from './kubernetes-objects.ts';

/** The name of Envoy Gateway's own Deployment in every release of its Helm chart, in the namespace of its ConfigMap. */
export const CONTROLLER_NAME = 'envoy-gateway';

export const controllerOf = ({ configMap }: EnvoyGatewayConfig): NamespacedName => ({
  namespace: configMap.metadata.namespace,
  name: CONTROLLER_NAME,
});

interface EnvoyGatewayVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** For example `v1.3.0`. */
  readonly text: string;
}

/** The tag of one of Envoy Gateway's own images; a mirror may use another name and its own numbers. */
const IMAGE_TAG = /^[^@]*gateway:([^:/@]+)(?:@.*)?$/;

/** @returns `undefined` for anything but `v1.9.1`, `1.9.1` and their release candidates */
function versionOfTag(tag: string | undefined): EnvoyGatewayVersion | undefined {
  const parsed = tag && /^v?(\d+)\.(\d+)\.(\d+)(-rc\.?\d+)?$/.exec(tag);
  if (!parsed) return undefined;
  const [major, minor, patch] = parsed.slice(1, 4).map(Number) as [number, number, number];
  return { major, minor, patch, text: tag.startsWith('v') ? tag : `v${tag}` };
}

/**
 * Whether that release forgets to delete HPAs (envoyproxy/gateway#5357). Measured: v1.1.3, v1.3.0 and v1.4.2 leak, v1.9.1 does
 * not; from v1.5 on (the release that also brought `envoyHpa.name`) it deletes them.
 *
 * @returns `undefined` for a release older than v1.1.3
 */
export function leaksHpas({ major, minor, patch }: EnvoyGatewayVersion): boolean | undefined {
  if (major < 1 || (major === 1 && (minor < 1 || (minor === 1 && patch < 3)))) return undefined;
  return major === 1 && minor < 5;
}

/** @returns `undefined` for an unknown version */
export const isAtLeast = (version: EnvoyGatewayVersion | undefined, minor: number): boolean | undefined =>
  version && (version.major > 1 || (version.major === 1 && version.minor >= minor));

const podOf = ({ spec }: Deployment) => spec?.template?.spec ?? undefined;

export function controllerContainer(deployment: Deployment) {
  const containers = podOf(deployment)?.containers;
  return (
    containers?.find(({ name }) => name === CONTROLLER_NAME) ?? (containers?.length === 1 ? containers[0] : undefined)
  );
}

/**
 * The release that runs, from the label `app.kubernetes.io/version` or else the tag of the image.
 *
 * @returns `undefined` if neither names a release, if they name different ones (the image of one release in the chart of
 * another), and during a rollout: the previous release may still be running
 */
export function controllerVersion(deployment: Deployment | null | undefined): EnvoyGatewayVersion | undefined {
  if (!deployment || isRollingOut(deployment)) return undefined;
  const labeled = versionOfTag(deployment.metadata.labels?.[VERSION_LABEL]);
  const image = controllerContainer(deployment)?.image;
  const tagged = versionOfTag(image && IMAGE_TAG.exec(image)?.[1]);
  const isSame = labeled?.major === tagged?.major && labeled?.minor === tagged?.minor;
  return labeled && tagged && !isSame ? undefined : (labeled ?? tagged);
}

function isRollingOut({ metadata: { generation = 0 }, status }: Deployment): boolean {
  const { observedGeneration = generation, replicas = 0, updatedReplicas = replicas } = status ?? {};
  return observedGeneration < generation || updatedReplicas < replicas;
}

/**
 * The configuration that the controller reads instead of `envoy-gateway-config`.
 *
 * @returns `ConfigMap NAME`, or the volume if it is not a ConfigMap; `undefined` if the controller reads that one, or its
 * Deployment does not say what it reads
 */
export function otherConfiguration(deployment: Deployment): string | undefined {
  const volumes = (podOf(deployment)?.volumes ?? []).map(({ name, configMap, projected }) => ({
    name,
    configMaps: [configMap, ...(projected?.sources ?? []).map((source) => source.configMap)].flatMap(
      (source) => source?.name ?? [],
    ),
  }));
  const file = configFile(controllerContainer(deployment));
  // The longest path that contains the file: a volume can be mounted inside another.
  const mount = (controllerContainer(deployment)?.volumeMounts ?? [])
    .filter(({ mountPath }) => file === mountPath || file?.startsWith(`${mountPath.replace(/\/$/, '')}/`))
    .toSorted((a, b) => b.mountPath.length - a.mountPath.length)[0];
  const mounted = volumes.find(({ name }) => name === mount?.name);
  if (mounted?.configMaps.length === 0) return `volume ${mounted.name}`;
  const names = mounted?.configMaps ?? volumes.flatMap(({ configMaps }) => configMaps);
  return names.length === 0 || names.includes(CONFIG_MAP_NAME) ? undefined : `ConfigMap ${names[0]}`;
}

/** The path of the configuration in the arguments: `server --config-path=FILE`, or `-c FILE`. */
function configFile(container: ReturnType<typeof controllerContainer>): string | undefined {
  const args = [...(container?.command ?? []), ...(container?.args ?? [])];
  const flag = /^(?:--config-path|-c)(?:=(.*))?$/;
  const index = args.findIndex((arg) => flag.test(arg));
  return index < 0 ? undefined : (flag.exec(args[index] ?? '')?.[1] ?? args[index + 1]);
}
