import { InvalidArgumentError } from 'commander';
import { CONFIG_MAP_NAME, KUBERNETES_YAML } from '../../judgement/envoy-gateway-config.ts';
import { type Metadata, SCHEMAS } from '../../judgement/kubernetes-objects.ts';
import { KINDS, kindOf } from '../../kubernetes/kinds.ts';
import { MalformedInputError } from '../../platform/errors.ts';
import { formatZodIssues } from '../../platform/schema.ts';
import { yamlDocuments } from '../../platform/yaml.ts';
import { nameOfFile, readText } from './files.ts';

/** The kinds that decide whether an HPA is wanted, and their short names in kubectl. */
const SHORT_NAMES = { GatewayClass: 'gc', Gateway: 'gtw', EnvoyProxy: 'eproxy', ConfigMap: 'cm' } as const;
type Kind = keyof typeof SHORT_NAMES;
const DECIDING = Object.keys(SHORT_NAMES) as Kind[];

export interface ObjectName {
  readonly kind: Kind;
  readonly namespace?: string;
  readonly name: string;
}

/** An object in a file. One of a namespaced kind without a namespace belongs to the default namespace of the cluster. */
export interface Manifest extends ObjectName {
  readonly labels?: Metadata['labels'];
  readonly annotations?: Metadata['annotations'];
  /** Everything but metadata and status. */
  readonly content: Readonly<Record<string, unknown>>;
}

/** Stands for what the API server sets on a new object. */
export const PLACEHOLDER_METADATA = { uid: 'what-if', resourceVersion: 'what-if' };

type Json = Record<string, unknown>;

const isNamespaced = (kind: Kind) => kind !== 'GatewayClass';

/**
 * The objects of a file that decide whether an HPA is wanted, and the kinds of the others: YAML of any number of documents, or
 * JSON, also Lists.
 *
 * @param file a path, or `-` for standard input
 * @throws {MalformedInputError} for a file that cannot be read or parsed, without an object, or with an object of an unknown
 * shape
 */
export async function readManifests(file: string): Promise<{ manifests: Manifest[]; ignored: string[] }> {
  const name = nameOfFile(file);
  const objects = yamlDocuments(await readText(file), KUBERNETES_YAML).flatMap(({ value, fault }) => {
    if (fault !== undefined) throw new MalformedInputError(`${name} is not YAML: ${fault}`);
    return objectsOf(value, name);
  });
  if (objects.length === 0) throw new MalformedInputError(`${name} contains no Kubernetes object`);
  const manifests: Manifest[] = [];
  const ignored: string[] = [];
  for (const object of objects) {
    const kind = DECIDING.find((one) => one === kindOf(object));
    const { name: objectName } = (object.metadata ?? {}) as Json;
    const isDeciding = kind !== 'ConfigMap' || objectName === undefined || objectName === CONFIG_MAP_NAME;
    if (kind && isDeciding) manifests.push(manifestOf(kind, object, name));
    else ignored.push(String(object.kind));
  }
  return { manifests, ignored };
}

function objectsOf(document: unknown, file: string): Json[] {
  if (document === null || document === undefined) return [];
  const { kind, apiVersion, items } = document as Json;
  if (typeof kind !== 'string' || typeof apiVersion !== 'string') {
    throw new MalformedInputError(
      `${file} contains something without apiVersion and kind, so it is no Kubernetes object`,
    );
  }
  const isList = kind.endsWith('List') && Array.isArray(items);
  return isList ? items.flatMap((item) => objectsOf(item, file)) : [document as Json];
}

/** @throws {MalformedInputError} for an unknown shape */
function manifestOf(kind: Kind, { metadata, status: _, ...content }: Json, file: string): Manifest {
  const given = (metadata ?? {}) as Metadata;
  const { name, labels, annotations } = given;
  const namespace = isNamespaced(kind) ? given.namespace : undefined;
  const manifest = { kind, namespace, name, labels, annotations, content };
  const completed = { ...given, ...PLACEHOLDER_METADATA, namespace: placed(manifest, 'default').namespace };
  const { error } = SCHEMAS[kind].safeParse({ ...content, metadata: completed });
  if (error !== undefined) {
    const what = `${kind} ${typeof name === 'string' ? name : '(without a name)'}`;
    throw new MalformedInputError(`${file}: ${what} has an unknown shape: ${formatZodIssues(error, '(the object)')}`);
  }
  return manifest;
}

/**
 * Reads `kind/namespace/name`, or `kind/name` for a GatewayClass. The kind is any name of it that kubectl knows.
 *
 * @throws {InvalidArgumentError} for anything else, which is wrong usage
 */
export function objectNameOf(text: string): ObjectName {
  const [resource = '', ...names] = text.split('/');
  const kind = DECIDING.find((one) => namesOf(one).includes(resource.toLowerCase()));
  if (kind === undefined) {
    throw new InvalidArgumentError(`Expected a ${DECIDING.join(', ')}: nothing else decides about an HPA.`);
  }
  const expected = isNamespaced(kind) ? ['namespace', 'name'] : ['name'];
  if (names.length !== expected.length || names.includes('')) {
    throw new InvalidArgumentError(`Expected ${kind.toLowerCase()}/${expected.join('/')}.`);
  }
  const [name = '', namespace] = names.toReversed();
  if (kind === 'ConfigMap' && name !== CONFIG_MAP_NAME) {
    throw new InvalidArgumentError(`Of ConfigMaps only those named ${CONFIG_MAP_NAME} decide about an HPA.`);
  }
  return { kind, namespace, name };
}

function namesOf(kind: Kind): string[] {
  const { group, plural } = KINDS[kind];
  const names = [kind.toLowerCase(), plural];
  return [...names, SHORT_NAMES[kind], ...names.map((name) => `${name}.${group}`)];
}

/** The object with a namespace, if its kind has one. */
export const placed = <Object extends ObjectName>(object: Object, defaultNamespace: string): Object =>
  isNamespaced(object.kind) ? { ...object, namespace: object.namespace ?? defaultNamespace } : object;
