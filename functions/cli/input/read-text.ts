import { createReadStream } from 'node:fs';
import process from 'node:process';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { MalformedInputError } from '../../platform/errors.ts';

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
    throw new MalformedInputError(`${nameOfFile(file)} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
