import * as z from 'zod/mini';
import { DEFAULT_GUARDS, type GuardSettings } from '../domain/guards.ts';
import { wholeNumber } from '../platform/config.ts';

/** The environment variables of every function that sweeps. */
export const sweepSettings = {
  MODE: z.enum(['report', 'delete'], 'expected report or delete'),
  MAX_DELETIONS: wholeNumber(DEFAULT_GUARDS.maxDeletions, 0, 10_000),
  SETTLE_HPA_SECONDS: wholeNumber(DEFAULT_GUARDS.settleHpaSeconds, 0, 1_800),
  SETTLE_CONFIG_SECONDS: wholeNumber(DEFAULT_GUARDS.settleConfigSeconds, 0, 1_800),
};

const schema = z.object(sweepSettings);

export const guardsOf = (config: z.infer<typeof schema>): GuardSettings => ({
  maxDeletions: config.MAX_DELETIONS,
  settleHpaSeconds: config.SETTLE_HPA_SECONDS,
  settleConfigSeconds: config.SETTLE_CONFIG_SECONDS,
});
