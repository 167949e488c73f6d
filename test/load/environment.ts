import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import type { Measured, Request, Response } from './environment-process.ts';
import type { PackagedFunction } from './stack.ts';

export const SECRET_ACCESS_KEY = 'secret-access-key';

/** One execution environment of a function, as Lambda keeps it: one invocation at a time, with the state of those before. */
export class Environment {
  /** Clusters see it in the token, and can tell the environments apart. */
  readonly accessKeyId: string;
  /** MiB. */
  readonly memory: number;
  /** The warnings of Node. */
  readonly warnings: string[] = [];
  readonly #process: ChildProcess;
  readonly #function: PackagedFunction;
  #settle: ((response: Response) => void) | undefined;

  /** @param endpoints the variables that lead the SDK to the doubles */
  constructor(packaged: PackagedFunction, number: number, endpoints: Record<string, string>) {
    this.#function = packaged;
    this.memory = packaged.memory;
    this.accessKeyId = `AKIA${packaged.name.toUpperCase()}${number}`;
    const credentials = { AWS_ACCESS_KEY_ID: this.accessKeyId, AWS_SECRET_ACCESS_KEY: SECRET_ACCESS_KEY };
    this.#process = spawn(
      process.execPath,
      ['--expose-gc', join(import.meta.dirname, 'environment-process.ts'), packaged.bundle],
      {
        env: { PATH: process.env.PATH, ...packaged.environment, ...credentials, ...endpoints },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      },
    );
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream === null) throw new Error('the process has no output');
      createInterface({ input: stream }).on('line', (line) => {
        // It is a line of the log, or breaks here.
        if (line.startsWith('{')) JSON.parse(line);
        else if (!/^\(node:|^\(Use `node --trace/.test(line)) this.warnings.push(line);
      });
    }
    this.#process.on('message', (response: Response) => {
      if ('warning' in response) this.warnings.push(response.warning);
      else this.#settle?.(response);
    });
    this.#process.on('exit', (code) => this.#settle?.({ error: `the process ended with ${code}` }));
  }

  async #ask(request: Request): Promise<Response> {
    if (this.#settle !== undefined) throw new Error('Lambda invokes an environment once at a time');
    const answered = new Promise<Response>((resolve) => {
      this.#settle = resolve;
    });
    this.#process.send(request);
    const response = await answered;
    this.#settle = undefined;
    return response;
  }

  /**
   * @param isHanging whether a cluster of the event hangs
   * @throws what the function throws
   */
  async invoke(event: unknown, now: number, isHanging = false): Promise<unknown> {
    const { name, timeout } = this.#function;
    const functionName = `envoy-hpa-reaper-${name}`;
    const invokedFunctionArn = `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${functionName}`;
    const requestId = randomUUID();
    const invoke = { event, functionName, invokedFunctionArn, requestId, timeout, now, isHanging };
    const response = await this.#ask({ invoke });
    if ('result' in response) return response.result;
    throw new Error('error' in response ? response.error : 'the answer is not one to an invocation');
  }

  async measure(): Promise<Measured> {
    const response = await this.#ask('measure');
    if ('measured' in response) return response.measured;
    throw new Error('error' in response ? response.error : 'the answer is not one to a measurement');
  }

  async end(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.disconnect();
    await ended;
  }
}
