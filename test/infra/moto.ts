import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { CloudWatchLogsClient, DescribeLogGroupsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { EventBridgeClient, ListEventBusesCommand, ListRulesCommand } from '@aws-sdk/client-eventbridge';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';

export const REGION = 'eu-central-1';

/** moto's server as an AWS account, on a port that the system chooses. */
export class Moto {
  readonly url: string;
  readonly #server: ChildProcess;
  readonly cloudFormation: CloudFormationClient;
  readonly logs: CloudWatchLogsClient;
  readonly events: EventBridgeClient;
  readonly s3: S3Client;

  private constructor(url: string, server: ChildProcess) {
    this.url = url;
    this.#server = server;
    const access = { region: REGION, endpoint: url, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
    this.cloudFormation = new CloudFormationClient(access);
    this.logs = new CloudWatchLogsClient(access);
    this.events = new EventBridgeClient(access);
    this.s3 = new S3Client(access);
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
      return new Moto(url, server);
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
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  }

  /** An account as new. */
  async reset(): Promise<void> {
    await fetch(`${this.url}/moto-api/reset`, { method: 'POST' });
  }

  async keys(bucket: string): Promise<string[]> {
    const { Contents = [] } = await this.s3.send(new ListObjectsV2Command({ Bucket: bucket }));
    return Contents.map(({ Key = '' }) => Key);
  }

  /** The names of all that is there, by kind; S3 apart. */
  async inventory() {
    const [groups, buses, functions, mappings, queues, roles, topics] = await Promise.all([
      this.logs.send(new DescribeLogGroupsCommand()),
      this.events.send(new ListEventBusesCommand()),
      this.functions(),
      this.#get<{ EventSourceMappings: { EventSourceArn: string }[] }>('/2015-03-31/event-source-mappings'),
      this.#ask('sqs', { target: 'AmazonSQS.ListQueues', body: '{}' }),
      this.#ask('iam', { body: 'Action=ListRoles&Version=2010-05-08' }),
      this.#ask('sns', { body: 'Action=ListTopics&Version=2010-03-31' }),
    ]);
    const busNames = (buses.EventBuses ?? []).map(({ Name = '' }) => Name);
    return {
      logGroups: (groups.logGroups ?? []).map(({ logGroupName = '' }) => logGroupName),
      buses: busNames,
      rules: (await Promise.all(busNames.map((bus) => this.#rules(bus)))).flat(),
      functions: functions.map(({ FunctionName }) => FunctionName),
      mappings: mappings.EventSourceMappings.map(({ EventSourceArn }) => EventSourceArn),
      queues: ((JSON.parse(queues) as { QueueUrls?: string[] }).QueueUrls ?? []).map((url) => url.split('/').at(-1)),
      roles: [...roles.matchAll(/<RoleName>([^<]+)/g)].map(([, name]) => name),
      topics: [...topics.matchAll(/<TopicArn>([^<]+)/g)].map(([, arn]) => arn),
    };
  }

  async functions(): Promise<{ FunctionName: string; CodeSha256: string; MemorySize: number }[]> {
    return (await this.#get<{ Functions: [] }>('/2015-03-31/functions')).Functions;
  }

  async #rules(EventBusName: string): Promise<string[]> {
    const { Rules = [] } = await this.events.send(new ListRulesCommand({ EventBusName }));
    return Rules.map(({ Name, EventPattern }) => `${EventBusName} ${Name} ${EventPattern}`);
  }

  async #get<Answer>(path: string): Promise<Answer> {
    return JSON.parse(await this.#ask('lambda', { path })) as Answer;
  }

  /** Of a service whose client is not among the packages here. */
  async #ask(service: string, { path = '/', target, body }: { path?: string; target?: string; body?: string }) {
    const response = await fetch(this.url + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        // moto learns the service from it, and checks no signature.
        authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${REGION}/${service}/aws4_request, SignedHeaders=host, Signature=0`,
        ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...(target !== undefined && { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': target }),
      },
      ...(body !== undefined && { body }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${service} answered ${response.status}: ${text}`);
    return text;
  }
}
