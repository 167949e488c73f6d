import { open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunReport } from '../events/report.ts';
import { describeError, UsageError } from '../platform/errors.ts';
import type { Deletion } from '../sweep/remove.ts';

/** Only the owner may read the files of a run. */
const MODE = 0o600;

/**
 * Creates a backup `reaper-backup-<time>.jsonl` in a directory: the manifests of a run's deletions, one JSON object per line,
 * each on the disk before its HPA is deleted. The Lambda function logs the same lines.
 *
 * @throws {UsageError} for a directory that cannot be written, or a file that exists
 */
export async function beginBackup(directory: string, now: () => Date) {
  const time = now().toISOString().replaceAll(':', '-');
  const file = join(directory, `reaper-backup-${time}.jsonl`);
  const handle = await created(file, directory).catch((error) => {
    const message = `no backup can be written, so nothing is deleted: ${describeError(error)}`;
    throw new UsageError(`${message}; give another --backup-dir`, { cause: error });
  });
  // One at a time, so that lines do not mix.
  let last: Promise<void> = Promise.resolve();
  let isLineBroken = false;
  let lines = 0;
  const write = async (deletion: Deletion): Promise<void> => {
    const line = JSON.stringify({ message: 'deleting HPA', timestamp: now().toISOString(), ...deletion });
    const text = `${isLineBroken ? '\n' : ''}${line}\n`;
    isLineBroken = true;
    await handle.appendFile(text);
    await handle.sync();
    isLineBroken = false;
    lines += 1;
  };
  return {
    file,
    /** @throws an error of the file system; then this line is unusable, and all others are whole */
    append(deletion: Deletion): Promise<void> {
      const written = last.then(() => write(deletion));
      last = written.catch(() => {});
      return written;
    },
    /** Ends the backup, and removes an empty one. Returns whether there is one. */
    async end(): Promise<boolean> {
      await last;
      await handle.close();
      if (lines === 0) await rm(file);
      return lines > 0;
    },
    /** Writes the report beside the backup, and returns its file. Throws an error of the file system. */
    async saveReport(report: RunReport): Promise<string> {
      const reportFile = join(directory, `reaper-report-${time}.json`);
      await writeFile(reportFile, `${JSON.stringify(report, null, 2)}\n`, { flag: 'wx', mode: MODE });
      return reportFile;
    },
  };
}

async function created(file: string, directory: string) {
  const handle = await open(file, 'ax', MODE);
  // Otherwise the lines may survive a crash of the machine, and the name of the file may not.
  const folder = await open(directory);
  await folder.sync();
  await folder.close();
  return handle;
}
