import childProcess from 'node:child_process';
import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';
import { Readable } from 'node:stream';
import timers from 'node:timers/promises';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import { requestInfo } from '../embedded-cluster/request-info.ts';
import { resourceTypes } from '../embedded-cluster/resource-types.ts';
import { SECRET } from './mutate.ts';

/*
 * What the code under test reaches outside of its process, in memory: files, commands, API servers, and time. It replaces functions
 * of Node's modules, so that the code under test is the product's own from end to end.
 */

export interface Answer {
  readonly code: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}
type Serve = (method: string, url: URL, body: string | undefined) => Answer;

/** What one input has in its surroundings, and what it did there. */
export const world = {
  /** By path. Paths below /fuzz exist only here; all others are the real ones. */
  files: new Map<string, Uint8Array | string>(),
  /** The output of every command. */
  commandOutput: '',
  serve: (() => ({ code: 404, text: '' })) as Serve,
  /** Requests that are neither GET nor HEAD, as `METHOD path`. */
  writes: [] as string[],
  stdout: '',
  stderr: '',
  warnings: [] as string[],
};

export function resetWorld(): void {
  world.files.clear();
  world.commandOutput = '';
  world.writes = [];
  world.stdout = '';
  world.stderr = '';
  world.warnings = [];
}

const FOLDER = '/fuzz/';
export const pathOf = (name: string) => `${FOLDER}${name}`;

function missing(path: string, syscall = 'open'): NodeJS.ErrnoException {
  const message = `ENOENT: no such file or directory, ${syscall} '${path}'`;
  return Object.assign(new Error(message), { code: 'ENOENT', syscall, path });
}

const isOurs = (path: unknown): path is string => typeof path === 'string' && path.startsWith(FOLDER);

/** A request as `node:http` has it, answered by {@link world}. */
function request(
  url: URL,
  { method = 'GET', headers: given = {} }: http.RequestOptions,
  respond: (response: unknown) => void,
) {
  // As the real one checks them.
  for (const [name, value] of Object.entries(given)) {
    http.validateHeaderName(name);
    for (const one of [value].flat()) http.validateHeaderValue(name, one as string);
  }
  const sent = new EventEmitter() as EventEmitter & {
    reusedSocket: boolean;
    destroy(): void;
    end(body?: string): void;
  };
  sent.reusedSocket = false;
  sent.destroy = () => void sent.emit('close');
  sent.end = (body) =>
    queueMicrotask(() => {
      if (method !== 'GET') world.writes.push(`${method} ${url.pathname}`);
      const { code, text: template, headers = { 'content-type': 'application/json' } } = world.serve(method, url, body);
      const [, authorization = ''] = Object.entries(given).find(([name]) => /^authorization$/i.test(name)) ?? [];
      const text = template.replaceAll('{authorization}', () => JSON.stringify(String(authorization)).slice(1, -1));
      const response = Object.assign(new EventEmitter(), { statusCode: code, headers, setEncoding: () => response });
      respond(response);
      response.emit('data', text);
      response.emit('end');
      sent.emit('close');
    });
  return sent;
}

/** Puts {@link world} in place of the surroundings of this process, before the code under test is loaded or after. */
export function replaceSurroundings(): void {
  const { readFileSync, existsSync } = fs;
  const replaced = {
    readFileSync: (path: fs.PathOrFileDescriptor, options?: 'utf8') => {
      if (!isOurs(path)) return (readFileSync as (...given: unknown[]) => unknown)(path, options);
      const content = world.files.get(path);
      if (content === undefined) throw missing(path);
      const bytes = Buffer.from(content as Uint8Array);
      return options === undefined ? bytes : bytes.toString('utf8');
    },
    existsSync: (path: fs.PathLike) => (isOurs(path) ? world.files.has(path) : existsSync(path)),
    createReadStream: (path: string) => {
      const content = world.files.get(path);
      if (content === undefined)
        return new Readable({
          read() {
            this.destroy(missing(path));
          },
        });
      return Readable.from([Buffer.from(content as Uint8Array)]);
    },
  };
  Object.assign(fs, replaced);
  Object.assign(http, { request });
  Object.assign(https, { request });
  Object.assign(childProcess, {
    spawn: (_command: unknown, _args: unknown) => {
      // As the real one checks them.
      if (typeof _command !== 'string' || _command.includes('\0')) {
        throw Object.assign(new TypeError('The "file" argument must be of type string'), {
          code: 'ERR_INVALID_ARG_TYPE',
        });
      }
      const child = new EventEmitter() as EventEmitter & Record<'stdout' | 'stderr', Readable>;
      child.stdout = Readable.from([Buffer.from(world.commandOutput)]);
      child.stderr = Readable.from([]);
      setImmediate(() => child.emit('close', 0));
      return child;
    },
  });
  const immediately = async (milliseconds: number, value?: unknown) =>
    milliseconds <= 5_000 ? await new Promise((resolve) => setImmediate(resolve, value)) : await new Promise(() => {});
  Object.assign(timers, { setTimeout: immediately });
  syncBuiltinESMExports();
  // Signals of a Lambda function last for most of a minute, and would fill the memory.
  AbortSignal.timeout = () => new AbortController().signal;
  globalThis.fetch = async (input) => {
    new Request(input as string);
    return new Response();
  };
  process.on('warning', ({ name, message }) => world.warnings.push(`${name}: ${message}`));
  for (const stream of ['stdout', 'stderr'] as const) {
    print[stream] = process[stream].write.bind(process[stream]) as (text: string) => boolean;
    process[stream].write = (text: string | Uint8Array) => {
      world[stream] += typeof text === 'string' ? text : Buffer.from(text).toString();
      return true;
    };
  }
}

