import { type CloudWatchLogsClient, ResourceNotFoundException } from '@aws-sdk/client-cloudwatch-logs';
import { MalformedInputError } from '../platform/errors.ts';
import type { AwsClientOptions } from './client-options.ts';
import { searchClient, searchLog } from './log-search.ts';

export interface LoggedDeletion {
  /** The JSON of a line `deleting HPA`. */
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
}

/** What the functions logged before each deletion. */
export interface DeletionLog {
  /**
   * The deletions in one cluster since then, the oldest first within each function.
   *
   * @throws {MalformedInputError} when none of the functions has a log here
   * @throws {RetryableError} when CloudWatch Logs cannot be asked
   */
  deletions(cluster: string, since: Date): Promise<LoggedDeletion[]>;
}

/** Of the functions that delete. */
const LOG_GROUPS = ['/aws/lambda/envoy-hpa-reaper-reap', '/aws/lambda/envoy-hpa-reaper-backfill'];

/** The logs in CloudWatch Logs of one Region. */
export class CloudWatchDeletionLog implements DeletionLog {
  readonly #client: CloudWatchLogsClient;
  readonly #region: string;

  constructor(options: AwsClientOptions) {
    this.#region = options.region;
    this.#client = searchClient(options);
  }

  async deletions(cluster: string, since: Date): Promise<LoggedDeletion[]> {
    const found = await Promise.all(LOG_GROUPS.map((group) => this.#search(group, cluster, since)));
    if (found.every((events) => events === undefined)) {
      throw new MalformedInputError(
        `${this.#region} has neither log group ${LOG_GROUPS.join(' nor ')}; name the Region of the deployment with --region`,
      );
    }
    return found.flatMap((events) => events ?? []);
  }

  /** @returns `undefined` where there is no such log group */
  async #search(logGroupName: string, cluster: string, since: Date): Promise<LoggedDeletion[] | undefined> {
    const deletions: LoggedDeletion[] = [];
    const pages = searchLog(this.#client, {
      logGroupName,
      startTime: since.getTime(),
      filterPattern: `{ $.message = "deleting HPA" && $.cluster = "${cluster}" }`,
    });
    try {
      for await (const events of pages) {
        for (const { message = '', timestamp = 0 } of events) deletions.push({ message, timestamp });
      }
      return deletions;
    } catch (error) {
      if (error instanceof Error && error.cause instanceof ResourceNotFoundException) return undefined;
      throw error;
    }
  }
}
