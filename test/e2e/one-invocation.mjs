// One invocation of a bundled function; tells its answer and the process' peak RSS (MiB) over the file descriptor 3.
import { readFileSync, writeSync } from 'node:fs';
import process from 'node:process';

const [bundle, eventFile] = process.argv.slice(2);
const { handler } = await import(bundle);
const { event, context, remaining } = JSON.parse(readFileSync(eventFile, 'utf8'));
const answer = await handler(event, { ...context, getRemainingTimeInMillis: () => remaining });
const peak = process.resourceUsage().maxRSS / 1024;
writeSync(3, JSON.stringify({ peak, answer }));
process.exit(0);
