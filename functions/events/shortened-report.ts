import type { ClusterReport, RunReport, SweptHpa } from './report.ts';

const ofHpas = (shorten: (hpas: readonly SweptHpa[]) => SweptHpa[]) => (cluster: ClusterReport) => ({
  ...cluster,
  hpas: shorten(cluster.hpas),
});

/** In this order, each only where the ones before were not enough. What is left out stands in the log. */
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
 * The report in at most so many bytes of JSON: it is cut down by a fixed rule, a step at a time and only as far as needed,
 * and `shortened` names the steps. Missing HPAs go last, and `totals` still counts them. Totals, problems, warnings and
 * remaining clusters always stay; where they alone are larger (some hundred bytes a cluster), so is the report.
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
