import * as z from 'zod/mini';
import { DEFAULT_GUARDS, type GuardSettings } from '../judgement/guards.ts';
import { NAMESPACE_PATTERN } from '../judgement/kubernetes-objects.ts';
import { wholeNumber } from '../platform/schema.ts';

const namesOf = (text: string): string[] => (text === '' ? [] : text.split(','));
const areNamespaces = z.refine<string[]>(
  (names) => names.every((name) => NAMESPACE_PATTERN.test(name)),
  'expected comma-separated names of namespaces',
);

/** The environment variables of every function that sweeps. */
export const sweepSettings = {
  MODE: z.enum(['report', 'delete'], 'expected report or delete'),
  MAX_DELETIONS: wholeNumber(DEFAULT_GUARDS.maxDeletions, 0, 10_000),
  SETTLE_HPA_SECONDS: wholeNumber(DEFAULT_GUARDS.settleHpaSeconds, 0, 1_800),
  SETTLE_CONFIG_SECONDS: wholeNumber(DEFAULT_GUARDS.settleConfigSeconds, 0, 1_800),
  /** Comma-separated names; empty for every namespace. */
  CONTROLLER_NAMESPACES: z.optional(z.pipe(z.string(), z.transform(namesOf)).check(areNamespaces)),
};

export const guardsOf = (
  config: Record<'MAX_DELETIONS' | 'SETTLE_HPA_SECONDS' | 'SETTLE_CONFIG_SECONDS', number>,
): GuardSettings => ({
  maxDeletions: config.MAX_DELETIONS,
  settleHpaSeconds: config.SETTLE_HPA_SECONDS,
  settleConfigSeconds: config.SETTLE_CONFIG_SECONDS,
});
