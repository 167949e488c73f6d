import type { IncomingMessage } from 'node:http';
import { queryRefusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** Answers Publish as Amazon SNS does (the query protocol: a form in, XML out), by its limits for a message to a topic. */
export class SnsDouble extends ServiceDouble {
  /** The form of each request, in the order of arrival, whatever the answer was. */
  readonly requests: Record<string, string>[] = [];

  protected override answer(
    _request: Pick<IncomingMessage, 'headers'>,
    body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer {
    const form = Object.fromEntries(new URLSearchParams(body));
    this.requests.push(form);
    if (failure !== undefined) return failure;
    const { Action, Subject = '', Message = '' } = form;
    if (Action !== 'Publish') return queryRefusal(400, 'InvalidAction');
    const isSubject = /^[\x21-\x7e][\x20-\x7e]{0,98}$/.test(Subject);
    if (!isSubject || Message === '' || Buffer.byteLength(Message) > 262_144)
      return this.refused(400, 'InvalidParameter');
    return {
      status: 200,
      body: `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>message-${this.requests.length}</MessageId></PublishResult></PublishResponse>`,
    };
  }

  protected override refused(status: number, code: string): ServiceAnswer {
    return queryRefusal(status, code);
  }
}
