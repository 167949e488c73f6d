import type { EKSClient } from '@aws-sdk/client-eks';
import { partition } from '@aws-sdk/core/client';
import { SignatureV4 } from '@smithy/signature-v4';
import { callAws } from './client.ts';

/** Milliseconds that a token is used. aws-iam-authenticator accepts it for 15 minutes; one minute is for clock skew. */
const TOKEN_TTL_MS = 14 * 60 * 1000;
/** X-Amz-Expires of the signature, in seconds; the authenticator uses its own 15 minutes. */
const SIGNATURE_SECONDS = 60;

/**
 * A bearer token for an EKS cluster: a presigned STS GetCallerIdentity that names the cluster in a signed header, so that
 * it is valid for no other cluster. Signed with the credentials of the EKS client.
 *
 * Source: the token format of sigs.k8s.io/aws-iam-authenticator (`k8s-aws-v1.` and unpadded base64url of the URL).
 *
 * @returns a function that gives the token: a new one after 14 minutes, or when asked to renew it. It throws
 * {@link AwsAccessError} without credentials
 */
export function eksToken(
  eks: EKSClient,
  cluster: string,
  region: string,
  now = () => new Date(),
): (renew?: boolean) => Promise<string> {
  const { credentials, sha256 } = eks.config;
  const hostname = `sts.${region}.${partition(region).dnsSuffix}`;
  const signer = new SignatureV4({ credentials, region, service: 'sts', sha256 });
  let token = '';
  let signedAt = Number.NEGATIVE_INFINITY;
  return async (renew = false) => {
    const signingDate = now();
    if (!renew && signingDate.getTime() - signedAt < TOKEN_TTL_MS) return token;
    const request = {
      method: 'GET',
      protocol: 'https:',
      hostname,
      path: '/',
      query: { Action: 'GetCallerIdentity', Version: '2011-06-15' },
      headers: { host: hostname, 'x-k8s-aws-id': cluster },
    };
    const signed = signer.presign(request, { expiresIn: SIGNATURE_SECONDS, signingDate });
    const { query } = await callAws(`the token for cluster ${cluster} could not be signed`, signed);
    const url = `https://${hostname}/?${new URLSearchParams(query as Record<string, string>)}`;
    token = `k8s-aws-v1.${Buffer.from(url).toString('base64url')}`;
    signedAt = signingDate.getTime();
    return token;
  };
}
