import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { type Packaging, readTemplate, resourcesOf, type Template } from './packaged.ts';

export const REGION = 'eu-central-1';
/** moto finds a template by its URL only if that contains "localhost". */
export const BUCKET = 'artifacts-localhost';

/**
 * A packaged template that moto supports: a rule cannot refer to its bus by `Ref`, and the ARN of a log group has no `:*`.
 */
export function templateForMoto(packaging: Packaging): Template {
  const template = readTemplate(packaging);
  const text = resourcesOf(template, 'AWS::Logs::LogGroup').reduce(
    (changed, [id]) => changed.replaceAll(`{"Fn::GetAtt":["${id}","Arn"]}`, `{"Fn::Sub":"\${${id}.Arn}:*"}`),
    JSON.stringify(template).replaceAll('{"Ref":"EventBus"}', '{"Fn::GetAtt":["EventBus","Name"]}'),
  );
  return JSON.parse(text);
}

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

/** The moto server as an AWS account, on a free port. */
export class Moto {
  readonly url: string;
  readonly #server: ChildProcess;
  readonly logs: CloudWatchLogsClient;
  readonly #bin: string;

  private constructor(url: string, server: ChildProcess, bin: string) {
    this.url = url;
    this.#server = server;
    this.#bin = bin;
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
    this.logs = new CloudWatchLogsClient({ region: REGION, endpoint: url, credentials });
  }

  static async start(bin: string): Promise<Moto> {
    const server = spawn(join(bin, 'moto_server'), ['-H', '127.0.0.1', '-p', '0'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PYTHONUNBUFFERED: '1' },
    });
    const said: string[] = [];
    for await (const line of createInterface(server.stderr)) {
      said.push(line);
      const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(line) ?? [];
      if (url === undefined) continue;
      server.stderr.resume();
      return new Moto(url, server, bin);
    }
    throw new Error(`moto did not start:\n${said.join('\n')}`);
  }

  async stop(): Promise<void> {
    this.#server.kill();
    await once(this.#server, 'exit');
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
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  }

  /** Empties the account. */
  async reset(): Promise<void> {
    await fetch(`${this.url}/moto-api/reset`, { method: 'POST' });
  }

  /** Runs the AWS CLI and parses what it prints. */
  async aws<Answer = unknown>(...args: readonly string[]): Promise<Answer> {
    const env = this.environment();
    const { stdout } = await promisify(execFile)('aws', [...args, '--output', 'json'], { env, maxBuffer: 2 ** 26 });
    return JSON.parse(stdout || 'null');
  }

  createBucket = () => this.aws('s3api', 'create-bucket', '--bucket', BUCKET, ...IN_REGION);

  /**
   * Creates a stack from a template alone, as a StackSet does. moto has no outputs of a stack that a change set created.
   *
   * @param template of the packaging, for moto
   */
  async createStack({ folder }: Packaging, template: Template, parameters: Readonly<Record<string, string>> = {}) {
    const zips = ['--recursive', '--exclude', '*', '--include', '*-*.zip', '--quiet'];
    await this.aws('s3', 'cp', folder, `s3://${BUCKET}`, ...zips);
    const file = join(folder, 'template-for-moto.json');
    await writeFile(file, JSON.stringify(template));
    const values = Object.entries({ ArtifactBucket: BUCKET, ArtifactPrefix: '', ...parameters });
    await this.aws(
      ...['cloudformation', 'create-stack', '--stack-name', 'envoy-hpa-reaper', '--template-body', `file://${file}`],
      ...['--capabilities', 'CAPABILITY_NAMED_IAM', '--parameters'],
      JSON.stringify(values.map(([ParameterKey, ParameterValue]) => ({ ParameterKey, ParameterValue }))),
    );
    const [stack] = await this.stacks();
    if (stack?.StackStatus !== 'CREATE_COMPLETE') throw new Error(`the stack is ${stack?.StackStatus}`);
    return new Map(stack.Outputs?.map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]));
  }

  async stacks(): Promise<Stack[]> {
    return (await this.aws<{ Stacks: Stack[] }>('cloudformation', 'describe-stacks')).Stacks;
  }

  async keys(): Promise<string[]> {
    const listed = await this.aws<{ Contents?: { Key: string }[] }>('s3api', 'list-objects-v2', '--bucket', BUCKET);
    return (listed?.Contents ?? []).map(({ Key }) => Key);
  }

  /** What the account contains, except in S3. */
  inventory = () =>
    Promise.all([this.sqs('ListQueues', {}), ...INVENTORY.map((command) => this.aws(...command.split(' ')))]);

  async functions(): Promise<FunctionConfiguration[]> {
    return (await this.aws<{ Functions: FunctionConfiguration[] }>('lambda', 'list-functions')).Functions;
  }

  /** A call of SQS, without the time that the AWS CLI needs. */
  async sqs<Answer>(operation: string, input: object): Promise<Answer> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: {
        // moto reads the service from it, and checks no signature.
        authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${REGION}/sqs/aws4_request, SignedHeaders=host, Signature=0`,
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': `AmazonSQS.${operation}`,
      },
      body: JSON.stringify(input),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${operation} answered ${response.status}: ${text}`);
    return JSON.parse(text || '{}');
  }
}
