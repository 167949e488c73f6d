import type { EKSClient } from '@aws-sdk/client-eks';
import { partition } from '@aws-sdk/core/client';
import { SignatureV4 } from '@smithy/signature-v4';

/** aws-iam-authenticator lets a token in for 15 minutes from its signing; the last one is left to clocks that differ. */
const USED_FOR_MILLISECONDS = 14 * 60 * 1000;
/** What the signature says of itself (X-Amz-Expires), in seconds; the authenticator goes by its own 15 minutes. */
const SIGNED_FOR_SECONDS = 60;

/**
 * A bearer token for an EKS cluster: a presigned STS GetCallerIdentity that names the cluster in a signed header, so that
 * it is good for no other. Signed with the EKS client's own credentials.
 *
 * Source: the token format of sigs.k8s.io/aws-iam-authenticator (`k8s-aws-v1.` and unpadded base64url of the URL).
 *
 * @returns a function that gives the token, a new one when the last is 14 minutes old
 */
export function eksToken(eks: EKSClient, cluster: string, region: string, now: () => Date): () => Promise<string> {
  const { credentials, sha256 } = eks.config;
  const hostname = `sts.${region}.${partition(region).dnsSuffix}`;
  let token = '';
  let signedAt = Number.NEGATIVE_INFINITY;
  return async () => {
    const signingDate = now();
    if (signingDate.getTime() - signedAt < USED_FOR_MILLISECONDS) return token;
    const signer = new SignatureV4({ credentials, region, service: 'sts', sha256 });
    const { query } = await signer.presign(
      {
        method: 'GET',
        protocol: 'https:',
        hostname,
        path: '/',
        query: { Action: 'GetCallerIdentity', Version: '2011-06-15' },
        headers: { host: hostname, 'x-k8s-aws-id': cluster },
      },
      { expiresIn: SIGNED_FOR_SECONDS, signingDate },
    );
    const url = `https://${hostname}/?${new URLSearchParams(query as Record<string, string>)}`;
    token = `k8s-aws-v1.${Buffer.from(url).toString('base64url')}`;
    signedAt = signingDate.getTime();
    return token;
  };
}
