import { type FileHandle, mkdtemp, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { beginBackup } from '../../../functions/cli/deletion-backup.ts';
import type { Deletion } from '../../../functions/sweep/remove.ts';
import { folder } from '../../temporary-files.ts';

let directory: string;
let prototype: FileHandle;
beforeEach(async () => {
  directory = await mkdtemp(join(folder, 'backup-'));
  await using handle = await open(directory);
  prototype = Object.getPrototypeOf(handle);
  onTestFinished(() => void vi.restoreAllMocks());
});

const now = () => new Date('2026-01-01T00:00:00Z');
const begin = () => beginBackup(directory, now);
const linesOf = async (file: string) => (await readFile(file, 'utf8')).trimEnd().split('\n');
const nameIn = (line = '') => JSON.parse(line).manifest.name;
const deletion = (name: string) =>
  ({ cluster: 'shop', sweepId: 'sweep-1', reason: 'Renamed', manifest: { name } }) as unknown as Deletion;

test('writes and syncs one line per deletion, in order', async () => {
  const sync = vi.spyOn(prototype, 'sync');
  const backup = await begin();
  expect(sync).toHaveBeenCalledTimes(1);
  await Promise.all(['a', 'b', 'c'].map((name) => backup.append(deletion(name))));
  expect(sync).toHaveBeenCalledTimes(4);
  expect(await backup.end()).toBe(true);
  expect((await linesOf(backup.file)).map(nameIn)).toEqual(['a', 'b', 'c']);
});

test('rejects a deletion that a full disk cuts off, and keeps the lines before and after it whole', async () => {
  const backup = await begin();
  await backup.append(deletion('a'));
  vi.spyOn(prototype, 'appendFile').mockImplementationOnce(async function (this: FileHandle, text) {
    await this.write(String(text).slice(0, 20));
    throw new Error('ENOSPC: no space left on device');
  });
  await expect(backup.append(deletion('b'))).rejects.toThrow('ENOSPC');
  await backup.append(deletion('c'));
  expect(await backup.end()).toBe(true);
  const [a, b, c] = await linesOf(backup.file);
  expect(b).toHaveLength(20);
  expect([a, c].map(nameIn)).toEqual(['a', 'c']);
});

test('removes an empty backup', async () => {
  const backup = await begin();
  expect(await backup.end()).toBe(false);
  await expect(readFile(backup.file)).rejects.toThrow('ENOENT');
});

test('never overwrites a backup or a report', async () => {
  const backup = await begin();
  await expect(begin()).rejects.toThrow(/^no backup can be written, so nothing is deleted: EEXIST/);
  await backup.saveReport({} as never);
  await expect(backup.saveReport({} as never)).rejects.toThrow('EEXIST');
  await backup.end();
});
