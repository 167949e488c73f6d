import { type ChildProcess, execFile } from 'node:child_process';
import { delimiter } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';

/** moto finds a template by its URL only if that contains "localhost". */
export const BUCKET = 'artifacts-localhost';

/** The configuration of a Lambda function, as far as it is used. */
export interface FunctionConfiguration {
  FunctionName: string;
  FunctionArn: string;
  CodeSha256: string;
  Handler: string;
  MemorySize: number;
  Timeout: number;
  /** The ARN. */
  Role: string;
  /** moto does not convert numbers. */
  Environment: { Variables: Record<string, string | number> };
}

/** An event source mapping, as far as it is used. */
export interface EventSourceMapping {
  UUID: string;
  BatchSize: number;
  EventSourceArn: string;
  FunctionArn: string;
  FunctionResponseTypes: string[];
}

/** A CloudFormation stack, as far as it is used. */
interface Stack {
  StackStatus: string;
  Parameters?: { ParameterKey: string; ParameterValue: string }[];
  Outputs?: { OutputKey: string; OutputValue: string }[];
  Tags: { Key: string; Value: string }[];
}

const INVENTORY = [
  ...['logs describe-log-groups', 'events list-event-buses', 'lambda list-functions'],
  ...['lambda list-event-source-mappings', 'iam list-roles', 'sns list-topics'],
];

const IN_REGION = ['--create-bucket-configuration', `LocationConstraint=${REGION}`];

/** LocalStack takes a key that is the ID of an account for one of that account; moto takes any key. */
const KEY = { accessKeyId: ACCOUNT, secretAccessKey: 'test' };

/** The flags of a stack with the code from {@link BUCKET} and these parameters. */
export const withParameters = (parameters: Readonly<Record<string, string>>): string[] => {
  const values = Object.entries({ ArtifactBucket: BUCKET, ...parameters });
  const given = values.map(([ParameterKey, ParameterValue]) => ({ ParameterKey, ParameterValue }));
  return ['--capabilities', 'CAPABILITY_NAMED_IAM', '--parameters', JSON.stringify(given)];
};

/** A server that emulates the services of an AWS account. */
export abstract class Emulator {
  readonly url: string;
  protected readonly server: ChildProcess;
  readonly logs: CloudWatchLogsClient;
  readonly #bin: string;

  /** @param bin the folder of the AWS CLI */
  constructor(url: string, server: ChildProcess, bin: string) {
    this.url = url;
    this.server = server;
    this.#bin = bin;
    this.logs = new CloudWatchLogsClient({ region: REGION, endpoint: url, credentials: KEY });
  }

  /** The environment of a process that uses this account. */
  environment(): NodeJS.ProcessEnv {
    const { AWS_PROFILE: _profile, ...rest } = process.env;
    return {
      ...rest,
      AWS_ENDPOINT_URL: this.url,
      AWS_REGION: REGION,
      AWS_DEFAULT_REGION: REGION, // Read by version 1 of the AWS CLI.
      PATH: `${this.#bin}${delimiter}${process.env.PATH}`,
      AWS_ACCESS_KEY_ID: KEY.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEY.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  }

  /** Runs the AWS CLI and parses what it prints. */
  async aws<Answer = unknown>(...args: readonly string[]): Promise<Answer> {
    const env = this.environment();
    const { stdout } = await promisify(execFile)('aws', [...args, '--output', 'json'], { env, maxBuffer: 2 ** 26 });
    return JSON.parse(stdout || 'null');
  }

  /** A call of SQS, without the time that the AWS CLI needs. */
  async sqs<Answer>(operation: string, input: object): Promise<Answer> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: {
        // The service is read from it, and no signature is checked.
        authorization: `AWS4-HMAC-SHA256 Credential=${KEY.accessKeyId}/20260101/${REGION}/sqs/aws4_request, SignedHeaders=host, Signature=0`,
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': `AmazonSQS.${operation}`,
      },
      body: JSON.stringify(input),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${operation} answered ${response.status}: ${text}`);
    return JSON.parse(text || '{}');
  }

  createBucket = () => this.aws('s3api', 'create-bucket', '--bucket', BUCKET, ...IN_REGION);

  async stacks(): Promise<Stack[]> {
    return (await this.aws<{ Stacks: Stack[] }>('cloudformation', 'describe-stacks')).Stacks;
  }

  /**
   * What the account contains, except in S3.
   *
   * @param others further commands that list something
   */
  inventory = (...others: string[]) =>
    Promise.all([...INVENTORY, ...others].map((command) => this.aws(...command.split(' '))));

  async queues(): Promise<string[]> {
    return (await this.sqs<{ QueueUrls?: string[] }>('ListQueues', {})).QueueUrls ?? [];
  }

  async functions(): Promise<FunctionConfiguration[]> {
    return (await this.aws<{ Functions: FunctionConfiguration[] }>('lambda', 'list-functions')).Functions;
  }
}
