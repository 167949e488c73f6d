// One cold start: imports a bundle, handles one event, and tells its RSS over the file descriptor 3. Run by bench.ts.
import { readFileSync, writeSync } from 'node:fs';
import process from 'node:process';

const [bundle, eventFile] = process.argv.slice(2);
const { handler } = await import(bundle);
const { event, context } = JSON.parse(readFileSync(eventFile, 'utf8'));
const answer = await handler(event, { ...context, getRemainingTimeInMillis: () => 60_000 });
writeSync(3, JSON.stringify({ rss: process.memoryUsage.rss(), failures: answer?.batchItemFailures?.length ?? 0 }));
process.exit(0);
