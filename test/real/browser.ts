import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

/** Pinned, and outside of the tree: few need a browser, which has 140 MB. */
const PACKAGES = ['@sparticuz/chromium@147.0.0', 'puppeteer-core@24.43.1'];

// biome-ignore lint/suspicious/noExplicitAny: the types are installed with the browser
export type Browser = any;

/** Starts headless Chromium, which is installed at the first use. */
export async function launchBrowser(): Promise<Browser> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'envoy-hpa-reaper', 'chromium-147.0.0');
  if (!existsSync(join(cache, 'node_modules/puppeteer-core'))) {
    execFileSync('npm', ['install', '--prefix', cache, '--no-audit', '--no-fund', ...PACKAGES], { stdio: 'ignore' });
  }
  const { resolve } = createRequire(join(cache, 'index.js'));
  const load = async (name: string) => (await import(pathToFileURL(resolve(name)).href)).default;
  const [chromium, puppeteer] = [await load('@sparticuz/chromium'), await load('puppeteer-core')];
  const executablePath = await chromium.executablePath();
  return await puppeteer.launch({ args: chromium.args, executablePath, headless: 'shell' });
}
