import type { IncomingMessage } from 'node:http';
import { readEksToken } from './eks.ts';
import { type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** The header that an API server sends to STS with its own cluster's name, whatever the token was made for. */
const CLUSTER_HEADER = 'x-k8s-aws-id';

/** Who a caller is, as GetCallerIdentity says. */
export interface CallerIdentity {
  Account: string;
  Arn: string;
  UserId: string;
}

/** Answers a presigned GetCallerIdentity as STS does for `accept: application/json`, if the signature is right. */
export class StsDouble extends ServiceDouble {
  /** What was asked, as `method https://host/path`, without the query. */
  readonly asked: string[] = [];
  readonly #secretAccessKey: string;
  readonly #identity: CallerIdentity;

  /** @param secretAccessKey of the one caller that is known here */
  constructor(secretAccessKey: string, identity: CallerIdentity) {
    super();
    this.#secretAccessKey = secretAccessKey;
    this.#identity = identity;
  }

  protected override answer(
    { method, url, headers }: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
    _body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer {
    const presigned = `https://${headers.host}${url}`;
    this.asked.push(`${method} ${presigned.split('?')[0]}`);
    if (failure !== undefined) return failure;
    const signed = readEksToken(`k8s-aws-v1.${Buffer.from(presigned).toString('base64url')}`);
    if (!signed?.isGoodFor(String(headers[CLUSTER_HEADER]), this.#secretAccessKey)) {
      const fault = { Code: 'SignatureDoesNotMatch', Message: 'The signature is another.', Type: 'Sender' };
      return { status: 403, body: { Error: fault, RequestId: 'request-1' } };
    }
    const GetCallerIdentityResponse = {
      GetCallerIdentityResult: this.#identity,
      ResponseMetadata: { RequestId: 'request-1' },
    };
    return { status: 200, body: { GetCallerIdentityResponse } };
  }
}
