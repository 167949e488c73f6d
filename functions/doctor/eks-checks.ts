import type { AccessEntries } from '../aws/access-entries.ts';
import type { Roles } from '../aws/roles.ts';
import { FILTER_NAME, ROLES, STATIC_FILTER_NAME, type SubscriptionFilter, stackOf } from '../enrollment/enrollment.ts';
import {
  auditLogFinding,
  authenticationModeFinding,
  entryFinding,
  type Finding,
  filterFinding,
  logGroupFinding,
  optOutFinding,
} from '../enrollment/findings.ts';
import { type ClusterDescription, isRunning, OPT_OUT_TAG } from '../kubernetes/directory.ts';
import { problem } from '../platform/problems.ts';
import { type ClusterContext, enrollCommand } from './cluster-checks.ts';
import type { State } from './report.ts';
import { broken, type CheckDefinition, ok, type Verdict, warning } from './run-checks.ts';

/** What the checks of an EKS cluster need. */
export interface EksContext extends ClusterContext {
  readonly region: string;
  readonly entries: Pick<AccessEntries, 'describe'>;
  readonly roles: Roles;
  /** The class of the cluster's log group; `undefined` without one. */
  logGroupClass(): Promise<string | undefined>;
  filters(): Promise<readonly SubscriptionFilter[]>;
}

/**
 * Every log group can have at least this many subscription filters (API reference of PutSubscriptionFilter). The quota was raised
 * since, so that only CloudWatch Logs knows whether there is room for more.
 */
const CERTAIN_SLOTS = 2;

const STATE_OF: Record<Finding['state'], State> = {
  right: 'ok',
  absent: 'broken',
  different: 'broken',
  dead: 'broken',
  untagged: 'warning',
  unwanted: 'warning',
  unknown: 'unknown',
};

/** A finding of enrollment, with the command that fixes it. */
function verdictOf({ state, found, remedy, command, action }: Finding, context: EksContext): Verdict {
  const fix = action === 'none' ? undefined : enrollCommand(context);
  return { state: STATE_OF[state], found, remedy, command: command ?? fix };
}

const isEnrolled = ({ description }: EksContext) => description.tags[OPT_OUT_TAG] !== 'off';

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
  {
    id: 'eks-opt-out',
    after: ['eks-cluster'],
    run: (context) => {
      const verdict = verdictOf(optOutFinding(context, context.description), context);
      return verdict.state === 'ok' ? verdict : { ...verdict, state: 'warning' };
    },
  },
  { id: 'eks-endpoint', after: ['eks-cluster'], run: endpointVerdict },
  {
    id: 'eks-audit-log',
    after: ['eks-cluster'],
    run: (context) => verdictOf(auditLogFinding(context, context.description.auditLog), context),
  },
  {
    id: 'eks-log-group',
    after: ['eks-audit-log'],
    run: async (context) => verdictOf(logGroupFinding(context, await context.logGroupClass()), context),
  },
  {
    id: 'eks-subscription-filter',
    after: ['eks-log-group'],
    run: async (context) => {
      const { cluster, region, description } = context;
      const { destinationArn } = stackOf(description.arn ?? '');
      const desired = { cluster, region, destinationArn, enrolled: isEnrolled(context) };
      return verdictOf(filterFinding(await context.filters(), desired), context);
    },
  },
  {
    id: 'eks-filter-slots',
    after: ['eks-log-group'],
    run: async (context) =>
      slotsVerdict(
        (await context.filters()).map(({ name }) => name),
        context,
      ),
  },
  {
    id: 'eks-authentication-mode',
    after: ['eks-cluster'],
    run: (context) => verdictOf(authenticationModeFinding(context, context.description.authenticationMode), context),
  },
  ...ROLES.map(
    (role): CheckDefinition<EksContext> => ({
      id: `eks-access-entry-${role}`,
      after: ['eks-authentication-mode'],
      run: async (context) => {
        const arn = stackOf(context.description.arn ?? '').roleArns[role];
        const [entry, id] = await Promise.all([
          context.entries.describe(context.cluster, arn),
          context.roles.idOf(arn),
        ]);
        if (id !== undefined || !isEnrolled(context)) {
          return verdictOf(entryFinding(entry, { arn, id: id ?? '' }, isEnrolled(context)), context);
        }
        return broken(`there is no role ${arn}`, 'Deploy the stack, then enroll the cluster.', enrollCommand(context));
      },
    }),
  ),
];

function endpointVerdict({ cluster, region, description }: EksContext): Verdict {
  const { publicEndpoint = true, publicAccessCidrs = [] }: ClusterDescription = description;
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

function slotsVerdict(filters: readonly string[], context: EksContext): Verdict {
  const others = filters.filter((name) => name !== FILTER_NAME && name !== STATIC_FILTER_NAME);
  const hasOurs = others.length < filters.length;
  const found = `${filters.length} filter${filters.length === 1 ? '' : 's'}, ${hasOurs ? 'including ours' : 'none of them ours'}`;
  if (hasOurs || filters.length < CERTAIN_SLOTS) return ok(found);
  return warning(
    `${found}: ${others.join(', ')}; only CloudWatch Logs knows whether one more is possible`,
    'Enroll the cluster. If that reports NoFreeFilterSlot, delete a filter that is no longer needed, or let one stream feed several readers.',
    enrollCommand(context),
  );
}
