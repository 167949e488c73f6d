import type { EnrollmentClients, SubscriptionFilter } from '../aws/enrollment-clients.ts';
import {
  entryFinding,
  FILTER_NAME,
  type Finding,
  filterFinding,
  PREREQUISITES,
  STATIC_FILTER_NAME,
  stackOf,
} from '../enrollment/findings.ts';
import { isRunning, OPT_OUT_TAG } from '../kubernetes/directory.ts';
import { problem } from '../platform/problems.ts';
import type { ClusterContext } from './cluster-checks.ts';
import type { Check } from './report.ts';
import { broken, type CheckDefinition, ok, type Verdict, warning } from './run-checks.ts';

/** What the checks of an EKS cluster need. */
interface EksContext extends ClusterContext {
  readonly region: string;
  readonly entries: Pick<EnrollmentClients['entries'], 'describe'>;
  readonly roles: EnrollmentClients['roles'];
  /** The class of the cluster's log group; `undefined` without one. */
  logGroupClass(): Promise<string | undefined>;
  filters(): Promise<readonly SubscriptionFilter[]>;
}

/**
 * Every log group can have at least this many subscription filters (API reference of PutSubscriptionFilter). The quota was raised
 * since, so that only CloudWatch Logs knows whether there is room for more.
 */
const CERTAIN_SLOTS = 2;

/** Any other state of a finding is broken. */
const STATE_OF: Partial<Record<Finding['state'], Check['state']>> = {
  right: 'ok',
  untagged: 'warning',
  unwanted: 'warning',
  unknown: 'unknown',
};

/** A check that is a finding of enrollment, with the command that fixes it. */
const finding = (
  id: Check['id'],
  after: Check['id'],
  find: (context: EksContext) => Finding | Promise<Finding>,
): CheckDefinition<EksContext> => ({
  id,
  after: [after],
  run: async (context) => {
    const { part, state, found, remedy, command, action } = await find(context);
    const fix = action === 'none' ? undefined : `reaper enroll ${context.flags}`;
    const fault = part === 'optOut' ? 'warning' : 'broken';
    return { state: STATE_OF[state] ?? fault, found, remedy, command: command ?? fix };
  },
});

const isEnrolled = ({ description }: EksContext) => description.tags[OPT_OUT_TAG] !== 'off';
const stack = ({ description }: EksContext) => stackOf(description.arn ?? '');

/** The links from a cluster's audit log to the functions, and from the functions back to the cluster's API. */
export const EKS_CHECKS: readonly CheckDefinition<EksContext>[] = [
  {
    id: 'eks-cluster',
    run: ({ cluster, description: { status = '' } }) => {
      if (isRunning(status)) return ok(status);
      const { message, remedy } = problem('ClusterNotActive', cluster, status);
      return broken(message, remedy);
    },
  },
  finding('eks-opt-out', 'eks-cluster', (context) => PREREQUISITES.optOut(context, context.description)),
  { id: 'eks-endpoint', after: ['eks-cluster'], run: endpointVerdict },
  finding('eks-audit-log', 'eks-cluster', (context) => PREREQUISITES.auditLog(context, context.description)),
  finding('eks-log-group', 'eks-audit-log', async (context) =>
    PREREQUISITES.logGroup(context, await context.logGroupClass()),
  ),
  finding('eks-subscription-filter', 'eks-log-group', async (context) => {
    const { destinationArn } = stack(context);
    return filterFinding(await context.filters(), { ...context, destinationArn, enrolled: isEnrolled(context) });
  }),
  { id: 'eks-filter-slots', after: ['eks-log-group'], run: slotsVerdict },
  finding('eks-authentication-mode', 'eks-cluster', (context) =>
    PREREQUISITES.authenticationMode(context, context.description),
  ),
  ...(['reap', 'backfill'] as const).map((role) =>
    finding(`eks-access-entry-${role}`, 'eks-authentication-mode', async (context) => {
      const arn = stack(context).roleArns[role];
      const [entry, id] = await Promise.all([context.entries.describe(context.cluster, arn), context.roles.idOf(arn)]);
      return entryFinding(entry, { arn, id }, isEnrolled(context));
    }),
  ),
];

function endpointVerdict({ cluster, region, description }: EksContext): Verdict {
  const { publicEndpoint = true, publicAccessCidrs = [] } = description;
  if (!publicEndpoint) {
    return warning(
      'the cluster has a private endpoint only, which the functions reach only from subnets that it admits',
      'Set subnetIds and securityGroupIds (docs/private-endpoints.md), switch its public endpoint on, or run `reaper` within its VPC instead of the functions.',
      `aws eks update-cluster-config --region ${region} --name ${cluster} --resources-vpc-config endpointPublicAccess=true,endpointPrivateAccess=true`,
    );
  }
  if (publicAccessCidrs.length === 0 || publicAccessCidrs.includes('0.0.0.0/0')) return ok('the endpoint is public');
  return warning(
    `the public endpoint admits only ${publicAccessCidrs.join(', ')}, and the functions have no fixed address`,
    'If these do not include the addresses of the functions, run `reaper` from an admitted network instead.',
  );
}

async function slotsVerdict(context: EksContext): Promise<Verdict> {
  const filters = (await context.filters()).map(({ name }) => name);
  const others = filters.filter((name) => name !== FILTER_NAME && name !== STATIC_FILTER_NAME);
  const hasOurs = others.length < filters.length;
  const found = `${filters.length} filter${filters.length === 1 ? '' : 's'}, ${hasOurs ? 'including ours' : 'none of them ours'}`;
  if (hasOurs || filters.length < CERTAIN_SLOTS) return ok(found);
  return warning(
    `${found}: ${others.join(', ')}; only CloudWatch Logs knows whether one more is possible`,
    'Enroll the cluster. If that reports NoFreeFilterSlot, delete a filter that is no longer needed, or let one stream feed several readers.',
    `reaper enroll ${context.flags}`,
  );
}
