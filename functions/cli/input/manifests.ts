import { InvalidArgumentError } from 'commander';
import { parseAllDocuments } from 'yaml';
import type * as z from 'zod/mini';
import { CONFIG_MAP_NAME, KUBERNETES_YAML } from '../../judgement/envoy-gateway-config.ts';
import {
  configMapSchema,
  envoyProxySchema,
  gatewayClassSchema,
  gatewaySchema,
  type Metadata,
} from '../../judgement/kubernetes-objects.ts';
import { groupOf } from '../../kubernetes/cluster-list.ts';
import { MalformedInputError } from '../../platform/errors.ts';
import { nameOfFile, readText } from './read-text.ts';

/** The kinds that decide whether an HPA is wanted, with the names that kubectl knows them by. */
const KINDS = {
  GatewayClass: { group: 'gateway.networking.k8s.io', plural: 'gatewayclasses', short: 'gc', namespaced: false },
  Gateway: { group: 'gateway.networking.k8s.io', plural: 'gateways', short: 'gtw', namespaced: true },
  EnvoyProxy: { group: 'gateway.envoyproxy.io', plural: 'envoyproxies', short: 'eproxy', namespaced: true },
  ConfigMap: { group: '', plural: 'configmaps', short: 'cm', namespaced: true },
} as const;
export type Kind = keyof typeof KINDS;

const SCHEMAS: Readonly<Record<Kind, z.ZodMiniType>> = {
  GatewayClass: gatewayClassSchema,
  Gateway: gatewaySchema,
  EnvoyProxy: envoyProxySchema,
  ConfigMap: configMapSchema,
};

export interface ObjectName {
  readonly kind: Kind;
  readonly namespace?: string;
  readonly name: string;
}

/** An object as a file describes it. Without a namespace, where its kind has one, the cluster says which is meant. */
export interface Manifest extends ObjectName {
  readonly labels?: Metadata['labels'];
  readonly annotations?: Metadata['annotations'];
  /** Everything but metadata and status. */
  readonly content: Readonly<Record<string, unknown>>;
}

export interface Manifests {
  readonly manifests: readonly Manifest[];
  /** The kinds of the objects that decide nothing here, one for each object. */
  readonly ignored: readonly string[];
}

/** Stands for what the API server would give a new object. */
export const PLACEHOLDER_METADATA = { uid: 'what-if', resourceVersion: 'what-if' };

type Json = Record<string, unknown>;

/**
 * The objects of a file that decide whether an HPA is wanted: YAML of any number of documents, or JSON, Lists too.
 *
 * @param file a path, or `-` for standard input
 * @throws {MalformedInputError} for a file that cannot be read or parsed, that has no object in it, or an object of an
 * unknown shape
 */
export async function readManifests(file: string): Promise<Manifests> {
  const name = nameOfFile(file);
  const objects = documentsOf(await readText(file), name).flatMap((document) => objectsOf(document, name));
  if (objects.length === 0) throw new MalformedInputError(`${name} has no Kubernetes object in it`);
  const manifests: Manifest[] = [];
  const ignored: string[] = [];
  for (const object of objects) {
    const kind = kindOf(object);
    if (kind === undefined || isOtherConfigMap(kind, object)) ignored.push(String(object.kind));
    else manifests.push(manifestOf(kind, object, name));
  }
  return { manifests, ignored };
}

function documentsOf(text: string, name: string): unknown[] {
  const documents = parseAllDocuments(text, KUBERNETES_YAML);
  if ('empty' in documents) return [];
  return documents.map((document) => {
    const [error] = document.errors;
    if (error) throw new MalformedInputError(`${name} is no YAML: ${error.message.split('\n')[0]}`);
    return document.toJS() as unknown;
  });
}

function objectsOf(document: unknown, name: string): Json[] {
  if (document === null || document === undefined) return [];
  if (!isObject(document) || typeof document.kind !== 'string' || typeof document.apiVersion !== 'string') {
    throw new MalformedInputError(
      `${name} has something in it that is no Kubernetes object: it has no apiVersion and kind`,
    );
  }
  if (!document.kind.endsWith('List') || !Array.isArray(document.items)) return [document];
  return document.items.flatMap((item) => objectsOf(item, name));
}

const kindOf = (object: Json): Kind | undefined =>
  (Object.keys(KINDS) as Kind[]).find((known) => known === object.kind && KINDS[known].group === groupOf(object));

const isOtherConfigMap = (kind: Kind, { metadata }: Json): boolean =>
  kind === 'ConfigMap' && isObject(metadata) && metadata.name !== CONFIG_MAP_NAME;

/** @throws {MalformedInputError} for a shape that the judgement would not understand */
function manifestOf(kind: Kind, { metadata, status: _, ...content }: Json, file: string): Manifest {
  const { namespace, ...given } = (metadata ?? {}) as Json;
  const completed = {
    ...given,
    ...PLACEHOLDER_METADATA,
    ...(KINDS[kind].namespaced && { namespace: namespace ?? 'default' }),
  };
  const parsed = SCHEMAS[kind].safeParse({ ...content, metadata: completed });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const name = typeof given.name === 'string' ? given.name : '(without a name)';
    throw new MalformedInputError(
      `${file}: ${kind} ${name} has a shape that is not understood: ${issue?.path.join('.')}: ${issue?.message}`,
    );
  }
  const { name, labels, annotations } = given as Metadata;
  return {
    kind,
    ...(KINDS[kind].namespaced && typeof namespace === 'string' && { namespace }),
    name,
    labels,
    annotations,
    content,
  };
}

/**
 * `kind/namespace/name`, or `kind/name` for what has no namespace, the kind as kubectl takes it.
 *
 * @throws {InvalidArgumentError} for anything else: commander tells it as wrong usage
 */
export function objectNameOf(text: string): ObjectName {
  const [resource = '', ...place] = text.split('/');
  const kind = (Object.keys(KINDS) as Kind[]).find((known) => namesOf(known).includes(resource.toLowerCase()));
  if (kind === undefined) {
    throw new InvalidArgumentError(`Expected a ${Object.keys(KINDS).join(', ')}: nothing else decides about an HPA.`);
  }
  const expected = KINDS[kind].namespaced ? ['namespace', 'name'] : ['name'];
  if (place.length !== expected.length || place.includes('')) {
    throw new InvalidArgumentError(`Expected ${kind.toLowerCase()}/${expected.join('/')}.`);
  }
  const name = place.at(-1) as string;
  if (kind === 'ConfigMap' && name !== CONFIG_MAP_NAME) {
    throw new InvalidArgumentError(`Of ConfigMaps only those named ${CONFIG_MAP_NAME} decide about an HPA.`);
  }
  return { kind, ...(KINDS[kind].namespaced && { namespace: place[0] as string }), name };
}

function namesOf(kind: Kind): string[] {
  const { group, plural, short } = KINDS[kind];
  const singular = kind.toLowerCase();
  return [singular, plural, short, ...(group === '' ? [] : [`${singular}.${group}`, `${plural}.${group}`])];
}

/** The same with its namespace, in a cluster where this one is meant by what names none. */
export const placed = <Object extends ObjectName>(object: Object, defaultNamespace: string): Object =>
  KINDS[object.kind].namespaced ? { ...object, namespace: object.namespace ?? defaultNamespace } : object;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
