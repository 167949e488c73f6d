import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { readTemplate, resourcesOf, type Template } from '../builders/packaged-stack.ts';
import { BUCKET, Emulator, withParameters } from './emulator.ts';
import type { Packaging } from './packaged.ts';

/**
 * A packaged template that moto supports: a rule cannot refer to its bus by `Ref`, and the ARN of a log group has no `:*`.
 */
export function templateForMoto(packaging: Packaging): Template {
  const template = readTemplate(packaging.folder);
  const text = resourcesOf(template, 'AWS::Logs::LogGroup').reduce(
    (changed, [id]) => changed.replaceAll(`{"Fn::GetAtt":["${id}","Arn"]}`, `{"Fn::Sub":"\${${id}.Arn}:*"}`),
    JSON.stringify(template).replaceAll('{"Ref":"EventBus"}', '{"Fn::GetAtt":["EventBus","Name"]}'),
  );
  return JSON.parse(text);
}

/** The moto server as an AWS account, on a free port. */
export class Moto extends Emulator {
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
    this.server.kill();
    await once(this.server, 'exit');
  }

  /** Empties the account. */
  async reset(): Promise<void> {
    await fetch(`${this.url}/moto-api/reset`, { method: 'POST' });
  }

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
    await this.aws(
      ...['cloudformation', 'create-stack', '--stack-name', 'envoy-hpa-reaper', '--template-body', `file://${file}`],
      ...withParameters({ ArtifactPrefix: '', ...parameters }),
    );
    const [stack] = await this.stacks();
    if (stack?.StackStatus !== 'CREATE_COMPLETE') throw new Error(`the stack is ${stack?.StackStatus}`);
    return new Map(stack.Outputs?.map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]));
  }

  async keys(): Promise<string[]> {
    const listed = await this.aws<{ Contents?: { Key: string }[] }>('s3api', 'list-objects-v2', '--bucket', BUCKET);
    return (listed?.Contents ?? []).map(({ Key }) => Key);
  }
}
