import process from 'node:process';

/** `reaper scan | head`: a reader that has what it wants is no failure, and the exit code still tells the result. */
export function tolerateClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
