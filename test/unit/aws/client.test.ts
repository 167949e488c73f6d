import { expect, test } from 'vitest';
import { callAws, isRefusal } from '../../../functions/aws/client.ts';
import { AwsAccessError } from '../../../functions/platform/errors.ts';
import { problemOf } from '../../../functions/platform/problems.ts';

const denial =
  'User: arn:aws:sts::123456789012:assumed-role/reader/jane is not authorized to perform: eks:DescribeCluster on resource: arn:aws:eks:eu-central-1:123456789012:cluster/shop';

test.each<[string, string, RegExp, boolean]>([
  [
    'AccessDeniedException',
    denial,
    /^The credentials do not allow eks:DescribeCluster: see docs\/permissions\.md\.$/,
    true,
  ],
  ['AccessDenied', 'refused', /^The credentials do not allow this call: see docs\/permissions\.md\.$/, true],
  ['ExpiredTokenException', 'expired', /^The credentials have expired: get new ones/, false],
  ['ExpiredToken', 'expired', /^The credentials have expired: get new ones/, false],
  ['RequestExpired', 'expired', /^The credentials have expired: get new ones/, false],
  ['TokenProviderError', 'Token is expired', /^Log in again: `aws sso login`/, false],
  ['CredentialsProviderError', 'Profile prod could not be found', /^Give AWS credentials: a profile that /, false],
  ['UnrecognizedClientException', 'refused', /^AWS does not know these credentials/, false],
  ['InvalidClientTokenId', 'refused', /^AWS does not know these credentials/, false],
  ['InvalidSignatureException', 'refused', /^The secret access key does not fit, or the clock/, false],
])('%s is reported as a fault of the credentials, with what to do', async (name, message, remedy, isDenied) => {
  const cause = Object.assign(new Error(message), { name });
  const error = await callAws('EKS could not describe cluster shop', Promise.reject(cause)).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(AwsAccessError);
  expect(isRefusal(error)).toBe(isDenied);
  expect(problemOf(error)).toMatchObject({
    reason: 'AwsAccessRefused',
    message: `EKS could not describe cluster shop: ${message}`,
    remedy: expect.stringMatching(remedy),
  });
});
