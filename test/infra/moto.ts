import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { CloudWatchLogsClient, DescribeLogGroupsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { EventBridgeClient, ListEventBusesCommand, ListRulesCommand } from '@aws-sdk/client-eventbridge';
import type { Packaging } from './packaged.ts';
import { readTemplate, resourcesOf, type Template } from './packaged.ts';

export const REGION = 'eu-central-1';
/** moto finds a template by its URL only where that has "localhost" in it. */
export const BUCKET = 'artifacts-localhost';

/**
 * A packaged template in a form that moto understands: there a rule cannot refer to its bus by `Ref`, and the ARN of a log
 * group does not go on to its streams.
 */
export function templateForMoto(packaging: Packaging): Template {
  const template = readTemplate(packaging);
  const text = resourcesOf(template, 'AWS::Logs::LogGroup').reduce(
    (changed, [id]) => changed.replaceAll(`{"Fn::GetAtt":["${id}","Arn"]}`, `{"Fn::Sub":"\${${id}.Arn}:*"}`),
    JSON.stringify(template).replaceAll('{"Ref":"EventBus"}', '{"Fn::GetAtt":["EventBus","Name"]}'),
  );
  return JSON.parse(text);
}

/** What Lambda tells of a function, as far as it is needed. */
export interface FunctionConfiguration {
  FunctionName: string;
  FunctionArn: string;
  CodeSha256: string;
  Handler: string;
  MemorySize: number;
  Timeout: number;
  /** The ARN. */
  Role: string;
  /** moto leaves numbers as they are. */
  Environment: { Variables: Record<string, string | number> };
}

/** What Lambda tells of how a queue leads to a function, as far as it is needed. */
export interface EventSourceMapping {
  UUID: string;
  BatchSize: number;
  EventSourceArn: string;
  FunctionArn: string;
  FunctionResponseTypes: string[];
}

/** What CloudFormation says about a stack, as far as it is needed. */
interface Stack {
  StackStatus: string;
  Parameters?: { ParameterKey: string; ParameterValue: string }[];
  Outputs?: { OutputKey: string; OutputValue: string }[];
  Tags: { Key: string; Value: string }[];
}

const IN_REGION = ['--create-bucket-configuration', `LocationConstraint=${REGION}`];

/** A request of the query protocol. */
const form = (input: Record<string, string>) => ({
  type: 'application/x-www-form-urlencoded',
  body: new URLSearchParams(input).toString(),
});

/** moto's server as an AWS account, on a port that the system chooses. */
export class Moto {
  readonly url: string;
  readonly #server: ChildProcess;
  readonly logs: CloudWatchLogsClient;
  readonly events: EventBridgeClient;
  readonly #bin: string;

  private constructor(url: string, server: ChildProcess, bin: string) {
    this.url = url;
    this.#server = server;
    this.#bin = bin;
    const access = { region: REGION, endpoint: url, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
    this.logs = new CloudWatchLogsClient(access);
    this.events = new EventBridgeClient(access);
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

  /** The environment of a process for which this is AWS. */
  environment(): NodeJS.ProcessEnv {
    const { AWS_PROFILE: _profile, ...rest } = process.env;
    return {
      ...rest,
      AWS_ENDPOINT_URL: this.url,
      AWS_REGION: REGION,
      AWS_DEFAULT_REGION: REGION, // Version 1 of the AWS CLI reads no other.
      PATH: `${this.#bin}${delimiter}${process.env.PATH}`,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  }

  /** An account as new. */
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
  async createStack(
    name: string,
    { folder }: Packaging,
    template: Template,
    parameters: Readonly<Record<string, string>> = {},
  ): Promise<Map<string, string>> {
    await this.aws(
      's3',
      'cp',
      folder,
      `s3://${BUCKET}`,
      '--recursive',
      '--exclude',
      '*',
      '--include',
      '*-*.zip',
      '--quiet',
    );
    const file = join(folder, 'template-for-moto.json');
    await writeFile(file, JSON.stringify(template));
    const values = Object.entries({ ArtifactBucket: BUCKET, ArtifactPrefix: '', ...parameters });
    await this.aws(
      ...['cloudformation', 'create-stack', '--stack-name', name, '--template-body', `file://${file}`],
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

  /** The names of all that is there, by kind; S3 apart. */
  async inventory() {
    const [groups, buses, functions, mappings, queues, roles, topics] = await Promise.all([
      this.logs.send(new DescribeLogGroupsCommand()),
      this.events.send(new ListEventBusesCommand()),
      this.functions(),
      this.eventSourceMappings(),
      this.sqs<{ QueueUrls?: string[] }>('ListQueues'),
      this.#ask('iam', form({ Action: 'ListRoles', Version: '2010-05-08' })),
      this.#ask('sns', form({ Action: 'ListTopics', Version: '2010-03-31' })),
    ]);
    const busNames = (buses.EventBuses ?? []).map(({ Name = '' }) => Name);
    return {
      logGroups: (groups.logGroups ?? []).map(({ logGroupName = '' }) => logGroupName),
      buses: busNames,
      rules: (await Promise.all(busNames.map((bus) => this.#rules(bus)))).flat(),
      functions: functions.map(({ FunctionName }) => FunctionName),
      mappings: mappings.map(({ EventSourceArn }) => EventSourceArn),
      queues: (queues.QueueUrls ?? []).map((url) => url.split('/').at(-1)),
      roles: [...roles.matchAll(/<RoleName>([^<]+)/g)].map(([, name]) => name),
      topics: [...topics.matchAll(/<TopicArn>([^<]+)/g)].map(([, arn]) => arn),
    };
  }

  async functions(): Promise<FunctionConfiguration[]> {
    return (await this.lambda<{ Functions: FunctionConfiguration[] }>('/functions')).Functions;
  }

  async eventSourceMappings(): Promise<EventSourceMapping[]> {
    const path = '/event-source-mappings';
    return (await this.lambda<{ EventSourceMappings: EventSourceMapping[] }>(path)).EventSourceMappings;
  }

  async #rules(EventBusName: string): Promise<string[]> {
    const { Rules = [] } = await this.events.send(new ListRulesCommand({ EventBusName }));
    return Rules.map(({ Name, EventPattern }) => `${EventBusName} ${Name} ${EventPattern}`);
  }

  async lambda<Answer>(path: string, sent: { method?: string; input?: object } = {}): Promise<Answer> {
    const { method, input } = sent;
    const body = input && JSON.stringify(input);
    return JSON.parse(await this.#ask('lambda', { path: `/2015-03-31${path}`, method, body }));
  }

  async sqs<Answer>(operation: string, input: object = {}): Promise<Answer> {
    const answer = await this.#ask('sqs', {
      type: 'application/x-amz-json-1.0',
      target: `AmazonSQS.${operation}`,
      body: JSON.stringify(input),
    });
    return (answer === '' ? {} : JSON.parse(answer)) as Answer;
  }

  /** Of a service whose client is not among the packages here. */
  async #ask(service: string, sent: { method?: string; path?: string; target?: string; body?: string; type?: string }) {
    const { path = '/', target, body, type = 'application/json', method = body === undefined ? 'GET' : 'POST' } = sent;
    const response = await fetch(this.url + path, {
      method,
      headers: {
        // moto learns the service from it, and checks no signature.
        authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${REGION}/${service}/aws4_request, SignedHeaders=host, Signature=0`,
        ...(body !== undefined && { 'content-type': type }),
        ...(target !== undefined && { 'x-amz-target': target }),
      },
      body,
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${service} answered ${response.status}: ${text}`);
    return text;
  }
}
