import { callsOf, signatureOf } from '../doubles/aws-calls.ts';
import type { RecordedCall } from '../doubles/iam-policy.ts';
import { type AwsRequest, type ServiceAnswer, ServiceDouble } from '../doubles/service-double.ts';

/** A proxy before all services of AWS, which records what IAM authorizes before each request. */
export class RecordingProxy extends ServiceDouble {
  /** Each with the access key that signed it. */
  readonly calls: (RecordedCall & { accessKeyId: string })[] = [];
  readonly #upstreamOf: (request: AwsRequest) => string;

  /** @param upstreamOf the URL of the server that answers a request */
  constructor(upstreamOf: (request: AwsRequest) => string) {
    super();
    this.#upstreamOf = upstreamOf;
  }

  protected override async answer(request: AwsRequest, body: string): Promise<ServiceAnswer> {
    try {
      const { method, url = '/' } = request;
      const { accessKeyId } = signatureOf(request);
      for (const call of callsOf(request, body)) this.calls.push({ ...call, accessKeyId });
      const { host: _, connection: __, 'content-length': ___, ...headers } = request.headers;
      const answer = await fetch(this.#upstreamOf(request) + url, {
        method,
        headers: headers as Record<string, string>,
        body: body || undefined,
      });
      return { status: answer.status, body: JSON.parse((await answer.text()) || '{}') };
    } catch (error) {
      // The function fails with it, since no client retries this status.
      return { status: 400, body: { __type: 'NotRecorded', message: String(error) } };
    }
  }
}
