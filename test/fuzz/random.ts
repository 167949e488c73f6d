/** A stream of random numbers that a text decides (sfc32), so that any one input can be made again without the others. */
export class Random {
  #state: [number, number, number, number];

  constructor(seed: string) {
    let hash = 0x811c9dc5;
    const next = () => {
      for (let at = 0; at < seed.length; at += 1) hash = Math.imul(hash ^ seed.charCodeAt(at), 0x01000193);
      return hash | 0;
    };
    this.#state = [next(), next(), next(), 1];
    for (let round = 0; round < 12; round += 1) this.next();
  }

  /** From 0 to 1, without 1. */
  next(): number {
    let [a, b, c, d] = this.#state;
    const result = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + result) | 0;
    this.#state = [a, b, c, d];
    return (result >>> 0) / 2 ** 32;
  }

  /** From 0 to `limit`, without `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}
