import { type FileHandle, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { beginBackup } from '../../../functions/cli/deletion-backup.ts';
import type { Deletion } from '../../../functions/sweep/remove.ts';

let folder: string;
let prototype: FileHandle;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reaper-'));
  const handle = await open(folder);
  prototype = Object.getPrototypeOf(handle);
  await handle.close();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const now = () => new Date('2026-01-01T00:00:00Z');
const deletion = (name: string) =>
  ({ cluster: 'shop', sweepId: 'sweep-1', reason: 'Renamed', manifest: { name } }) as unknown as Deletion;

test('writes and syncs one line per deletion, in order', async () => {
  const sync = vi.spyOn(prototype, 'sync');
  const backup = await beginBackup(folder, now);
  expect(sync).toHaveBeenCalledTimes(1);
  await Promise.all(['a', 'b', 'c'].map((name) => backup.append(deletion(name))));
  expect(sync).toHaveBeenCalledTimes(4);
  expect(await backup.end()).toBe(true);
  const lines = (await readFile(backup.file, 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line).manifest.name)).toEqual(['a', 'b', 'c']);
});

test('rejects a deletion that a full disk cuts off, and keeps the lines before and after it whole', async () => {
  const backup = await beginBackup(folder, now);
  await backup.append(deletion('a'));
  vi.spyOn(prototype, 'appendFile').mockImplementationOnce(async function (this: FileHandle, text) {
    await this.write(String(text).slice(0, 20));
    throw new Error('ENOSPC: no space left on device');
  });
  await expect(backup.append(deletion('b'))).rejects.toThrow('ENOSPC');
  await backup.append(deletion('c'));
  expect(await backup.end()).toBe(true);
  const lines = (await readFile(backup.file, 'utf8')).trimEnd().split('\n');
  expect(lines[1]).toHaveLength(20);
  expect([lines[0], lines[2]].map((line) => JSON.parse(line ?? '').manifest.name)).toEqual(['a', 'c']);
});

test('removes an empty backup', async () => {
  const backup = await beginBackup(folder, now);
  expect(await backup.end()).toBe(false);
  await expect(readFile(backup.file)).rejects.toThrow('ENOENT');
});

test('never overwrites a backup or a report', async () => {
  const backup = await beginBackup(folder, now);
  await expect(beginBackup(folder, now)).rejects.toThrow(/^no backup can be written, so nothing is deleted: EEXIST/);
  await backup.saveReport({} as never);
  await expect(backup.saveReport({} as never)).rejects.toThrow('EEXIST');
  await backup.end();
});
