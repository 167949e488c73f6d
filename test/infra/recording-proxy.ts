import { callsOf, signatureOf } from '../doubles/aws-calls.ts';
import type { RecordedCall } from '../doubles/iam-policy.ts';
import { type AwsRequest, type ServiceAnswer, ServiceDouble } from '../doubles/service-double.ts';

interface ProxyOptions {
  /** The URL of the server that answers a request. */
  upstreamOf(path: string): string;
  /** Adds what is missing to an answer of status 200. */
  complete(path: string, answer: object): object;
}

/** A proxy before all services of AWS, which records what IAM authorizes before each request. */
export class RecordingProxy extends ServiceDouble {
  /** Each with the access key that signed it. */
  readonly calls: (RecordedCall & { accessKeyId: string })[] = [];
  readonly #options: ProxyOptions;

  constructor(options: ProxyOptions) {
    super();
    this.#options = options;
  }

  protected override async answer(request: AwsRequest, body: string): Promise<ServiceAnswer> {
    try {
      const { method, url: path = '/' } = request;
      const { accessKeyId } = signatureOf(request);
      for (const call of callsOf(request, body)) this.calls.push({ ...call, accessKeyId });
      const { host: _, connection: __, 'content-length': ___, ...headers } = request.headers;
      const answer = await fetch(this.#options.upstreamOf(path) + path, {
        method,
        headers: headers as Record<string, string>,
        body: body || undefined,
      });
      const { status } = answer;
      const received = JSON.parse((await answer.text()) || '{}');
      return { status, body: answer.ok ? this.#options.complete(path, received) : received };
    } catch (error) {
      // The function fails with it, since no client retries this status.
      return { status: 400, body: { __type: 'NotRecorded', message: String(error) } };
    }
  }
}
