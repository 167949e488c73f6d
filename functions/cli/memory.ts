import { setFlagsFromString } from 'node:v8';

/**
 * Under a flood of short-lived objects, as the pages of a large cluster are, V8 lets its young generation grow to some
 * 100 MB, to collect it less often. A person's laptop or a job in CI is better off with the memory: a scan of 5,000
 * Gateways takes a third less of it, and a tenth more of processor time.
 */
export function keepMemorySmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
