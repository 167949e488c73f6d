import {
  type AccessEntry,
  FILTER_NAME,
  ROLES,
  type Role,
  STATIC_FILTER_NAME,
  type SubscriptionFilter,
  stackOf,
} from '../enrollment/enrollment.ts';
import { SUBSCRIPTION_PATTERN } from '../events/audit-event.ts';
import { REAPER_GROUP } from '../kubernetes/permissions.ts';
import { logGroupOf } from '../platform/eks-names.ts';
import { as, type Check, type CheckId, checkOf, given, notLookedAt, type Reading } from './health.ts';

/** What EKS says of a cluster, as far as a link depends on it. */
export interface EksCluster {
  /** `arn:<partition>:eks:<region>:<account>:cluster/<name>` */
  readonly arn: string;
  readonly status: string;
  readonly optedOut: boolean;
  readonly auditLog: boolean;
  readonly publicEndpoint: boolean;
  /** Who may reach the public endpoint. */
  readonly publicAccessCidrs: readonly string[];
  /** `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`. */
  readonly authenticationMode: string;
}

/** What was read of one cluster from EKS and CloudWatch Logs. `undefined` as a value: there is none. */
export interface EksFacts {
  readonly cluster: Reading<EksCluster | undefined>;
  /** The class of the log group: `STANDARD`, `INFREQUENT_ACCESS` or `DELIVERY`. */
  readonly logGroup: Reading<string | undefined>;
  readonly filters: Reading<readonly SubscriptionFilter[]>;
  readonly accessEntries: Readonly<Record<Role, Reading<AccessEntry | undefined>>>;
}

export interface EksPlace {
  readonly name: string;
  readonly region: string;
  /** The flags that lead `reaper` to this cluster: `--eks shop --region eu-central-1`. */
  readonly flags: string;
}

/** Put by enrollment, or by the stack itself. */
const isOurs = ({ name }: SubscriptionFilter) => name === FILTER_NAME || name === STATIC_FILTER_NAME;
/**
 * A log group takes at least so many subscription filters, as the API reference of PutSubscriptionFilter says. The quota was
 * raised since (to five, by cfn-lint's rule E2529 of September 2026), so that beyond it only CloudWatch Logs can tell.
 */
const CERTAIN_SLOTS = 2;

/** @returns whether EKS serves the API of a cluster in this state; one that is being updated goes on doing so */
export const isServing = ({ status }: EksCluster): boolean => status === 'ACTIVE' || status === 'UPDATING';

export const knowsAccessEntries = ({ authenticationMode }: EksCluster): boolean =>
  authenticationMode === 'API' || authenticationMode === 'API_AND_CONFIG_MAP';

