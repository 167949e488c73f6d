import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { searchClient, searchLog } from './log-search.ts';

/** The outcomes that EventBridge has written to a log group. */
export interface OutcomeLog {
  /**
   * The events as JSON, page by page, the oldest first.
   *
   * @param until not included
   * @throws {RetryableError} when the log cannot be read
   */
  pages(since: Date, until: Date): AsyncIterable<string[]>;
}

/** A log group of CloudWatch Logs. */
export class CloudWatchOutcomeLog implements OutcomeLog {
  readonly #client: CloudWatchLogsClient;
  readonly #logGroupName: string;

  constructor(region: string, logGroupName: string) {
    this.#client = searchClient({ region });
    this.#logGroupName = logGroupName;
  }

  async *pages(since: Date, until: Date): AsyncGenerator<string[]> {
    const range = { startTime: since.getTime(), endTime: until.getTime() - 1 }; // CloudWatch Logs includes the end.
    for await (const events of searchLog(this.#client, { logGroupName: this.#logGroupName, ...range })) {
      yield events.map(({ message = '' }) => message);
    }
  }
}
