import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { waitFor } from '../contract/server.ts';
import { freePorts } from '../real/control-plane/start.ts';
import { BUCKET, Emulator, withParameters } from './emulator.ts';
import type { Packaging } from './packaged.ts';

/** A run of a function. */
export interface Invocation {
  function: string;
  // biome-ignore lint/suspicious/noExplicitAny: each function has events of its own
  event: any;
  // biome-ignore lint/suspicious/noExplicitAny: each function has answers of its own
  answer: any;
  failed: boolean;
}

/** A change of a change set, as far as it is used. */
interface Change {
  ResourceChange: { Action: string; LogicalResourceId: string };
}

const STACK = ['--stack-name', 'envoy-hpa-reaper'];

/** LocalStack as an AWS account, on a free port. It runs the functions (localstack_server.py). */
export class LocalStack extends Emulator {
  /** The runs of functions so far, in the order of their end. */
  readonly invocations: Invocation[] = [];
  readonly #folder: string;

  private constructor(url: string, server: ChildProcess, bin: string, folder: string) {
    super(url, server, bin);
    this.#folder = folder;
  }

  /**
   * @param python the folder of LocalStack's Python
   * @param bin the folder of the AWS CLI
   * @param eks the URL of EKS for the functions
   */
  static async start(python: string, bin: string, eks: string): Promise<LocalStack> {
    const folder = await mkdtemp(join(tmpdir(), 'localstack-'));
    const [port] = await freePorts(1);
    const address = `127.0.0.1:${port}`;
    const scripts = [join(import.meta.dirname, 'localstack_server.py'), process.execPath];
    const server = spawn(join(python, 'python'), [...scripts, join(import.meta.dirname, '../e2e/one-invocation.mjs')], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true, // A group of its own, which ends as a whole.
      env: {
        ...{ PATH: process.env.PATH, HOME: folder, TMPDIR: folder, XDG_CACHE_HOME: folder, FILESYSTEM_ROOT: folder },
        ...{ PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1', AWS_ENDPOINT_URL_EKS: eks },
        // No access to any network: no usage events, no certificate, no DNS server.
        ...{ GATEWAY_LISTEN: address, DISABLE_EVENTS: '1', SKIP_SSL_CERT_DOWNLOAD: '1', DNS_ADDRESS: '0' },
        LAMBDA_RETRY_BASE_DELAY: '1',
      },
    });
    const localStack = new LocalStack(`http://${address}`, server, bin, folder);
    const said: string[] = [];
    const ready = Promise.withResolvers<void>();
    for (const output of [server.stdout, server.stderr]) {
      createInterface(output).on('line', (line) => {
        if (line.startsWith('{"function"')) localStack.invocations.push(JSON.parse(line));
        else if (line === 'Ready.') ready.resolve();
        else said.push(line);
      });
    }
    server.on('exit', () => ready.reject(new Error(`LocalStack ended:\n${said.slice(-30).join('\n')}`)));
    try {
      await ready.promise;
      return localStack;
    } catch (error) {
      await rm(folder, { recursive: true });
      throw error;
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.server, 'exit');
    this.server.stdin?.end();
    await ended;
    await rm(this.#folder, { recursive: true });
  }

  /** Uploads the template and the zip files of a packaging. */
  upload = ({ folder }: Packaging) =>
    this.aws(
      ...['s3', 'cp', folder, `s3://${BUCKET}/envoy-hpa-reaper`, '--recursive', '--quiet'],
      ...['--exclude', '*', '--include', '*-*.zip', '--include', 'template.json'],
    );

  /**
   * Executes a change set for the template that was uploaded.
   *
   * @returns the changes, each as `<action> <resource>`
   */
  async deploy(type: 'CREATE' | 'UPDATE', parameters: Readonly<Record<string, string>>): Promise<string[]> {
    const changeSet = [...STACK, '--change-set-name', type.toLowerCase()];
    await this.aws(
      ...['cloudformation', 'create-change-set', ...changeSet, '--change-set-type', type],
      ...['--template-url', `${this.url}/${BUCKET}/envoy-hpa-reaper/template.json`],
      ...withParameters(parameters),
    );
    await this.aws('cloudformation', 'wait', 'change-set-create-complete', ...changeSet);
    const { Changes } = await this.aws<{ Changes: Change[] }>('cloudformation', 'describe-change-set', ...changeSet);
    await this.aws('cloudformation', 'execute-change-set', ...changeSet);
    await this.#settles(`${type}_COMPLETE`);
    return Changes.map(({ ResourceChange: { Action, LogicalResourceId } }) => `${Action} ${LogicalResourceId}`);
  }

  async remove(): Promise<void> {
    await this.aws('cloudformation', 'delete-stack', ...STACK);
    await waitFor(async () => (await this.stacks()).every(({ StackStatus }) => StackStatus === 'DELETE_COMPLETE'), 60);
  }

  async #settles(expected: string): Promise<void> {
    const status = async () => (await this.stacks())[0]?.StackStatus ?? '';
    await waitFor(async () => !/IN_PROGRESS$/.test(await status()), 60);
    if ((await status()) === expected) return;
    const reasons = (await this.stackEvents()).map(
      (event) => `${event.LogicalResourceId}: ${event.ResourceStatusReason}`,
    );
    throw new Error(`the stack is ${await status()}:\n${reasons.join('\n')}`);
  }

  /** The events of resources that have a reason. */
  async stackEvents(): Promise<{ LogicalResourceId: string; ResourceStatusReason: string }[]> {
    const query = [
      '--query',
      'StackEvents[?ResourceStatusReason].{LogicalResourceId:LogicalResourceId,ResourceStatusReason:ResourceStatusReason}',
    ];
    return this.aws('cloudformation', 'describe-stack-events', ...STACK, ...query);
  }
}