/** The links from a cluster's audit log to the functions, and from the functions back to the cluster's API. */
export function eksChecks(place: EksPlace, facts: EksFacts): Check[] {
  const { name, region } = place;
  const cluster: Reading<EksCluster> = given(facts.cluster, 'eks-cluster', (found) =>
    found === undefined ? notLookedAt('see eks-cluster') : { value: found },
  );
  const described = (id: CheckId, verdict: (cluster: EksCluster) => Omit<Check, 'id'>) => checkOf(id, cluster, verdict);
  const update = `aws eks update-cluster-config --region ${region} --name ${name}`;
  return [
    checkOf('eks-cluster', facts.cluster, (found) => statusVerdict(place, found)),
    described('eks-opt-out', (one) =>
      one.optedOut
        ? {
            state: 'warning',
            found: 'it is tagged envoy-hpa-reaper=off, so it is left alone',
            remedy: 'Take the tag off, if it is to be looked after.',
            command: `aws eks untag-resource --region ${region} --resource-arn ${one.arn} --tag-keys envoy-hpa-reaper`,
          }
        : { state: 'ok', found: 'it is not tagged as one to be left alone' },
    ),
    described('eks-endpoint', (one) => endpointVerdict(one, update)),
    described('eks-audit-log', ({ auditLog }) =>
      auditLog
        ? { state: 'ok', found: 'the audit log is on' }
        : {
            state: 'broken',
            found: 'the audit log is off: no change makes an event, only a sweep finds what is left behind',
            remedy: 'Switch it on, if you want that; CloudWatch Logs charges for every line that it takes in.',
            command: `${update} --logging '{"clusterLogging":[{"types":["audit"],"enabled":true}]}'`,
          },
    ),
    checkOf('eks-log-group', facts.logGroup, (found) => logGroupVerdict(place, found)),
    ...filterChecks(place, cluster, facts),
    described('eks-authentication-mode', (one) =>
      knowsAccessEntries(one)
        ? { state: 'ok', found: one.authenticationMode }
        : {
            state: 'broken',
            found: `${one.authenticationMode}: it knows no access entries, so the functions are not let in`,
            remedy: 'Let it know them as well; there is no way back.',
            command: `${update} --access-config authenticationMode=API_AND_CONFIG_MAP`,
          },
    ),
    ...ROLES.map((role) =>
      checkOf(
        `eks-access-entry-${role}`,
        given(cluster, 'eks-cluster', (one) => as(facts.accessEntries[role], (entry) => ({ one, entry }))),
        ({ one, entry }) => accessEntryVerdict(place, stackOf(one.arn).roleArns[role], entry),
      ),
    ),
  ];
}

function statusVerdict({ name, region }: EksPlace, cluster: EksCluster | undefined): Omit<Check, 'id'> {
  if (cluster === undefined) {
    return {
      state: 'broken',
      found: `there is no cluster ${name} in ${region}`,
      remedy: 'Check the name, the Region and the account.',
      command: `aws eks list-clusters --region ${region}`,
    };
  }
  if (isServing(cluster)) return { state: 'ok', found: cluster.status };
  return {
    state: 'broken',
    found: `it is ${cluster.status}`,
    remedy: 'Look again once it is ACTIVE.',
    command: `aws eks describe-cluster --region ${region} --name ${name} --query cluster.status`,
  };
}

function endpointVerdict({ publicEndpoint, publicAccessCidrs }: EksCluster, update: string): Omit<Check, 'id'> {
  if (!publicEndpoint) {
    return {
      state: 'warning',
      found:
        'it has a private endpoint only, which the functions reach from subnets that it admits and from nowhere else',
      remedy:
        'Set subnetIds and securityGroupIds (docs/private-endpoints.md), switch its public endpoint on, or run `reaper` from within its VPC in place of the functions.',
      command: `${update} --resources-vpc-config endpointPublicAccess=true,endpointPrivateAccess=true`,
    };
  }
  if (publicAccessCidrs.length > 0 && !publicAccessCidrs.includes('0.0.0.0/0')) {
    return {
      state: 'warning',
      found: `its public endpoint admits ${publicAccessCidrs.join(', ')} alone, and the functions have no fixed address`,
      remedy: 'If these do not include where the functions come from, run `reaper` from there in their place.',
    };
  }
  return { state: 'ok', found: 'its endpoint is public' };
}

/** Puts the filter, makes the entries and applies the RBAC, with the rights of whoever runs it. */
export const enrolling = (flags: string): string => `reaper enroll ${flags}`;

function logGroupVerdict({ name, flags }: EksPlace, logGroupClass: string | undefined): Omit<Check, 'id'> {
  const group = logGroupOf(name);
  if (logGroupClass === undefined) {
    return {
      state: 'broken',
      found: `there is no log group ${group}`,
      remedy: 'EKS makes it once the audit log is on; a minute later, have the cluster enrolled again.',
      command: enrolling(flags),
    };
  }
  if (logGroupClass === 'STANDARD') return { state: 'ok', found: `${group}, of class STANDARD` };
  return {
    state: 'broken',
    found: `${group} is of class ${logGroupClass}, which takes no subscription filter`,
    remedy:
      'A class cannot be changed. Export what you need of it and delete it; EKS makes a new one, of class STANDARD, with the next line.',
  };
}

