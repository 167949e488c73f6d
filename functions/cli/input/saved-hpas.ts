import * as z from 'zod/mini';
import { type HorizontalPodAutoscaler, objectKey, SCHEMAS } from '../../judgement/kubernetes-objects.ts';
import { formatZodIssues } from '../../platform/schema.ts';
import type { JsonObject, ObjectReader } from './find-objects.ts';

/** What is known of a cluster; two clusters may have the same name in two Regions or accounts. */
export interface ClusterKey {
  /** The name of an EKS cluster, or else of a context of a kubeconfig. */
  readonly cluster?: string;
  readonly region?: string;
  readonly account?: string;
}

/** An HPA as it was saved, and what is known of the cluster that it was deleted in. */
export interface SavedHpa extends ClusterKey {
  readonly manifest: HorizontalPodAutoscaler;
  /** The name of the cluster as it was saved. */
  readonly savedAs?: string;
  /** The time of the deletion, in milliseconds since 1970. */
  readonly time?: number;
}

const typeSchema = z.object({ apiVersion: z.literal('autoscaling/v2', 'expected autoscaling/v2') });

/** Reads an HPA. One that a report lists with another outcome than `Deleted` is skipped. */
export const savedHpaReader: ObjectReader<SavedHpa> = (object, enclosing) => {
  const { kind, metadata } = object;
  if (kind !== 'HorizontalPodAutoscaler' || typeof metadata !== 'object') return undefined;
  if (![undefined, 'Deleted'].includes(nearest(enclosing, 'outcome'))) return {};
  // Fields that the API server sets may be missing from what a person saved.
  const manifest = { ...object, metadata: { uid: '', resourceVersion: '', ...metadata } };
  const { error } = z.intersection(typeSchema, SCHEMAS.HorizontalPodAutoscaler).safeParse(manifest);
  if (error) return { fault: `not an HPA: ${formatZodIssues(error, '(the object)')}` };
  const times = ['timestamp', 'finishedAt', 'time'].map((key) => Date.parse(nearest(enclosing, key) ?? ''));
  const savedAs = nearest(enclosing, 'cluster');
  return {
    value: {
      savedAs,
      ...(parseArn(savedAs) ?? {
        cluster: savedAs,
        region: nearest(enclosing, 'region'),
        account: nearest(enclosing, 'account'),
      }),
      manifest: manifest as unknown as HorizontalPodAutoscaler,
      time: times.find((time) => !Number.isNaN(time)),
    },
  };
};

const nearest = (enclosing: readonly JsonObject[], key: string): string | undefined =>
  enclosing.map((object) => object[key]).find((value): value is string => typeof value === 'string');

/** Parses the ARN of an EKS cluster, which is also what `aws eks update-kubeconfig` names a context. */
export function parseArn(arn = ''): Required<ClusterKey> | undefined {
  const [, region, account, cluster] = /^arn:[^:]+:eks:([^:]+):(\d+):cluster\/(.+)$/.exec(arn) ?? [];
  return cluster && region && account ? { cluster, region, account } : undefined;
}

/** The newest of each namespace and name; without times, the last. */
export function newestOfEach(hpas: readonly SavedHpa[]): SavedHpa[] {
  const newest = new Map<string, SavedHpa>();
  for (const hpa of hpas) {
    const key = objectKey(hpa.manifest.metadata);
    const known = newest.get(key)?.time;
    if (known === undefined || hpa.time === undefined || hpa.time >= known) newest.set(key, hpa);
  }
  return [...newest.values()];
}
