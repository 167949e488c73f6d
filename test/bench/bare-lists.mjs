// Sends the list requests of a scan one after another, and then parses the lists. Writes the milliseconds of both to the file
// descriptor 3. Run by scan.ts.
import { writeSync } from 'node:fs';
import process from 'node:process';
import { bareClient, readJson } from './bare-requests.mjs';

const { paths, token, ...connection } = readJson(process.argv[2]);
const get = bareClient({ ...connection, headers: { authorization: `Bearer ${token}`, accept: 'application/json' } });

const started = performance.now();
const lists = [];
for (const path of paths) lists.push(await get(path));
const listed = performance.now();
for (const list of lists) JSON.parse(list.toString('utf8'));
writeSync(3, JSON.stringify({ lists: listed - started, parsing: performance.now() - listed }));
process.exit(0);
