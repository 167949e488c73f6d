/** Writes docs/report.png: the HTML report of docs/example.json in headless Chromium. A test fails while it is out of date. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { crc32 } from 'node:zlib';
import { launchBrowser } from './browser.ts';

export const REPORT_PICTURE = 'docs/report.png';

/** The page in the picture, always of the same time. */
export function reportPage(): string {
  const scan = ['functions/cli/reaper.ts', 'scan', '--file', 'docs/example.json', '-o', 'html'];
  const page = execFileSync(process.execPath, scan, { encoding: 'utf8' });
  return page.replace(/(<time[^>]*>).*?(?=<\/time>)/, '$12026-01-31 09:30:00 UTC').replace(/datetime="[^"]*"/, '');
}

/** A text chunk of the PNG names the page that it shows: the pixels depend on the fonts of a machine, and the page does not. */
export function pageChunk(page: string): Buffer {
  const text = Buffer.from(`tEXtSource\0sha256:${createHash('sha256').update(page).digest('hex')}`);
  const chunk = Buffer.alloc(text.length + 8);
  chunk.writeUInt32BE(text.length - 4); // Without the type.
  text.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(text), text.length + 4);
  return chunk;
}

/** The signature and the header, which come first. */
const HEADER_BYTES = 33;

if (import.meta.main) {
  const browser = await launchBrowser();
  try {
    const html = reportPage();
    const page = await browser.newPage();
    await page.setViewport({ width: 800, height: 600 });
    await page.setContent(html);
    const png = await page.screenshot({ fullPage: true });
    writeFileSync(
      REPORT_PICTURE,
      Buffer.concat([png.subarray(0, HEADER_BYTES), pageChunk(html), png.subarray(HEADER_BYTES)]),
    );
  } finally {
    await browser.close();
  }
}
