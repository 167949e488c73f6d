import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';

/** A client that sends GET requests and reads their bodies, and does nothing else. */
export function bareClient({ server, ca, headers }) {
  const agent = new Agent({ ca, keepAlive: true });
  return (path) =>
    new Promise((resolve, reject) => {
      const sent = request(`${server}${path}`, { agent, headers }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => resolve(Buffer.concat(chunks)));
      });
      sent.on('error', reject).end();
    });
}

export const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));
