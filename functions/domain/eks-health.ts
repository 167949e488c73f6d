import { FILTER_NAME, STATIC_FILTER_NAME } from './enrolment.ts';
import { as, type Check, type CheckId, checkOf, given, notLookedAt, type Reading } from './health.ts';
import { REAPER_GROUP } from './permissions.ts';
import { SUBSCRIPTION_PATTERN } from './subscription-pattern.ts';

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

export interface LogGroup {
  /** `STANDARD`, `INFREQUENT_ACCESS` or `DELIVERY`. */
  readonly logGroupClass: string;
}

export interface SubscriptionFilter {
  readonly name: string;
  readonly destinationArn: string;
  readonly pattern: string;
}

export interface AccessEntry {
  readonly kubernetesGroups: readonly string[];
}

/** The functions that have a role of their own in a cluster. */
export const ROLES = ['reap', 'backfill'] as const;
export type Role = (typeof ROLES)[number];

/** What was read of one cluster from EKS and CloudWatch Logs. `undefined` as a value: there is none. */
export interface EksFacts {
  readonly cluster: Reading<EksCluster | undefined>;
  readonly logGroup: Reading<LogGroup | undefined>;
  readonly filters: Reading<readonly SubscriptionFilter[]>;
  readonly accessEntries: Readonly<Record<Role, Reading<AccessEntry | undefined>>>;
}

export interface EksPlace {
  readonly name: string;
  readonly region: string;
}

/** Put by enrolment, or by the stack itself. */
const isOurs = ({ name }: SubscriptionFilter) => name === FILTER_NAME || name === STATIC_FILTER_NAME;
/**
 * How many subscription filters a log group takes: two, as the API reference of PutSubscriptionFilter still says, or five,
 * as newer editions of "Real-time processing of log data with subscriptions" (CloudWatch Logs user guide, Subscriptions.html)
 * do. Between the two nobody but the service can tell.
 */
const CERTAIN_SLOTS = 2;
const MOST_SLOTS = 5;

export const auditLogGroup = (cluster: string): string => `/aws/eks/${cluster}/cluster`;

/** @returns whether EKS serves the API of a cluster in this state; one that is being updated goes on doing so */
export const isServing = ({ status }: EksCluster): boolean => status === 'ACTIVE' || status === 'UPDATING';

export const knowsAccessEntries = ({ authenticationMode }: EksCluster): boolean =>
  authenticationMode === 'API' || authenticationMode === 'API_AND_CONFIG_MAP';

/** The role under which a function of the stack of the cluster's account and Region comes to it (`infra/roles.yml`). */
export function roleArn({ arn }: EksCluster, role: Role): string {
  const [, partition, , region, account] = arn.split(':');
  return `arn:${partition}:iam::${account}:role/envoy-hpa-reaper-${role}-${region}`;
}

function forwardArn({ arn }: EksCluster): string {
  const [, partition, , region, account] = arn.split(':');
  return `arn:${partition}:lambda:${region}:${account}:function:envoy-hpa-reaper-forward`;
}

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
            found: 'the audit log is off: no change makes an event, only the hourly backfill finds what is left behind',
            remedy: 'Switch it on, if you want that; CloudWatch Logs charges for every line that it takes in.',
            command: `${update} --logging '{"clusterLogging":[{"types":["audit"],"enabled":true}]}'`,
          },
    ),
    checkOf('eks-log-group', facts.logGroup, (found) => logGroupVerdict(name, found)),
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
        ({ one, entry }) => accessEntryVerdict(place, roleArn(one, role), entry),
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

function logGroupVerdict(name: string, found: LogGroup | undefined): Omit<Check, 'id'> {
  const group = auditLogGroup(name);
  if (found === undefined) {
    return {
      state: 'broken',
      found: `there is no log group ${group}`,
      remedy: 'EKS makes it once the audit log is on; a minute later, deploy the subscription filter again.',
    };
  }
  if (found.logGroupClass === 'STANDARD') return { state: 'ok', found: `${group}, of class STANDARD` };
  return {
    state: 'broken',
    found: `${group} is of class ${found.logGroupClass}, which takes no subscription filter`,
    remedy:
      'A class cannot be changed. Export what you need of it and delete it; EKS makes a new one, of class STANDARD, with the next line.',
  };
}

