import type { Snapshot } from '../../judgement/snapshot.ts';
import { snapshotOfList } from '../../kubernetes/cluster-list.ts';
import { MalformedInputError } from '../../platform/errors.ts';
import { nameOfFile, readText } from './read-text.ts';

/**
 * The snapshot in a saved List.
 *
 * @param file a path, or `-` for standard input
 * @param incomplete whether a kind that the List does not contain is not in the cluster either
 * @throws {MalformedInputError} for a file that cannot be read, is no List, or misses what a judgement needs
 */
export async function readSavedList(file: string, incomplete?: boolean): Promise<Snapshot> {
  const name = nameOfFile(file);
  const content = await readText(file);
  let list: unknown;
  try {
    list = JSON.parse(content);
  } catch (error) {
    throw new MalformedInputError(
      `${name} is not JSON (${(error as Error).message}); save it with \`kubectl get … -o json\``,
      { cause: error },
    );
  }
  try {
    return snapshotOfList(list, incomplete);
  } catch (error) {
    throw new MalformedInputError(`${name}: ${(error as Error).message}`, { cause: error });
  }
}
