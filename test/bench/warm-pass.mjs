// Warm passes of a bundle, each followed by the bare requests of such a pass; tells the milliseconds of each. Run by bench.ts.
import { readFileSync, writeSync } from 'node:fs';
import { Agent, request } from 'node:https';
import process from 'node:process';

const [bundle, eventFile, wavesFile, times] = process.argv.slice(2);
const { handler } = await import(bundle);
const { event, context } = JSON.parse(readFileSync(eventFile, 'utf8'));
const { server, ca, headers, waves } = JSON.parse(readFileSync(wavesFile, 'utf8'));
const agent = new Agent({ ca, keepAlive: true });

const bareRequest = (path) =>
  new Promise((resolve, reject) => {
    const sent = request(`${server}${path}`, { agent, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
    });
    sent.on('error', reject).end();
  });

async function bareRequests() {
  for (const wave of waves) await Promise.all(wave.map(bareRequest));
}
const pass = () => handler(event, { ...context, getRemainingTimeInMillis: () => 60_000 });

async function timed(work) {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

const WARM_UP = 50;
const passes = [];
const bare = [];
for (let time = 0; time < WARM_UP + Number(times); time += 1) {
  const [ofPass, ofBare] = [await timed(pass), await timed(bareRequests)];
  if (time < WARM_UP) continue;
  passes.push(ofPass);
  bare.push(ofBare);
}
writeSync(3, JSON.stringify({ passes, bare }));
process.exit(0);
