import pMap from 'p-map';
import type { Verdict } from '../judgement/judge.ts';
import {
  type HorizontalPodAutoscaler,
  KEEP_ANNOTATION,
  type ManagedFieldsEntry,
  type Metadata,
  objectKey,
} from '../judgement/kubernetes-objects.ts';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import { type ApiClient, apiPath, managedFieldsPatch } from '../kubernetes/api-client.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import { ClusterSkippedError, describeError, RetryableError } from '../platform/errors.ts';
import { assess } from './assess.ts';
import type { Selects } from './sweep-cluster.ts';

/** The results of restoring one HPA. */
export const RESTORE_OUTCOMES = [
  'Restored',
  'Restorable', // With --dry-run: it would be restored.
  'AlreadyThere', // An HPA of that name exists; it is never overwritten.
  'StillStale', // It would be deleted again.
  'Refused', // The API server does not accept it.
  'Failed', // No answer, or it continued to change; a retry may succeed.
] as const;

interface Result {
  readonly outcome: (typeof RESTORE_OUTCOMES)[number];
  /** Sentences for a person; empty where there is nothing to say. */
  readonly why: string;
}
type RestoredHpa = { readonly namespace: string; readonly name: string } & Result;

interface RestoreOptions {
  readonly api: ClusterApi;
  /** For the requests that only a person may send: they need more rights than a sweep. */
  readonly client: ApiClient;
  /** Selects some of the manifests; absent: all. */
  readonly selects?: Selects;
  /** As in a sweep. */
  readonly controllerNamespaces?: readonly string[];
  /** Also restores what would be deleted again. */
  readonly force?: boolean;
  /** Annotates what it restores, so that no sweep deletes it again. */
  readonly keep?: boolean;
  /** Writes nothing. */
  readonly dryRun?: boolean;
}

/** Maximum concurrent HPAs. */
const CONCURRENCY = 20;
/** Maximum writes of the managedFields: Envoy Gateway and the HPA controller may write between a read and a write. */
const MAX_ATTEMPTS = 5;

/**
 * Restores HPAs in one cluster, each as it was: the contents of its manifest, with the same owners of its fields. This takes
 * two writes: the creation, which makes all fields ours, and one that gives them back. After an interruption in between, the
 * next restoration of the same manifest does the second.
 *
 * @param saved manifests, at most one for each namespace and name
 * @throws whatever a read throws ({@link ClusterApi}); nothing was written then
 */
export async function restoreHpas(
  saved: readonly HorizontalPodAutoscaler[],
  options: RestoreOptions,
): Promise<RestoredHpa[]> {
  const { api, controllerNamespaces, selects = () => true, keep } = options;
  const manifests = keep ? saved.map(annotated) : saved;
  const uidOf = ({ metadata }: HorizontalPodAutoscaler) => `restored ${objectKey(metadata)}`;
  // As it will be once it exists.
  const existing = (manifest: HorizontalPodAutoscaler) => ({
    ...manifest,
    metadata: { ...manifest.metadata, uid: uidOf(manifest), deletionTimestamp: undefined },
  });
  const { verdicts } = await assess(api, {
    now: new Date(),
    controllerNamespaces,
    overlay: (lists) => ({ ...lists, hpas: [...lists.hpas, ...manifests.map(existing)] }),
  });
  const byUid = new Map(verdicts.map((verdict) => [verdict.hpa.metadata.uid, verdict]));
  const selected = manifests
    .map((manifest) => ({ manifest, verdict: byUid.get(uidOf(manifest)) as Verdict }))
    .filter(({ manifest, verdict }) => selects({ namespace: manifest.metadata.namespace, owner: verdict.owner }));
  return await pMap(
    selected,
    async ({ manifest, verdict }) => {
      const { namespace, name } = manifest.metadata;
      return { namespace, name, ...(await restore(manifest, verdict, options)) };
    },
    { concurrency: CONCURRENCY },
  );
}

/** Nobody owns the annotation, so that no apply removes it. */
const annotated = (manifest: HorizontalPodAutoscaler): HorizontalPodAutoscaler => {
  const annotations = { ...manifest.metadata.annotations, [KEEP_ANNOTATION]: 'true' };
  return { ...manifest, metadata: { ...manifest.metadata, annotations } };
};

/** Restores one HPA. A failure of one stops no other. */
async function restore(manifest: HorizontalPodAutoscaler, verdict: Verdict, options: RestoreOptions): Promise<Result> {
  try {
    const found = await options.api.hpas.get(manifest);
    if (found === undefined) return await create(manifest, verdict, options);
    // Nobody else writes under our name: the fields were not given back.
    const isUnfinished = entriesOf(found).some(isOwn) && managersOf(manifest).length > 0;
    if (!isUnfinished) return alreadyThere(manifest, options);
    const why = 'An earlier restore created it but did not finish.';
    return options.dryRun ? { outcome: 'Restorable', why } : await giveFieldsBack(found, manifest, options, why);
  } catch (error) {
    if (error instanceof RetryableError) return { outcome: 'Failed', why: describeError(error) };
    if (error instanceof ClusterSkippedError) return { outcome: 'Refused', why: error.message };
    throw error;
  }
}

function alreadyThere({ metadata: { namespace, name } }: HorizontalPodAutoscaler, { keep }: RestoreOptions): Result {
  const command = `kubectl annotate hpa -n ${namespace} ${name} ${KEEP_ANNOTATION}=true`;
  const why = 'An HPA of this name exists; it is not changed.';
  return { outcome: 'AlreadyThere', why: keep ? `${why} To protect it: ${command}` : why };
}

type OwnerReference = NonNullable<Metadata['ownerReferences']>[number];

