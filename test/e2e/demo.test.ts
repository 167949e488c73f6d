import { execFile } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const demo = fileURLToPath(new URL('../embedded-cluster/demo.ts', import.meta.url));

test('the demo tells its story in plain text, deletes one HPA and ends by itself', async () => {
  const { FORCE_COLOR: _, ...env } = process.env;
  // Rejects unless it exits with 0 in time.
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [demo], { env, timeout: 20_000 });

  expect(stderr).toBe('');
  expect(stdout).not.toContain('\u001b');
  expect(stdout.match(/^\d\. \w+/gm)).toEqual([
    ...['1. Before', '2. Jane', '3. forward', '4. reap', '5. After', '6. The'],
  ]);
  const step = (number: number) => stdout.split(/^\d\. /m)[number] ?? '';
  const web = 'envoy-gateway-system/envoy-shop-web-97375646';
  const hpas = (text: string) => text.match(/^(envoy-gateway-system|shop) +\S+/gm)?.map((row) => row.split(/ +/)[1]);
  expect(hpas(step(1))?.toSorted()).toEqual([
    ...['checkout', 'envoy-shop-api-737a40b9', 'envoy-shop-web-97375646', 'web-at-night'],
  ]);
  expect(step(2)).toContain('"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata"');
  expect(step(3)).toContain('patch envoyproxies shop/web by jane@example.com');
  expect(stdout.match(/^ {2}Deleted: .*$/gm)).toEqual([`  Deleted: ${web} (AutoscalingRemoved)`]);
  expect(step(4)).toContain('6 replicas run now. Afterwards HPA envoy-gateway-system/web-at-night sets the replicas.');
  expect(step(4)).toContain('Changed by jane@example.com (patch envoyproxies, auditID ');
  expect(hpas(step(5))?.toSorted()).toEqual(['checkout', 'envoy-shop-api-737a40b9', 'web-at-night']);
  expect(step(6)).not.toContain(web);
}, 30_000);
