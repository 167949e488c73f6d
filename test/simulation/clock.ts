import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';

interface Timer {
  readonly time: number;
  readonly run: () => void;
}

/** A clock that stands still until it is advanced. */
export class Clock {
  /** Milliseconds since 1970. */
  now = Date.parse('2026-06-01T12:00:00Z');
  #timers: Timer[] = [];

  after(milliseconds: number, run: () => void): void {
    this.#timers.push({ time: this.now + milliseconds, run });
  }

  /** The time of the earliest timer. */
  next(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { time } of this.#timers) if (time < next) next = time;
    return next;
  }

  /** Runs the timers that are due by then, in their order. */
  advance(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (let next = this.next(); next <= end; next = this.next()) {
      this.now = Math.max(this.now, next);
      const due = this.#timers.filter(({ time }) => time <= next);
      this.#timers = this.#timers.filter(({ time }) => time > next);
      for (const { run } of due) run();
    }
    this.now = end;
  }

  /** As Kubernetes writes it, in whole seconds. */
  timestamp(): string {
    return `${new Date(this.now).toISOString().slice(0, 19)}Z`;
  }
}

const TIMED_OUT = new DOMException('timed out', 'TimeoutError');

/** The clock of the schedule that runs. A process runs one schedule at a time. */
let current: Clock | undefined;

/** Has `setTimeout` of `node:timers/promises` and `AbortSignal.timeout` follow the clock while this runs. */
export async function onClock<T>(run: (useClock: (clock: Clock) => void) => Promise<T>): Promise<T> {
  const { setTimeout } = timersPromises;
  const { timeout } = AbortSignal;
  const { stackTraceLimit } = Error;
  // Thousands of errors are injected, and nobody reads where.
  Error.stackTraceLimit = 0;
  timersPromises.setTimeout = ((milliseconds = 0, value?: unknown) =>
    new Promise<unknown>((resolve) => current?.after(milliseconds, () => resolve(value)))) as typeof setTimeout;
  syncBuiltinESMExports();
  AbortSignal.timeout = (milliseconds) => {
    const controller = new AbortController();
    current?.after(milliseconds, () => controller.abort(TIMED_OUT));
    return controller.signal;
  };
  try {
    return await run((clock) => {
      current = clock;
    });
  } finally {
    timersPromises.setTimeout = setTimeout;
    syncBuiltinESMExports();
    AbortSignal.timeout = timeout;
    Error.stackTraceLimit = stackTraceLimit;
    current = undefined;
  }
}

/** Waits until everything that runs waits for something else. */
export const settled = () => new Promise<void>((resolve) => void setImmediate(resolve));
