import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { backfillConfigSchema } from '../../../functions/backfill/backfill.ts';
import { forwardConfigSchema } from '../../../functions/forward/forward.ts';
import { clusterOfLogGroup, logGroupOf } from '../../../functions/platform/eks-names.ts';
import {
  ClusterSkippedError,
  describeError,
  MalformedInputError,
  RetryableError,
  UsageError,
} from '../../../functions/platform/errors.ts';
import { lambdaHandler } from '../../../functions/platform/lambda.ts';

const ENVIRONMENT = { ACCOUNT_ID: '123456789012', AWS_REGION: 'eu-central-1', EVENT_BUS_NAME: 'bus' };

test('the environment of a function has numbers, by default and for text', () => {
  const least = { ...ENVIRONMENT, MODE: 'report' };
  const ofGuards = { MAX_DELETIONS: 25, SETTLE_HPA_SECONDS: 120, SETTLE_CONFIG_SECONDS: 180 };
  const defaults = { ...least, ...ofGuards, MAX_DELETIONS_PER_RUN: 100 };
  expect(backfillConfigSchema.parse(least)).toEqual(defaults);
  expect(backfillConfigSchema.parse({ ...least, MAX_DELETIONS: '0', SETTLE_HPA_SECONDS: '1800' })).toEqual({
    ...{ ...defaults, MAX_DELETIONS: 0, SETTLE_HPA_SECONDS: 1_800 },
  });
});

test.each(['SAMPLE_RATE', 'LOG_EVENT'])('a function cannot start with a malformed POWERTOOLS_LOGGER_%s', (variable) => {
  onTestFinished(() => void vi.unstubAllEnvs());
  const name = `POWERTOOLS_LOGGER_${variable}`;
  for (const [key, value] of Object.entries({ ...ENVIRONMENT, [name]: 'secret' })) vi.stubEnv(key, value);
  const start = () => lambdaHandler('forward', forwardConfigSchema, 'failed', () => async () => {});
  const message = expect.stringMatching(`^the environment does not fit: (?!.*secret).*${name}`);
  expect(start).toThrow(expect.objectContaining({ name: 'ConfigurationError', message }));
});

describe('the message of an error', () => {
  test.each([
    ['with a cause', new Error('a', { cause: new Error('b') }), 'a: b'],
    ['that includes its cause', new Error('a: b', { cause: new Error('b') }), 'a: b'],
    ['that is none', 'thrown', 'thrown'],
    ['of several without a word', new AggregateError([new Error('a', { cause: 'c' }), new Error('b')]), 'a: c; b'],
    ['of several with a word', new AggregateError([new Error('a')], 'both failed'), 'both failed'],
    ['whose cause is several', new Error('EKS', { cause: new AggregateError([new Error('a')]) }), 'EKS: a'],
  ])('includes every cause once: an error %s', (_, error, message) => {
    expect(describeError(error)).toBe(message);
  });
});

describe('a message that quotes what somebody else wrote', () => {
  const odd = 'a\r\nb\u001B[2J\u2028\uD800c\u202Ed';
  test.each([
    ['of malformed input', new MalformedInputError(odd).message],
    ['of wrong usage', new UsageError(odd).message],
    ['of a failure', new RetryableError(odd).message],
    ['of a skipped cluster', new ClusterSkippedError({ reason: 'ClusterNotFound', message: odd, remedy: '' }).message],
    ['of a cause', describeError(new Error('because', { cause: new Error(odd) })).replace('because: ', '')],
    ['of what is no Error', describeError(odd)],
  ])('is one line that can be printed: %s', (_, message) => {
    expect(message).toBe('a b [2J c d');
  });

  test('is cut where it quotes very much', () => {
    expect(new UsageError('x'.repeat(100_000)).message).toHaveLength(2_001);
    expect(describeError('x'.repeat(100_000))).toHaveLength(2_001);
  });

  test('keeps what only looks odd', () => {
    expect(new UsageError('Zoë 💥 日本 …').message).toBe('Zoë 💥 日本 …');
  });
});

test('assigns a log group to the cluster whose control plane writes it, or to none', () => {
  expect(clusterOfLogGroup(logGroupOf('shop'))).toBe('shop');
  for (const name of ['/aws/eks/shop', '/aws/eks/a/b/cluster', '/aws/eks/shop/cluster/2', 'x/aws/eks/shop/cluster']) {
    expect(clusterOfLogGroup(name), name).toBeUndefined();
  }
});