function filterChecks({ region }: EksPlace, cluster: Reading<EksCluster>, { logGroup, filters }: EksFacts): Check[] {
  const read = given(cluster, 'eks-cluster', (one) =>
    given(logGroup, 'eks-log-group', (group) =>
      group === undefined ? notLookedAt('see eks-log-group') : as(filters, (all) => ({ all, one })),
    ),
  );
  return [
    checkOf('eks-subscription-filter', read, ({ all, one }) => filterVerdict(region, all, forwardArn(one))),
    checkOf('eks-filter-slots', read, ({ all }) => slotsVerdict(all)),
  ];
}

function filterVerdict(region: string, all: readonly SubscriptionFilter[], destination: string): Omit<Check, 'id'> {
  const ours = all.find(isOurs);
  const deploy = `npm run package -- --region ${region} && npx osls deploy --package .serverless --region ${region}`;
  if (ours === undefined) {
    return {
      state: 'broken',
      found: `there is no subscription filter ${FILTER_NAME}`,
      remedy: 'Name the cluster in infra/configuration.yml, and deploy.',
      command: deploy,
    };
  }
  if (ours.destinationArn !== destination) {
    return {
      state: 'broken',
      found: `the subscription filter ${ours.name} delivers to ${ours.destinationArn}, and not to ${destination}`,
      remedy: 'Find out whose it is; then delete it, and deploy.',
      command: deploy,
    };
  }
  if (ours.pattern !== SUBSCRIPTION_PATTERN) {
    return {
      state: 'broken',
      found: `the pattern of the subscription filter ${ours.name} is not the one of this version`,
      remedy:
        'Deploy this version. (Where somebody changed it by hand, the deployment sees no change: delete the filter, take the cluster out of infra/configuration.yml, deploy, put it back in, deploy.)',
      command: deploy,
    };
  }
  return { state: 'ok', found: `${ours.name}, with the pattern of this version` };
}

function slotsVerdict(all: readonly SubscriptionFilter[]): Omit<Check, 'id'> {
  const others = all.filter((filter) => !isOurs(filter)).map(({ name }) => name);
  const found = `${all.length} of ${MOST_SLOTS} (by older documents ${CERTAIN_SLOTS}) filters are in use`;
  if (others.length < all.length || all.length < CERTAIN_SLOTS) return { state: 'ok', found };
  const full = all.length >= MOST_SLOTS;
  return {
    state: full ? 'broken' : 'warning',
    found: `${found}, none of them ours: ${others.join(', ')}`,
    remedy: full
      ? 'Delete one that is no longer needed, or let one stream feed several readers.'
      : 'Deploy; if the filter is refused (LimitExceededException), delete one that is no longer needed.',
  };
}

function accessEntryVerdict(
  { name, region }: EksPlace,
  principalArn: string,
  entry: AccessEntry | undefined,
): Omit<Check, 'id'> {
  const about = `--region ${region} --cluster-name ${name} --principal-arn ${principalArn}`;
  if (entry === undefined) {
    return {
      state: 'broken',
      found: `there is no access entry for ${principalArn}`,
      remedy: 'Create it, after the role: an entry for a role that was deleted and made again is dead.',
      command: `aws eks create-access-entry ${about} --kubernetes-groups ${REAPER_GROUP}`,
    };
  }
  const groups = entry.kubernetesGroups;
  if (groups.includes(REAPER_GROUP)) return { state: 'ok', found: `with the Kubernetes group ${REAPER_GROUP}` };
  return {
    state: 'broken',
    found: `the access entry gives ${groups.length === 0 ? 'no Kubernetes group' : groups.join(', ')}, and not ${REAPER_GROUP}`,
    remedy: `Give it the Kubernetes group ${REAPER_GROUP}.`,
    command: `aws eks update-access-entry ${about} --kubernetes-groups ${[...groups, REAPER_GROUP].join(' ')}`,
  };
}
