// The lists of a scan, bare and one after the other, and then JSON.parse of all pages; tells the milliseconds of both. Run by
// scan.ts.
import { readFileSync, writeSync } from 'node:fs';
import { Agent, request } from 'node:https';
import process from 'node:process';

const { server, ca, token, paths } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const agent = new Agent({ ca, keepAlive: true });
const headers = { authorization: `Bearer ${token}`, accept: 'application/json' };

const get = (path) =>
  new Promise((resolve, reject) => {
    const sent = request(`${server}${path}`, { agent, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
    });
    sent.on('error', reject).end();
  });

// The metadata of a list stand at the start of a page, and at the end of one of custom resources.
const tokenOf = (page) =>
  /"continue":"([^"]+)"/.exec(page.toString('latin1', 0, 1000) + page.toString('latin1', page.length - 1000))?.[1];

const started = performance.now();
const pages = [];
for (const path of paths) {
  let next = '';
  do {
    const page = await get(path + next);
    pages.push(page);
    const token = tokenOf(page);
    next = token === undefined ? undefined : `&continue=${encodeURIComponent(token)}`;
  } while (next !== undefined);
}
const listed = performance.now();
for (const page of pages) JSON.parse(page.toString('utf8'));
writeSync(3, JSON.stringify({ lists: listed - started, parsing: performance.now() - listed }));
agent.destroy();
