import { DescribeEventBusCommand, EventBridgeClient, ResourceNotFoundException } from '@aws-sdk/client-eventbridge';
import { BUS_NAME } from '../events/change-event.ts';
import { RetryableError } from '../platform/errors.ts';
import { awsError } from './access-error.ts';
import { type AwsClientOptions, awsClient } from './client-options.ts';
import { type BusEvent, EventBridgeBus, type EventBus } from './event-bus.ts';

/** Milliseconds that all of a call may take. */
const REQUEST_TIMEOUT_MS = 10_000;

/** The bus of the deployment in a Region, with the rights of a person. They may lack both. */
export class DeployedBus implements EventBus {
  readonly #client: EventBridgeClient;
  readonly #where: string;

  constructor(options: AwsClientOptions) {
    this.#client = new EventBridgeClient(awsClient(options));
    this.#where = `event bus ${BUS_NAME} in ${options.region}`;
  }

  /** @throws {RetryableError} also when there is no such bus, or it has not taken all in time */
  async put(events: readonly BusEvent[]): Promise<void> {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    try {
      await this.#find(signal);
      await new EventBridgeBus(this.#client, BUS_NAME).put(events, signal);
    } catch (error) {
      if (signal.aborted)
        throw new RetryableError(`no answer from ${this.#where} within ${REQUEST_TIMEOUT_MS / 1000} s`);
      // The bus wraps what the SDK threw, whose name tells the remedy.
      const reason = error instanceof RetryableError ? (error.cause ?? error) : error;
      throw awsError(`not all events reached ${this.#where}`, reason);
    }
  }

  /** PutEvents takes events for a bus that does not exist and drops them (github.com/aws/aws-cli/issues/9186). */
  async #find(abortSignal: AbortSignal): Promise<void> {
    try {
      await this.#client.send(new DescribeEventBusCommand({ Name: BUS_NAME }), { abortSignal });
    } catch (error) {
      if (error instanceof ResourceNotFoundException) {
        throw new RetryableError('there is none: nothing is deployed there, or the credentials are of another account');
      }
      // Who may not look may be allowed to put.
      if ((error as Error).name !== 'AccessDeniedException') throw error;
    }
  }
}
