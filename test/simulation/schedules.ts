import { Choices } from '../choices.ts';
import { onClock } from './clock.ts';
import { type Result, type Sabotage, Simulation } from './simulation.ts';

/** Everything that some schedules have in common, summed up. */
interface Summary {
  readonly schedules: number;
  readonly counts: Record<string, number>;
  /** The first schedule that breaks an invariant; it ends the run. */
  readonly failure: { readonly schedule: number; readonly result: Result } | undefined;
}

/** Runs the schedules `from` to `to - 1` of a seed, until one of them breaks an invariant. */
export async function runSchedules(
  seed: number,
  from: number,
  to: number,
  { sabotage, onProgress }: { sabotage?: Sabotage; onProgress?: (done: number) => void } = {},
): Promise<Summary> {
  const counts: Record<string, number> = {};
  return await onClock(async (useClock) => {
    for (let schedule = from; schedule < to; schedule += 1) {
      const result = await new Simulation(Choices.ofSeed(seed, schedule), useClock, sabotage).run();
      for (const [what, count] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + count;
      if (result.finding) return { schedules: schedule - from + 1, counts, failure: { schedule, result } };
      onProgress?.(schedule - from + 1);
    }
    return { schedules: to - from, counts, failure: undefined };
  });
}

/** The calmest schedule near this one that breaks the same invariant, with its trace. */
export async function shrink({ choices, finding }: Result, sabotage?: Sabotage): Promise<Result> {
  return await onClock(async (useClock) => {
    const replay = (list: readonly number[], isTraced = false) =>
      new Simulation(Choices.ofList(list), useClock, sabotage, isTraced).run();
    const isSame = async (list: readonly number[]) => (await replay(list)).finding?.invariant === finding?.invariant;
    let best = choices;
    for (let isCalmer = true; isCalmer; ) {
      isCalmer = false;
      for (let size = best.length; size >= 1; size = Math.floor(size / 2)) {
        for (let start = 0; start < best.length; start += size) {
          for (const calmer of withoutBlock(best, start, size)) {
            if (!(await isSame(calmer))) continue;
            best = calmer;
            isCalmer = true;
            break;
          }
        }
      }
    }
    return await replay(best, true);
  });
}

/** The list with the choices of a block removed, and with all of them made the calm one. */
function withoutBlock(list: readonly number[], start: number, size: number): number[][] {
  const [before, block, after] = [list.slice(0, start), list.slice(start, start + size), list.slice(start + size)];
  const removed = [...before, ...after];
  return block.some((choice) => choice > 0) ? [removed, [...before, ...block.map(() => 0), ...after]] : [removed];
}
