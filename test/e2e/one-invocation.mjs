// One invocation of a bundled function; tells its failures and the process' peak RSS over the file descriptor 3.
import { readFileSync, writeSync } from 'node:fs';
import process from 'node:process';

const [bundle, eventFile] = process.argv.slice(2);
const { handler } = await import(bundle);
const { event, context } = JSON.parse(readFileSync(eventFile, 'utf8'));
const answer = await handler(event, { ...context, getRemainingTimeInMillis: () => 840_000 });
const peak = process.resourceUsage().maxRSS / 1024;
writeSync(3, JSON.stringify({ peak, failures: answer.batchItemFailures.length }));
process.exit(0);