function filterChecks(place: EksPlace, cluster: Reading<EksCluster>, { logGroup, filters }: EksFacts): Check[] {
  const read = given(cluster, 'eks-cluster', (one) =>
    given(logGroup, 'eks-log-group', (group) =>
      group === undefined ? notLookedAt('see eks-log-group') : as(filters, (all) => ({ all, one })),
    ),
  );
  return [
    checkOf('eks-subscription-filter', read, ({ all, one }) =>
      filterVerdict(place, all, stackOf(one.arn).destinationArn),
    ),
    checkOf('eks-filter-slots', read, ({ all }) => slotsVerdict(place, all)),
  ];
}

function filterVerdict(
  { region, flags }: EksPlace,
  all: readonly SubscriptionFilter[],
  destination: string,
): Omit<Check, 'id'> {
  const ours = all.find(isOurs);
  if (ours === undefined) {
    return {
      state: 'broken',
      found: `there is no subscription filter ${FILTER_NAME}`,
      remedy: 'Have the cluster enrolled.',
      command: enrolling(flags),
    };
  }
  const isOfStack = ours.name === STATIC_FILTER_NAME;
  const command = isOfStack ? `npm run deploy -- --s3-bucket BUCKET --region ${region}` : enrolling(flags);
  if (ours.destinationArn !== destination) {
    return {
      state: 'broken',
      found: `the subscription filter ${ours.name} delivers to ${ours.destinationArn}, and not to ${destination}`,
      remedy: `Find out whose it is; then ${isOfStack ? 'delete it, and deploy' : 'have the cluster enrolled, which turns it here'}.`,
      command,
    };
  }
  if (ours.pattern !== SUBSCRIPTION_PATTERN) {
    return {
      state: 'broken',
      found: `the pattern of the subscription filter ${ours.name} is not the one of this version`,
      remedy: isOfStack
        ? 'Deploy this version. (Where somebody changed it by hand, the deployment sees no change: delete the filter, take the cluster out of infra/configuration.yml, deploy, put it back in, deploy.)'
        : 'Deploy this version, if it is not; then have the cluster enrolled.',
      command,
    };
  }
  return { state: 'ok', found: `${ours.name}, with the pattern of this version` };
}

function slotsVerdict({ flags }: EksPlace, all: readonly SubscriptionFilter[]): Omit<Check, 'id'> {
  const others = all.filter((filter) => !isOurs(filter)).map(({ name }) => name);
  const isThere = others.length < all.length;
  const found = `${all.length} filter${all.length === 1 ? '' : 's'}, ${isThere ? 'ours among them' : 'none of them ours'}`;
  if (isThere || all.length < CERTAIN_SLOTS) return { state: 'ok', found };
  return {
    state: 'warning',
    found: `${found}: ${others.join(', ')}; whether there is room for one more, only CloudWatch Logs can tell`,
    remedy:
      'Have the cluster enrolled; if that says NoFreeFilterSlot, delete one that is no longer needed, or let one stream feed several readers.',
    command: enrolling(flags),
  };
}

function accessEntryVerdict(
  { flags }: EksPlace,
  principalArn: string,
  entry: AccessEntry | undefined,
): Omit<Check, 'id'> {
  const command = enrolling(flags);
  if (entry === undefined) {
    return {
      state: 'broken',
      found: `there is no access entry for ${principalArn}`,
      remedy: 'Have the cluster enrolled, once the stack is deployed.',
      command,
    };
  }
  const { groups } = entry;
  if (groups.includes(REAPER_GROUP)) return { state: 'ok', found: `with the Kubernetes group ${REAPER_GROUP}` };
  return {
    state: 'broken',
    found: `the access entry gives ${groups.length === 0 ? 'no Kubernetes group' : groups.join(', ')}, and not ${REAPER_GROUP}`,
    remedy: `Have the cluster enrolled: then it gives ${REAPER_GROUP}, and no other group.`,
    command,
  };
}
