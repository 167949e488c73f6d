/** Makes the choice at each point where more than one thing can happen next; 0 <= choice < options. */
export type Choose = (options: number) => number;

/**
 * Runs once for every sequence of choices, by going back to the last choice that has an alternative left. The run decides
 * by `choose` alone, so that the same choices lead to the same run.
 *
 * @returns how many sequences there were
 */
export async function inEveryOrder(run: (choose: Choose) => Promise<void>): Promise<number> {
  let path: { choice: number; options: number }[] = [];
  for (let runs = 1; ; runs += 1) {
    let depth = 0;
    await run((options) => {
      const step = path[depth] ?? { choice: 0, options };
      if (step.options !== options) throw new Error('the run is not decided by its choices alone');
      path[depth] = step;
      depth += 1;
      return step.choice;
    });
    path = path.slice(0, depth);
    while (
      path.length > 0 &&
      (path.at(-1) as { choice: number; options: number }).choice === (path.at(-1)?.options ?? 0) - 1
    )
      path.pop();
    const last = path.at(-1);
    if (last === undefined) return runs;
    last.choice += 1;
  }
}
