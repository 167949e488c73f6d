import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundleCli } from '../../infra/bundle.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The bundled command line tool. Compiling the sources for each process takes three times as long. */
    reaper: string;
  }
}

export default async function setup({ provide }: TestProject): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), 'reaper-bundle-'));
  await bundleCli(folder);
  provide('reaper', join(folder, 'reaper.mjs'));
  return () => rmSync(folder, { recursive: true });
}
