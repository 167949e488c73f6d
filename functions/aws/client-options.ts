export interface AwsClientOptions {
  readonly region: string;
  /** A profile of the AWS configuration files, in place of what the SDK finds by itself. */
  readonly profile?: string;
  /** How many milliseconds an answer may take; without it 5,000. */
  readonly requestTimeout?: number;
}

/** What a client of the SDK is made with. */
export const awsClient = ({ region, profile, requestTimeout = 5_000 }: AwsClientOptions) => ({
  region,
  profile,
  // Without these a connection that is swallowed holds the function until its timeout.
  requestHandler: { connectionTimeout: 2_000, requestTimeout, throwOnRequestTimeout: true },
});