async function create(
  manifest: HorizontalPodAutoscaler,
  { action, explanation }: Verdict,
  options: RestoreOptions,
): Promise<Result> {
  const { api, client, force, keep, dryRun } = options;
  const { namespace, ownerReferences } = manifest.metadata;
  const isStale = action === 'delete';
  if (isStale && !force) {
    return { outcome: 'StillStale', why: `It would be deleted again: ${explanation} --keep restores and protects it.` };
  }
  const owners: OwnerReference[] = [];
  const notes = isStale ? [`It is stale, so the next sweep deletes it again: ${explanation}`] : [];
  if (keep) notes.push(`It is protected until you remove the annotation ${KEEP_ANNOTATION}.`);
  const { kind, name } = manifest.spec.scaleTargetRef;
  if (kind === 'Deployment' && (await api.config.deployment({ namespace, name })) === null) {
    notes.push(`Its Deployment ${namespace}/${name} does not exist.`);
  }
  for (const owner of ownerReferences ?? []) {
    // The garbage collector deletes an object when none of its owners exists.
    if (await ownerExists(owner, namespace, client)) owners.push(owner);
    else notes.push(`Its owner ${owner.kind} ${owner.name} no longer exists and was omitted.`);
  }
  if (managersOf(manifest).length === 0) {
    notes.push('Its manifest has no managedFields: from now on it counts as created by hand.');
  }
  const why = notes.join(' ');
  const noNamespace: Result = { outcome: 'Refused', why: `Namespace ${namespace} does not exist: create it first.` };
  if (dryRun) {
    const found = await client.read({ path: apiPath('v1', 'namespaces', { name: namespace }) });
    return found === undefined ? noNamespace : { outcome: 'Restorable', why };
  }
  const path = apiPath('autoscaling/v2', 'horizontalpodautoscalers', { namespace });
  const created = await client.writeHpa({ method: 'POST', path, body: creatable(manifest, owners) });
  if (created.result === 'conflict') return alreadyThere(manifest, options);
  if (created.result === 'gone') return noNamespace;
  if (created.result === 'refused') return { outcome: 'Refused', why: created.message };
  return await giveFieldsBack(created.hpa, manifest, options, why);
}

/** The second write, repeated while somebody else writes in between. */
async function giveFieldsBack(
  created: HorizontalPodAutoscaler,
  manifest: HorizontalPodAutoscaler,
  { api, client }: RestoreOptions,
  why: string,
): Promise<Result> {
  if (managersOf(manifest).length === 0) return { outcome: 'Restored', why };
  const failed = (reason: string): Result => ({ outcome: 'Failed', why: `It was created, ${reason}` });
  let current: HorizontalPodAutoscaler | undefined = created;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    if (current?.metadata.uid !== created.metadata.uid) return failed('and somebody deleted it at once.');
    const answer = await client.writeHpa(managedFieldsPatch(current, restoredManagedFields(current, manifest)));
    if (answer.result === 'done') return { outcome: 'Restored', why };
    if (answer.result === 'refused') return failed(`but its managedFields are not as before: ${answer.message}`);
    current = await api.hpas.get(created);
  }
  return failed('but keeps changing; run restore again to return its field ownership.');
}

/** Whether an object with the uid of the reference exists: the garbage collector compares uids. */
async function ownerExists(
  { apiVersion, kind, name, uid }: OwnerReference,
  namespace: string,
  { read }: ApiClient,
): Promise<boolean> {
  // An owner is in the namespace of what it owns, or cluster-scoped.
  for (const names of [{ namespace, name }, { name }]) {
    const owner = (await read({ path: apiPath(apiVersion, pluralOf(kind), names) })) as {
      metadata?: Partial<Metadata>;
    };
    if (owner?.metadata?.uid === uid) return true;
  }
  return false;
}

/** As `meta.UnsafeGuessKindToResource` of apimachinery. A wrong guess finds no owner, and its reference is omitted. */
function pluralOf(kind: string): string {
  const singular = kind.toLowerCase();
  if (singular.endsWith('s')) return `${singular}es`;
  return singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}

/** A manifest without what the API server sets. */
function creatable(manifest: HorizontalPodAutoscaler, owners: readonly OwnerReference[]): object {
  const keys = ['name', 'labels', 'annotations', 'finalizers'];
  const metadata = Object.fromEntries(Object.entries(manifest.metadata).filter(([key]) => keys.includes(key)));
  return { ...manifest, metadata: { ...metadata, ownerReferences: owners }, status: undefined };
}

/** The owners of the fields of a manifest. The status has its own, who write it again. */
const managersOf = (hpa: HorizontalPodAutoscaler): ManagedFieldsEntry[] =>
  entriesOf(hpa).filter((entry) => entry.subresource !== 'status' && !isOwn(entry));

const entriesOf = ({ metadata }: HorizontalPodAutoscaler) => metadata.managedFields ?? [];

const isOwn = ({ manager }: ManagedFieldsEntry) => manager === OWN_MANAGER;

/**
 * The managedFields of a restored HPA: those of its manifest without our own. A manager that has written since the creation
 * (Envoy Gateway may have applied) owns only what it wrote then.
 */
function restoredManagedFields(hpa: HorizontalPodAutoscaler, manifest: HorizontalPodAutoscaler): ManagedFieldsEntry[] {
  const others = entriesOf(hpa).filter((entry) => !isOwn(entry));
  const back = managersOf(manifest).filter((entry) => !others.some((other) => isSameManager(entry, other)));
  return [...back, ...others];
}

/** Compares as the API server does, which stores one entry of each. */
const isSameManager = (a: ManagedFieldsEntry, b: ManagedFieldsEntry): boolean =>
  a.manager === b.manager &&
  a.operation === b.operation &&
  a.subresource === b.subresource &&
  (a.operation === 'Apply' || a.apiVersion === b.apiVersion);
