import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A directory that lasts until the end of the test file. */
export const folder = mkdtempSync(join(tmpdir(), 'reaper-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
/** @returns the path of a new file with this content; other values than text and bytes become JSON */
export function save(content: unknown): string {
  const file = join(folder, `file-${files++}`);
  const isWhole = typeof content === 'string' || content instanceof Uint8Array;
  writeFileSync(file, isWhole ? content : JSON.stringify(content));
  return file;
}
