import { createReadStream } from 'node:fs';
import process from 'node:process';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import type { Snapshot } from '../../judgement/cluster-index.ts';
import { snapshotOfList } from '../../kubernetes/cluster-list.ts';
import { MalformedInputError } from '../../platform/errors.ts';
import { isTooDeep } from './find-objects.ts';

export const nameOfFile = (file: string) => (file === '-' ? 'standard input' : file);

/**
 * The text of a file, unpacked where it is gzip (of several members too, as `cat *.gz` makes).
 *
 * @param file a path, or `-` for standard input
 * @throws {MalformedInputError} for a file that cannot be read or unpacked
 */
export async function readText(file: string): Promise<string> {
  try {
    const bytes = await buffer(file === '-' ? process.stdin : createReadStream(file));
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
    // Unlike toString it takes no byte order mark for text.
    return new TextDecoder().decode(isGzip ? gunzipSync(bytes) : bytes);
  } catch (error) {
    // Node's message ends with the path again.
    const fault = (error as Error).message.replace(/, \w+ '.*'$/, '');
    throw new MalformedInputError(`${nameOfFile(file)} cannot be read: ${fault}`);
  }
}

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
    // Without the rest of the message and the cause, which quote the file.
    const [where = 'cut off?'] = /line \d+ column \d+/.exec((error as Error).message) ?? [];
    throw new MalformedInputError(`${name} is not JSON (${where}); save it with \`kubectl get … -o json\``);
  }
  if (isTooDeep(list)) throw new MalformedInputError(`${name} is nested too deeply`);
  try {
    return snapshotOfList(list, incomplete);
  } catch (error) {
    throw new MalformedInputError(`${name}: ${(error as Error).message}`, { cause: error });
  }
}
