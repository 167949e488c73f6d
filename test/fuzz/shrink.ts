import { checked } from './check.ts';
import type { Parts, Target } from './target.ts';

/** Maximum runs of a target. */
const MAX_RUNS = 600;
/** Milliseconds. */
const MAX_TIME = 8_000;

/** The smallest input that was found with the same kind of finding: without the pieces that it does not need. */
export async function shrunk(target: Target, parts: Parts, kind: string): Promise<Parts> {
  let smallest = parts;
  let runs = 0;
  const until = Date.now() + MAX_TIME;
  const isLeft = () => runs < MAX_RUNS && Date.now() < until;
  const attempt = async (candidate: Parts): Promise<boolean> => {
    runs += 1;
    const { finding } = await checked(target, candidate).catch(() => ({ finding: undefined }));
    if (finding?.kind !== kind) return false;
    smallest = candidate;
    return true;
  };
  for (const name of Object.keys(parts)) {
    const { [name]: _, ...others } = smallest;
    await attempt(others);
  }
  for (const name of Object.keys(smallest)) {
    for (
      let size = Math.ceil((smallest[name]?.length ?? 0) / 2);
      size >= 1 && isLeft();
      size = size === 1 ? 0 : Math.ceil(size / 2)
    ) {
      for (let at = 0; at < (smallest[name]?.length ?? 0) && isLeft(); ) {
        const content = smallest[name] as string | Buffer;
        const rest =
          typeof content !== 'string'
            ? Buffer.concat([content.subarray(0, at), content.subarray(at + size)])
            : content.slice(0, at) + content.slice(at + size);
        if (!(await attempt({ ...smallest, [name]: rest }))) at += size;
      }
    }
  }
  return smallest;
}
