import process from 'node:process';
import { clearLine, cursorTo } from 'node:readline';
import type { RunProgress } from '../../sweep/for-each-cluster.ts';

export interface ProgressLine {
  show(progress: RunProgress): void;
  /** Takes the line away, so that what comes next stands at its start. */
  end(): void;
}

/** One line on stderr that says how far a run is; none where nobody watches a terminal, or with `--quiet`. */
export function progressLine(quiet = false): ProgressLine {
  const { stderr } = process;
  if (quiet || !stderr.isTTY) return { show: () => {}, end: () => {} };
  const clear = () => {
    cursorTo(stderr, 0);
    clearLine(stderr, 0);
  };
  return {
    show({ clusters, done, problems }) {
      clear();
      const text = `${done} of ${clusters} clusters, ${problems} with a problem`;
      stderr.write(text.slice(0, (stderr.columns || 80) - 1));
    },
    end: clear,
  };
}
