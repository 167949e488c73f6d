import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { lambdaContext } from '../embedded-cluster/event-path.ts';
import type { FunctionConfiguration } from './moto.ts';
import type { Packaging } from './packaged.ts';

const run = promisify(execFile);

export interface Invocation {
  // biome-ignore lint/suspicious/noExplicitAny: each function has answers of its own
  answer: any;
  /** The JSON lines that it wrote. */
  // biome-ignore lint/suspicious/noExplicitAny: of every shape
  lines: any[];
  /** All that it wrote. */
  printed: string;
}

/** Unpacks the zip file with the digest that Lambda shows for a function. */
export async function unpack(
  bin: string,
  packaging: Packaging,
  to: string,
  code: FunctionConfiguration,
): Promise<void> {
  const digest = Buffer.from(code.CodeSha256, 'base64').toString('hex');
  const zip = (await readdir(packaging.folder)).find((file) => file.endsWith(`-${digest}.zip`));
  if (zip === undefined) throw new Error(`${code.FunctionName} has code that was not packaged`);
  await mkdir(to, { recursive: true });
  await run(join(bin, 'python'), ['-m', 'zipfile', '-e', join(packaging.folder, zip), to]);
}

/**
 * One invocation in a process of its own, with the variables, the handler and the timeout that Lambda tells.
 *
 * @param folder that the code was unpacked into
 * @param surroundings variables that Lambda itself gives
 * @throws {Error} with all that the function wrote, when it fails
 */
export async function invokeFunction(
  { FunctionName, FunctionArn, Handler, Environment, Timeout }: FunctionConfiguration,
  folder: string,
  surroundings: Readonly<Record<string, string>>,
  event: unknown,
): Promise<Invocation> {
  const context = { ...lambdaContext(FunctionName), invokedFunctionArn: FunctionArn };
  const eventFile = join(folder, `${randomUUID()}.json`);
  await writeFile(eventFile, JSON.stringify({ event, context, remaining: Timeout * 1000 }));
  const variables = Object.entries(Environment.Variables).map(([name, value]) => [name, String(value)]);
  const script = join(import.meta.dirname, '../e2e/one-invocation.mjs');
  const handler = join(folder, Handler.replace(/\.handler$/, '.mjs'));
  const { stdio } = spawn(process.execPath, [script, handler, eventFile], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(variables), ...surroundings },
  });
  const [out, err, told] = await Promise.all(stdio.slice(1, 4).map((stream) => text(stream as Readable)));
  const printed = `${out}${err}`;
  if (!told) throw new Error(`${FunctionName} ended without an answer:\n${printed}`);
  const lines = printed.split('\n').filter((line) => line.startsWith('{'));
  return { answer: JSON.parse(told).answer, lines: lines.map((line) => JSON.parse(line)), printed };
}
