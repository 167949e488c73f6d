/**
 * Makes the choice at each point where more than one thing can happen next; 0 <= choice < options.
 *
 * @param state what everything that follows depends on
 * @returns `undefined` where another order has come to the same state: what follows was tried there, and the run ends
 */
export type Choose = (options: number, state: () => string) => number | undefined;

/** How often each end was come to. */
export type Ends = Record<string, number>;

/**
 * Tries every sequence of choices, by going back to the last choice that has an alternative left. The run decides by `choose`
 * alone, so that the same choices lead to the same run. Where two sequences come to the same state, only one of them goes on, and
 * the ends that it comes to count for both.
 *
 * @param run returns how it ended; `undefined` where it comes to the same as another order, whether it was notified of it
 *   or not
 * @returns how many sequences come to each end, and how many runs that took
 */
export async function inEveryOrder(
  run: (choose: Choose) => Promise<string | undefined>,
): Promise<{ ends: Ends; runs: number }> {
  const known = new Map<string, Ends>();
  const total: Ends = {};
  const path: { state: string; choice: number; options: number; ends: Ends }[] = [];
  for (let runs = 1; ; runs += 1) {
    let depth = 0;
    let elsewhere: Ends | undefined;
    const end = await run((options, state) => {
      const point = path[depth];
      if (point === undefined) {
        const reached = state();
        elsewhere = known.get(reached);
        if (elsewhere) return undefined;
        path.push({ state: reached, choice: 0, options, ends: {} });
      } else if (point.options !== options) {
        throw new Error('the run is not decided by its choices alone');
      }
      depth += 1;
      return path[depth - 1]?.choice;
    });
    count(end === undefined ? (elsewhere ?? {}) : { [end]: 1 }, path.at(-1)?.ends ?? total);
    for (;;) {
      const last = path.at(-1);
      if (last === undefined) return { ends: total, runs };
      last.choice += 1;
      if (last.choice < last.options) break;
      path.pop();
      known.set(last.state, last.ends);
      count(last.ends, path.at(-1)?.ends ?? total);
    }
  }
}

function count(ends: Ends, sum: Ends): void {
  for (const [end, times] of Object.entries(ends)) sum[end] = (sum[end] ?? 0) + times;
}