/** The real streams of this process, once {@link replaceSurroundings} has taken them from the code under test. */
export const print: Record<'stdout' | 'stderr', (text: string) => boolean> = {
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
};

/** @returns how an API server answers that has these objects, and accepts writes without doing anything */
export function apiServer(items: readonly KubernetesObject[]): Serve {
  const status = (code: number, reason: string): Answer => ({
    code,
    text: JSON.stringify({ kind: 'Status', apiVersion: 'v1', code, reason, message: reason }),
  });
  const answers = new Map<string, Answer>();
  const matches = (labels: unknown, selector: string) =>
    selector.split(',').every((term) => {
      const [key = '', value] = term.split('=');
      const found = (labels as Record<string, unknown> | null | undefined)?.[key];
      return found !== undefined && (value === undefined || found === value);
    });
  const answer = (url: URL): Answer => {
    const { resource, group, namespace, name, verb } = requestInfo('GET', url);
    if (resource === 'namespaces') return { code: 200, text: '{"kind":"Namespace"}' };
    const kind = resourceTypes.find(({ plural }) => plural === resource)?.kind;
    const selector = url.searchParams.get('labelSelector');
    const found = items.filter((one) => {
      if (!isObject(one) || one.kind !== kind || groupOf(one) !== group) return false;
      const metadata = isObject(one.metadata) ? one.metadata : ({} as KubernetesObject['metadata']);
      return (
        (namespace === undefined || metadata.namespace === namespace) &&
        (name === undefined || metadata.name === name) &&
        (selector === null || matches(metadata.labels, selector))
      );
    });
    if (verb === 'list') return { code: 200, text: JSON.stringify({ kind: 'List', metadata: {}, items: found }) };
    return found[0] === undefined ? status(404, 'NotFound') : { code: 200, text: JSON.stringify(found[0]) };
  };
  return (method, url, body) => {
    if (method !== 'GET') {
      const object = JSON.parse(body ?? '{}') as Partial<KubernetesObject>;
      const metadata = { ...object.metadata, uid: 'created', resourceVersion: '1' };
      return method === 'POST' ? { code: 201, text: JSON.stringify({ ...object, metadata }) } : status(409, 'Conflict');
    }
    const key = url.pathname + url.search;
    let known = answers.get(key);
    try {
      known ??= answer(url);
    } catch {
      // No server can send what is nested that deeply.
      known = status(500, 'Internal Server Error');
    }
    if (answers.size < 200) answers.set(key, known);
    return known;
  };
}

const groupOf = ({ apiVersion }: KubernetesObject) =>
  typeof apiVersion === 'string' ? apiVersion.split('/').slice(0, -1).join('/') : '';
const isObject = (value: unknown): value is KubernetesObject => typeof value === 'object' && value !== null;

/** What a proxy or a page of errors may answer. */
export const FOREIGN: readonly Answer[] = [
  { code: 200, text: '', headers: {} },
  { code: 200, text: 'null' },
  { code: 200, text: '[]' },
  { code: 200, text: '{"items":null}' },
  { code: 200, text: '{"items":' },
  {
    code: 200,
    text: '<html><head><title>x</title></head><body>Log in</body>',
    headers: { 'content-type': 'text/html' },
  },
  { code: 302, text: '', headers: { location: `https://sso.example.com/?token=${SECRET}` } },
  { code: 502, text: 'Authorization: {authorization}', headers: { 'content-type': 'text/plain', server: 'proxy' } },
  { code: 401, text: 'Authorization: {authorization}', headers: { 'content-type': 'text/plain' } },
  { code: 403, text: '{"kind":"Status","message":"x is forbidden: User \\"y\\" cannot list resource \\"z\\""}' },
  { code: 401, text: JSON.stringify({ kind: 'Status', message: 'invalid bearer token {authorization}' }) },
  { code: 422, text: `{"kind":"Status","message":{"toString":1}}` },
  { code: 410, text: '{"kind":"Status","message":"expired"}' },
  { code: 429, text: '{"kind":"Status","message":null}' },
  { code: 500, text: '{"kind":"Status","message":{"a":1}}' },
  { code: 404, text: '404 page not found\n', headers: { 'content-type': 'text/plain' } },
];
