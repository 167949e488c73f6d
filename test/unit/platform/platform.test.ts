import { describe, expect, test } from 'vitest';
import { backfillConfigSchema } from '../../../functions/backfill/backfill.ts';
import { clusterOfLogGroup, logGroupOf } from '../../../functions/platform/eks-names.ts';
import { describeError } from '../../../functions/platform/errors.ts';

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

test('assigns a log group to the cluster whose control plane writes it, or to none', () => {
  expect(clusterOfLogGroup(logGroupOf('shop'))).toBe('shop');
  for (const name of ['/aws/eks/shop', '/aws/eks/a/b/cluster', '/aws/eks/shop/cluster/2', 'x/aws/eks/shop/cluster']) {
    expect(clusterOfLogGroup(name), name).toBeUndefined();
  }
});
