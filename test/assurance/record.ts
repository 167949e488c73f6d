import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The proofs, in the order of docs/assurance.md. Each has its figures in `test/assurance/NAME.json`. */
export const PROOFS = ['gateway', 'simulation', 'bad-input', 'mutation', 'load', 'emulators'] as const;

/** What one run of a proof has shown. All figures are counts that do not depend on the machine. */
export interface Figures {
  /** The command that repeats the run. */
  readonly command: string;
  /** The commit that was tested, abbreviated. */
  readonly commit: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/**
 * Saves the figures of a run, from which `node test/assurance/page.ts` generates docs/assurance.md.
 *
 * @throws if `functions/` differs from the commit: then the figures would name the wrong code
 */
export async function record(proof: (typeof PROOFS)[number], figures: Omit<Figures, 'commit'>): Promise<void> {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
  if (git('status', '--porcelain', '../../functions') !== '') {
    throw new Error('functions/ has changes that are not committed; commit them, and record again');
  }
  const { command, columns, rows } = figures;
  const recorded: Figures = { command, commit: git('rev-parse', '--short=10', 'HEAD'), columns, rows };
  await writeFile(fileOf(proof), `${JSON.stringify(recorded, null, 2)}\n`);
}

export const recorded = async (proof: (typeof PROOFS)[number]): Promise<Figures> =>
  JSON.parse(await readFile(fileOf(proof), 'utf8'));

const fileOf = (proof: string) => join(import.meta.dirname, `${proof}.json`);
