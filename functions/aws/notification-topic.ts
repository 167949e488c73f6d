import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { awsError } from './access-error.ts';
import { awsClient } from './client-options.ts';

/** Where people are told. */
export interface NotificationTopic {
  /**
   * @param subject under 100 characters of ASCII, no line break
   * @param text at most 256 KB
   * @returns the id of the message
   * @throws {RetryableError} when the topic has not taken it, or may have taken it and has not answered
   */
  publish(subject: string, text: string): Promise<string>;
}

/** Milliseconds. A message that is sent again because its answer was late comes twice. */
const REQUEST_TIMEOUT = 30_000;

/** A topic of Amazon SNS. */
export class SnsTopic implements NotificationTopic {
  readonly #client: SNSClient;
  readonly #arn: string;

  constructor(region: string, arn: string) {
    this.#client = new SNSClient(awsClient({ region, requestTimeout: REQUEST_TIMEOUT }));
    this.#arn = arn;
  }

  async publish(subject: string, text: string): Promise<string> {
    try {
      const command = new PublishCommand({ TopicArn: this.#arn, Subject: subject, Message: text });
      return (await this.#client.send(command)).MessageId ?? '';
    } catch (error) {
      throw awsError(`SNS did not take the message for ${this.#arn}`, error);
    }
  }
}
