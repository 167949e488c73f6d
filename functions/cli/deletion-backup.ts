import { type FileHandle, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunReport } from '../events/report.ts';
import { describeError, MalformedInputError } from '../platform/errors.ts';
import type { Deletion } from '../sweep/sweep-cluster.ts';

/** Who may read what a run leaves behind: its owner. */
const MODE = 0o600;

/** The manifests of a run's deletions, one JSON a line, each on the disk before its HPA is deleted. */
export interface DeletionBackup {
  readonly file: string;
  /** @throws what the file system does; then the line is not to be relied on, and those before and after it are whole */
  append(deletion: Deletion): Promise<void>;
  /**
   * Ends the backup; one of nothing is taken away.
   *
   * @returns whether there is one
   */
  end(): Promise<boolean>;
  /**
   * Writes the report beside the backup.
   *
   * @returns its file
   * @throws what the file system does
   */
  saveReport(report: RunReport): Promise<string>;
}

/**
 * Begins a backup `reaper-backup-<time>.jsonl` in a directory. Each line is shaped as the one that the Lambda logs.
 *
 * @throws {MalformedInputError} for a directory that cannot be written, or a file that is there already
 */
export async function beginBackup(directory: string, now: () => Date): Promise<DeletionBackup> {
  const time = now().toISOString().replaceAll(':', '-');
  const file = join(directory, `reaper-backup-${time}.jsonl`);
  const reportFile = join(directory, `reaper-report-${time}.json`);
  const handle = await created(file, directory);
  // One at a time, so that lines do not mix. A line that broke off is ended before the next.
  let last: Promise<void> = Promise.resolve();
  let lineStart = '';
  let lines = 0;
  const write = async (deletion: object): Promise<void> => {
    const line = { message: 'deleting HPA', timestamp: now().toISOString(), ...deletion };
    const text = `${lineStart}${JSON.stringify(line)}\n`;
    lineStart = '\n';
    await handle.appendFile(text);
    await handle.sync();
    lineStart = '';
    lines += 1;
  };
  return {
    file,
    append(deletion) {
      const written = last.then(() => write(deletion));
      last = written.catch(() => {});
      return written;
    },
    async end() {
      await last;
      await handle.close();
      if (lines === 0) await rm(file);
      return lines > 0;
    },
    async saveReport(report) {
      await writeFile(reportFile, `${JSON.stringify(report, null, 2)}\n`, { flag: 'wx', mode: MODE });
      return reportFile;
    },
  };
}

async function created(file: string, directory: string): Promise<FileHandle> {
  try {
    const handle = await open(file, 'ax', MODE);
    // Without this the lines may outlive a crash of the machine, and the file's name not.
    const folder = await open(directory);
    await folder.sync();
    await folder.close();
    return handle;
  } catch (error) {
    throw new MalformedInputError(
      `no backup can be written, so nothing is deleted: ${describeError(error)}; give another --backup-dir`,
      { cause: error },
    );
  }
}
