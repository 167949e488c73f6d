import process from 'node:process';
import { EXIT } from './exit-code.ts';

/**
 * While `work` goes on, the first Ctrl-C aborts its signal, so that it ends in good order, and a second one ends the
 * process at once.
 *
 * @param announcement what the first one is answered with on stderr
 */
export async function interruptible<T>(announcement: string, work: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const interrupt = () => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    stop.abort();
    process.stderr.write(`\nreaper: ${announcement} Ctrl-C again ends at once.\n`);
  };
  process.on('SIGINT', interrupt);
  try {
    return await work(stop.signal);
  } finally {
    process.off('SIGINT', interrupt);
  }
}
