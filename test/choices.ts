const RANGE = 2 ** 32;

/**
 * The choices that decide everything in one schedule of the simulation, one input of the fuzzer, or one run under load: from a seed, or a
 * list of earlier choices. The choice 0 is the calm one, and a list that is too short continues with it: so whatever is removed from a
 * list, a schedule remains.
 */
export class Choices {
  /** Every choice so far, from 0 to 2 ** 32 - 1. */
  readonly made: number[] = [];
  readonly #list: readonly number[] | undefined;
  #state = 0;

  private constructor(list: readonly number[] | undefined, state: number) {
    this.#list = list;
    this.#state = state;
  }

  static ofSeed(seed: number, schedule = 0): Choices {
    return new Choices(undefined, Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(schedule + 1, 0xc2b2ae35));
  }

  static ofList(list: readonly number[]): Choices {
    return new Choices(list, 0);
  }

  /** 0 <= result < options */
  pick(options: number): number {
    if (options <= 1) return 0;
    const raw = this.#list === undefined ? this.#random() : (this.#list[this.made.length] ?? 0);
    this.made.push(raw);
    return Math.floor((raw * options) / RANGE);
  }

  of<T>(items: readonly T[]): T {
    return items[this.pick(items.length)] as T;
  }

  /** One of the options, each as often as its weight says; `undefined` without any. */
  weighted<T extends readonly [weight: number, ...unknown[]]>(options: readonly T[]): T | undefined {
    let rest = this.pick(options.reduce((sum, [weight]) => sum + weight, 0));
    return options.find(([weight]) => {
      rest -= weight;
      return rest < 0;
    });
  }

  /** False for the choice 0. */
  chance(percent: number): boolean {
    return this.pick(1_000) >= 1_000 - percent * 10;
  }

  /** mulberry32 */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}
