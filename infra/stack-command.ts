import process from 'node:process';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { S3Client } from '@aws-sdk/client-s3';
import type { Command } from 'commander';
import { awsError } from '../functions/aws/access-error.ts';
import { defaultRegion } from '../functions/cli/input/targets.ts';
import { AwsAccessError, describeError, MalformedInputError } from '../functions/platform/errors.ts';
import { ArtifactBucket } from './artifact-bucket.ts';
import { Stack } from './stack.ts';

/** Which stack a command is about. */
export interface StackOptions {
  readonly stackName: string;
  readonly region?: string;
  readonly profile?: string;
}

export const addStackOptions = (command: Command): Command =>
  command
    .option('--stack-name <name>', 'the CloudFormation stack', 'envoy-hpa-reaper')
    .option('--region <name>', 'the AWS Region (default: as the AWS SDK finds it)')
    .option('--profile <name>', 'a profile of the AWS configuration (default: as the AWS SDK finds it)');

const placeOf = ({ region, profile }: StackOptions) => ({ region, profile });

export const stackOf = (options: StackOptions): Stack =>
  new Stack(new CloudFormationClient(placeOf(options)), options.stackName);

export const bucketOf = (options: StackOptions, name: string): ArtifactBucket =>
  new ArtifactBucket(new S3Client(placeOf(options)), name);

/** Does it with the Region that is meant, or says on stderr what failed and what to do about it, with exit code 1. */
export async function orExplain<Options extends StackOptions>(
  options: Options,
  work: (options: Options) => Promise<void>,
): Promise<void> {
  try {
    await work({ ...options, region: options.region ?? (await defaultRegion(options.profile)) });
  } catch (thrown) {
    const isTold = thrown instanceof AwsAccessError || thrown instanceof MalformedInputError;
    const error = isTold ? thrown : awsError(`stack ${options.stackName}`, thrown);
    console.error(describeError(error));
    if (error instanceof AwsAccessError) console.error(error.remedy);
    process.exitCode = 1;
  }
}
