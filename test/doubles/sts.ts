import { readEksToken } from './eks.ts';
import { type AwsRequest, type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** Answers a presigned GetCallerIdentity as STS does for `accept: application/json`, if the signature is right. */
export class StsDouble extends ServiceDouble {
  /** The requests, as `method https://host/path`, without the query. */
  readonly asked: string[] = [];
  readonly #secretAccessKey: string;
  readonly #identity: object;

  /**
   * @param secretAccessKey of the only known caller
   * @param identity the result of GetCallerIdentity
   */
  constructor(secretAccessKey: string, identity: Record<'Account' | 'Arn' | 'UserId', string>) {
    super();
    this.#secretAccessKey = secretAccessKey;
    this.#identity = identity;
  }

  protected override answer({ method, url, headers }: AwsRequest): ServiceAnswer {
    const presigned = `https://${headers.host}${url}`;
    this.asked.push(`${method} ${presigned.split('?')[0]}`);
    const signed = readEksToken(`k8s-aws-v1.${Buffer.from(presigned).toString('base64url')}`);
    const ResponseMetadata = { RequestId: 'request-1' };
    // An API server sends the name of its own cluster to STS, whichever cluster the token was created for.
    if (!signed?.isGoodFor(String(headers['x-k8s-aws-id']), this.#secretAccessKey)) {
      const fault = { Code: 'SignatureDoesNotMatch', Message: 'The signature is another.', Type: 'Sender' };
      return { status: 403, body: { Error: fault, ...ResponseMetadata } };
    }
    const GetCallerIdentityResponse = { GetCallerIdentityResult: this.#identity, ResponseMetadata };
    return { status: 200, body: { GetCallerIdentityResponse } };
  }
}
