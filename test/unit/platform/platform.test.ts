import { afterEach, describe, expect, test, vi } from 'vitest';
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

describe('the environment of a function', () => {
  const least = { ACCOUNT_ID: '123456789012', AWS_REGION: 'eu-central-1', MODE: 'report', EVENT_BUS_NAME: 'bus' };
  const numbers = {
    MAX_DELETIONS: 25,
    SETTLE_HPA_SECONDS: 120,
    SETTLE_CONFIG_SECONDS: 180,
    MAX_DELETIONS_PER_RUN: 100,
  };

  test('has numbers, by default and for text', () => {
    expect(backfillConfigSchema.parse(least)).toEqual({ ...least, ...numbers });
    expect(backfillConfigSchema.parse({ ...least, MAX_DELETIONS: '0', SETTLE_HPA_SECONDS: '1800' })).toEqual({
      ...least,
      ...numbers,
      MAX_DELETIONS: 0,
      SETTLE_HPA_SECONDS: 1_800,
    });
  });
});

describe('a function cannot start', () => {
  afterEach(() => void vi.unstubAllEnvs());
  test.each(['POWERTOOLS_LOGGER_SAMPLE_RATE', 'POWERTOOLS_LOGGER_LOG_EVENT'])('with a malformed %s', (name) => {
    for (const [key, value] of Object.entries({ ACCOUNT_ID: '123456789012', AWS_REGION: 'eu-central-1' })) {
      vi.stubEnv(key, value);
    }
    vi.stubEnv('EVENT_BUS_NAME', 'bus');
    vi.stubEnv(name, 'secret');
    const start = () => lambdaHandler('forward', forwardConfigSchema, 'failed', () => async () => {});
    const message = expect.stringMatching(`^the environment does not fit: (?!.*secret).*${name}`);
    expect(start).toThrow(expect.objectContaining({ name: 'ConfigurationError', message }));
  });
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
    ['of malformed input', new MalformedInputError(odd)],
    ['of wrong usage', new UsageError(odd)],
    ['of a failure', new RetryableError(odd)],
    ['of a skipped cluster', new ClusterSkippedError({ reason: 'ClusterNotFound', message: odd, remedy: '' })],
  ])('is one line that can be printed: %s', (_, { message }) => {
    expect(message).toBe('a b [2J c d');
  });

  test('is one line also where the cause quotes it, or the error is no Error', () => {
    expect(describeError(new Error('a', { cause: new Error(odd) }))).toBe('a: a b [2J c d');
    expect(describeError(odd)).toBe('a b [2J c d');
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
