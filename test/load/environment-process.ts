/*
 * One execution environment of Lambda: a process that loads a bundle once, handles one invocation after the other, and keeps
 * its module state. Started by environment.ts with the URL of the bundle; messages come and go over IPC.
 */
import process from 'node:process';
import { TLSSocket } from 'node:tls';
import { queryObjects } from 'node:v8';

interface Invoke {
  readonly event: unknown;
  readonly functionName: string;
  readonly invokedFunctionArn: string;
  readonly requestId: string;
  /** Milliseconds that the function may take. */
  readonly timeout: number;
  /** The time, in milliseconds since 1970. */
  readonly now: number;
  /** Whether a cluster of the event hangs: its requests are waited for for half a second instead of ten. */
  readonly isHanging: boolean;
}
export type Request = { invoke: Invoke } | 'measure';

/** What an environment holds after garbage collection. */
export interface Measured {
  /** Bytes. */
  readonly heap: number;
  /** Live objects and functions, which show a leak that is too small for bytes. */
  readonly objects: number;
  readonly functions: number;
  readonly connections: number;
  /** Peak, in MiB. */
  readonly rss: number;
}
export type Response = { result: unknown } | { error: string } | { measured: Measured } | { warning: string };

/** Waiting for 10 s or more is shortened, and no clock is. */
const shortened = (milliseconds = 0) => (milliseconds >= 10_000 ? milliseconds / 20 : milliseconds);
/** Milliseconds after which no timer is left but that of the end of an invocation. */
const QUIET_MS = 600;
let isHanging = false;

const RealDate = Date;
let ahead = 0;
globalThis.Date = class extends RealDate {
  // biome-ignore lint/suspicious/noExplicitAny: the overloads of Date
  constructor(...args: any[]) {
    if (args.length === 0) super(RealDate.now() + ahead);
    else super(...(args as [number]));
  }
  static override now(): number {
    return RealDate.now() + ahead;
  }
} as DateConstructor;

const realSetTimeout = setTimeout;
globalThis.setTimeout = Object.assign(
  ((callback: () => void, milliseconds?: number, ...args: []) =>
    realSetTimeout(callback, isHanging ? shortened(milliseconds) : milliseconds, ...args)) as typeof setTimeout,
  realSetTimeout,
);
// That of the bus.
const timers = process.getBuiltinModule('node:timers/promises');
const wait = timers.setTimeout;
timers.setTimeout = (milliseconds, ...args) => wait(shortened(milliseconds), ...args);

const answer = (response: Response) => process.send?.(response);
process.on('warning', ({ name, message }) => {
  // That of queryObjects.
  if (name !== 'ExperimentalWarning') answer({ warning: `${name}: ${message}` });
});
process.on('disconnect', () => process.exit(0));

const { handler } = await import(process.argv[2] as string);

async function invoke({ event, timeout, now, requestId, ...context }: Invoke): Promise<Response> {
  ahead = now - RealDate.now();
  isHanging = context.isHanging;
  const started = performance.now();
  const getRemainingTimeInMillis = () => Math.max(0, Math.ceil(timeout - (performance.now() - started)));
  try {
    // JSON has no undefined.
    return {
      result: (await handler(event, { ...context, awsRequestId: requestId, getRemainingTimeInMillis })) ?? null,
    };
  } catch (error) {
    return { error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  }
}

async function measure(): Promise<Response> {
  await wait(QUIET_MS);
  globalThis.gc?.();
  const count = (type: object) => queryObjects(type as () => void, { format: 'count' }) as number;
  const [objects, functions, connections] = [count(Object), count(Function), count(TLSSocket)];
  const rss = Math.ceil(process.resourceUsage().maxRSS / 1024);
  return { measured: { heap: process.memoryUsage().heapUsed, objects, functions, connections, rss } };
}

process.on('message', async (request: Request) => {
  answer(await (request === 'measure' ? measure() : invoke(request.invoke)));
});
