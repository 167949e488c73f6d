import type { ClusterReport, RunReport, SweptHpa } from './report.ts';

const ofHpas = (shorten: (hpas: readonly SweptHpa[]) => SweptHpa[]) => (cluster: ClusterReport) => ({
  ...cluster,
  hpas: shorten(cluster.hpas),
});

/** In this order. The log has what is left out. */
const STEPS: readonly (readonly [name: string, shorten: (cluster: ClusterReport) => ClusterReport])[] = [
  ['manifests', ofHpas((hpas) => hpas.map(({ manifest: _, ...hpa }) => hpa))],
  [
    'what kept HPAs rest on, and who changed it',
    ofHpas((hpas) => hpas.map((hpa) => (hpa.action === 'keep' ? { ...hpa, restsOn: [], changes: [] } : hpa))),
  ],
  ['HPAs that are plainly wanted', ofHpas((hpas) => hpas.filter(({ reason }) => reason !== 'AutoscalingConfigured'))],
  ['all kept HPAs', ofHpas((hpas) => hpas.filter(({ action }) => action !== 'keep'))],
  ['all HPAs', ofHpas(() => [])],
  ['all missing HPAs', (cluster) => ({ ...cluster, missing: [] })],
];

/**
 * Shortens a report to a number of bytes of JSON, one step at a time and only as far as needed; `shortened` names the steps.
 * Totals, problems, warnings and remaining clusters always stay: a report in which they alone are larger remains larger.
 */
export function shortenReport(report: RunReport, bytes: number): RunReport {
  let shorter = report;
  for (const [name, shorten] of STEPS) {
    if (sizeOf(shorter) <= bytes) break;
    shorter = { ...shorter, clusters: shorter.clusters.map(shorten), shortened: [...(shorter.shortened ?? []), name] };
  }
  return shorter;
}

const sizeOf = (report: RunReport) => Buffer.byteLength(JSON.stringify(report));
