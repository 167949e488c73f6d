/** A release of Envoy Gateway. */
export interface EnvoyGatewayVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** As it is written: `v1.3.0`. */
  readonly text: string;
}

/**
 * The release that an image reference names: the tag of Envoy Gateway's own images, with or without a digest behind it.
 *
 * @returns `undefined` for a digest alone, for `latest`, and for a tag of another scheme: a mirror's own number would be
 * taken for a release
 */
export function versionOfImage(image: string): EnvoyGatewayVersion | undefined {
  const [reference = ''] = image.split('@');
  // A mirror may call the image otherwise, and number it by itself.
  if (!/gateway:[^/]*$/.test(reference)) return undefined;
  // A colon before the last slash is a registry's port.
  return versionOfTag(/:([^:/]+)$/.exec(reference)?.[1] ?? '');
}

/** @returns `undefined` for anything but `v1.9.1`, `1.9.1` and their release candidates */
export function versionOfTag(tag: string): EnvoyGatewayVersion | undefined {
  const parsed = /^v?(\d+)\.(\d+)\.(\d+)(-rc\.?\d+)?$/.exec(tag);
  if (!parsed) return undefined;
  const [major, minor, patch] = parsed.slice(1, 4).map(Number) as [number, number, number];
  return { major, minor, patch, text: tag.startsWith('v') ? tag : `v${tag}` };
}

/**
 * Whether that release forgets to delete HPAs (envoyproxy/gateway#5357). Measured: v1.1.3, v1.3.0 and v1.4.2 leak, v1.9.1 does
 * not; from v1.5 on (the release that also brought `envoyHpa.name`) it deletes them.
 *
 * @returns `undefined` for a release that is older than what is known
 */
export function leaksHpas({ major, minor, patch }: EnvoyGatewayVersion): boolean | undefined {
  if (major < 1 || (major === 1 && (minor < 1 || (minor === 1 && patch < 3)))) return undefined;
  return major === 1 && minor < 5;
}

/** @returns `undefined` for an unknown version: the answer may be either then */
export const isAtLeast = (version: EnvoyGatewayVersion | undefined, minor: number): boolean | undefined =>
  version && (version.major > 1 || (version.major === 1 && version.minor >= minor));
