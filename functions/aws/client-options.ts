export interface AwsClientOptions {
  readonly region: string;
  /** A profile of the AWS configuration files, in place of what the SDK finds by itself. */
  readonly profile?: string | undefined;
}

/** What a client of the SDK is made with. */
export const awsClient = ({ region, profile }: AwsClientOptions) => ({
  region,
  ...(profile !== undefined && { profile }),
  // Without these a connection that is swallowed holds the function until its timeout.
  requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
});
