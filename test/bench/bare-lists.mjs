// Sends the list requests of a scan one after another, and then parses all pages. Writes the milliseconds of both to the file
// descriptor 3. Run by scan.ts.
import { writeSync } from 'node:fs';
import process from 'node:process';
import { bareClient, readJson } from './bare-requests.mjs';

const { paths, token, ...connection } = readJson(process.argv[2]);
const get = bareClient({ ...connection, headers: { authorization: `Bearer ${token}`, accept: 'application/json' } });

// The metadata of a list are at the start of a page, or at the end for custom resources.
const tokenOf = (page) =>
  /"continue":"([^"]+)"/.exec(page.toString('latin1', 0, 1000) + page.toString('latin1', page.length - 1000))?.[1];

const started = performance.now();
const pages = [];
for (const path of paths) {
  let next = '';
  do {
    const page = await get(path + next);
    pages.push(page);
    const continued = tokenOf(page);
    next = continued && `&continue=${encodeURIComponent(continued)}`;
  } while (next !== undefined);
}
const listed = performance.now();
for (const page of pages) JSON.parse(page.toString('utf8'));
writeSync(3, JSON.stringify({ lists: listed - started, parsing: performance.now() - listed }));
process.exit(0);
