/** A release of Envoy Gateway. */
export interface EnvoyGatewayVersion {
  readonly major: number;
  readonly minor: number;
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
  // A colon before the last slash is a registry's port.
  const tag = /:([^:/]+)$/.exec(reference)?.[1] ?? '';
  const parsed = /^v?(\d+)\.(\d+)\.\d+(-rc\.?\d+)?$/.exec(tag);
  if (!parsed) return undefined;
  return { major: Number(parsed[1]), minor: Number(parsed[2]), text: tag.startsWith('v') ? tag : `v${tag}` };
}

/**
 * Whether that release forgets to delete HPAs (envoyproxy/gateway#5357). Measured: v1.3.0 and v1.4.2 leak, v1.9.1 does
 * not; the code that does it came with v1.2 and went with v1.5 (the release that also brought `envoyHpa.name`).
 *
 * @returns `undefined` for a release that is older than what is known
 */
export function leaksHpas({ major, minor }: EnvoyGatewayVersion): boolean | undefined {
  if (major < 1 || (major === 1 && minor < 2)) return undefined;
  return major === 1 && minor < 5;
}
