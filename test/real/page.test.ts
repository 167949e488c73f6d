import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatReport } from '../../functions/cli/output/output.ts';
import type { RunReport, SweptHpa } from '../../functions/events/report.ts';
import { type Browser, launchBrowser } from './browser.ts';

const SELECTOR = 'h1, h2, h3, p, li, th, td, summary, pre, strong';

const hpa = (name: string, more: Partial<SweptHpa> = {}): SweptHpa => ({
  ...{ namespace: 'envoy-gateway-system', name, uid: name, action: 'delete', reason: 'AutoscalingRemoved' },
  explanation: 'Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web.',
  ...{ restsOn: [], dropsCapacity: true, outcome: 'Reported', changes: [] },
  replicas: { current: 12, min: 2, max: 20, after: { kind: 'Becomes', replicas: 1 } },
  manifest: { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', metadata: { name } },
  ...more,
});
const kept = (name: string) => hpa(name, { action: 'keep', reason: 'Protected', outcome: 'Kept' });

function reportOf(cluster: string, ...hpas: SweptHpa[]): RunReport {
  const problem = { reason: 'ClusterUnreachable' as const, message: `no answer from ${cluster}`, remedy: 'Look.' };
  const owner = { kind: 'Gateway', namespace: 'shop', name: cluster };
  const missing = { namespace: 'shop', name: cluster, owner, reason: 'WantedButMissing' as const };
  return {
    ...{ schemaVersion: 1, runId: 'run-1', mode: 'report', regions: [], remaining: [] },
    ...{ startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T00:00:01Z' },
    totals: { clusters: 2, swept: 1, skipped: 0, failed: 1, hpas: hpas.length, stale: 1, missing: 1, outcomes: {} },
    clusters: [
      {
        ...{ cluster, region: 'eu-central-1', result: 'swept', warnings: [problem], hpas },
        missing: [{ ...missing, explanation: cluster, remedy: cluster }],
      },
      { cluster: `${cluster}-2`, result: 'failed', problem, warnings: [], hpas: [], missing: [] },
    ],
  };
}

const HOSTILE = [
  '<script>window.ran = true</script><img src="https://example.com/x.png" onerror="window.ran = true">',
  '"><svg onload="window.ran = true"></svg><style>body{display:none}</style><base href="https://example.com/">',
  'w'.repeat(200),
  'שלום \u202e reversed',
].join(' ');
const PAGES = {
  usual: reportOf('production', kept('a-kept'), hpa('z-stale'), kept('b-kept')),
  hostile: reportOf(HOSTILE, hpa(HOSTILE, { namespace: HOSTILE, explanation: HOSTILE, message: HOSTILE })),
};

let browser: Browser;

beforeAll(async () => {
  browser = await launchBrowser();
}, 300_000);
afterAll(() => browser?.close());

describe.each(['usual', 'hostile'] as const)('the %s page in a browser', (name) => {
  test.each([
    ['light', 1_280],
    ['dark', 1_280],
    ['light', 400],
    ['dark', 400],
  ])('is whole and readable, and runs and loads nothing (%s, %i pixels)', async (scheme, width) => {
    const html = Buffer.from(formatReport(PAGES[name], 'html', { color: false }));
    const page = await browser.newPage();
    const requests: string[] = [];
    page.on('request', (request: { url(): string }) => requests.push(request.url()));
    await page.setViewport({ width, height: 800 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await page.goto(`data:text/html;base64,${html.toString('base64')}`);
    for (const fold of await page.$$('summary')) await fold.evaluate((summary: Browser) => summary.click());
    const seen = await page.evaluate((selector: string) => {
      const { document, getComputedStyle } = globalThis as Browser;
      const cut: string[] = [];
      const pale: string[] = [];
      const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number);
      const luminance = (color: string) => {
        const [red = 0, green = 0, blue = 0] = channels(color)
          .slice(0, 3)
          .map((channel) =>
            channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4,
          );
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
      };
      const backgroundOf = (element: Browser): string => {
        for (let one = element; one; one = one.parentElement) {
          const color = getComputedStyle(one).backgroundColor;
          if ((channels(color)[3] ?? 1) > 0.99) return color;
        }
        return 'rgb(255, 255, 255)';
      };
      for (const element of document.querySelectorAll(selector)) {
        const box = element.getBoundingClientRect();
        if (box.width === 0 || !element.textContent.trim()) continue;
        const what = `${element.tagName} ${element.textContent.trim().slice(0, 30)}`;
        const scrolls = ['auto', 'scroll'].includes(getComputedStyle(element).overflowX);
        if (!scrolls && element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== 'inline')
          cut.push(what);
        const [a, b] = [luminance(getComputedStyle(element).color), luminance(backgroundOf(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) pale.push(`${what}: ${contrast.toFixed(1)}`);
      }
      const { scrollWidth, clientWidth } = document.documentElement;
      const names = [...document.querySelectorAll('td.name')].map((cell: Browser) => cell.textContent);
      const folded = [...document.querySelectorAll('details td.name')].map((cell: Browser) => cell.textContent);
      const background = getComputedStyle(document.body).backgroundColor;
      return { cut, pale, overflow: scrollWidth - clientWidth, names, folded, background, ran: 'ran' in globalThis };
    }, SELECTOR);
    expect(seen).toMatchObject({ cut: [], pale: [], overflow: 0, ran: false });
    expect(requests.filter((url) => !url.startsWith('data:'))).toEqual([]);
    const [red = 0] = /\d+/.exec(seen.background) ?? [];
    expect(Number(red) > 128).toBe(scheme === 'light');
    if (name === 'usual')
      expect(seen).toMatchObject({
        names: ['z-stale', 'production', 'a-kept', 'b-kept'],
        folded: ['a-kept', 'b-kept'],
      });
    await page.close();
  });
});
