import type { ClusterReport, Problem, RunReport } from '../events/report.ts';
import type { TargetOptions } from './input/targets.ts';

/**
 * Whether something that a run was to look at was not looked at: the rule of every command for exit code 1. In a run over all
 * clusters some are meant to be left out: those that opted out, are going, or never had the CRDs.
 */
export function isIncomplete({ clusters, regions, remaining }: RunReport, { eks }: TargetOptions): boolean {
  const isNamed = typeof eks === 'string';
  return regions.length > 0 || remaining.length > 0 || clusters.some((cluster) => isMissedCluster(cluster, isNamed));
}

const isMissedCluster = ({ result, problem }: ClusterReport, isNamed: boolean): boolean =>
  result === 'failed' ||
  (result === 'skipped' && (isNamed || ['ClusterUnauthorized', 'ClusterForbidden'].includes(problem?.reason ?? '')));

/** Why the one cluster that was asked for was not looked at: then there is nothing else to tell. */
export function onlyProblem(
  { clusters, regions }: RunReport,
  { eks, allContexts }: TargetOptions,
): Problem | undefined {
  const isOneOfMany = eks === true || allContexts === true || clusters.length > 1 || regions.length > 0;
  return isOneOfMany ? undefined : clusters[0]?.problem;
}
