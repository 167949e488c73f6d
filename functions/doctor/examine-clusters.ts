import pMap from 'p-map';
import type { AccessEntries } from '../aws/access-entries.ts';
import { isRefusal } from '../aws/access-error.ts';
import type { SubscriptionFilters } from '../aws/subscription-filters.ts';
import { type Role, stackOf } from '../enrollment/enrollment.ts';
import { type ClusterApi, clusterApi, type GatewayConfig } from '../kubernetes/cluster-api.ts';
import { type ClusterInspection, clusterInspection } from '../kubernetes/cluster-inspection.ts';
import { type ClusterDescription, type LiveDirectory, OPT_OUT_TAG } from '../kubernetes/directory.ts';
import { EVENT_PERMISSIONS, REAPER_GROUP, TO_REAP, TO_SCAN } from '../kubernetes/permissions.ts';
import { ApiStatusError } from '../kubernetes/transport.ts';
import {
  AwsAccessError,
  ClusterSkippedError,
  describeError,
  MalformedInputError,
  NoAnswerError,
  RetryableError,
} from '../platform/errors.ts';
import { type Assessment, assess } from '../sweep/assess.ts';
import { carriesTags, describeIfThere, findTargets } from '../sweep/find-targets.ts';
import type { RunProgress } from '../sweep/for-each-cluster.ts';
import { type EksCluster, type EksFacts, eksChecks, knowsAccessEntries } from './eks-health.ts';
import {
  as,
  type Check,
  type ClusterHealth,
  countStates,
  type DoctorReport,
  given,
  notLookedAt,
  type Reading,
} from './health.ts';
import { type Access, type ClusterFacts, inClusterChecks, NOT_ADMITTED } from './in-cluster-health.ts';

/** Where clusters are: a kubeconfig, or a Region of the account, which can be asked about the links outside of them too. */
export interface ExaminedPlace {
  readonly directory: LiveDirectory;
  readonly eks?: { readonly region: string; readonly filters: SubscriptionFilters; readonly entries: AccessEntries };
  /** How a person gets to one of the clusters: the flags for `reaper`, and the beginning of a command of `kubectl`. */
  readonly commands: (cluster: string) => { flags: string; kubectl: string };
}

export interface ExamineOptions {
  readonly places: readonly ExaminedPlace[];
  /** Names; without them all clusters of all places. */
  readonly clusters?: readonly string[];
  /** Only clusters that carry all of these. */
  readonly tags: Readonly<Record<string, string>>;
  readonly concurrency: number;
  /** As in a pass over a cluster. */
  readonly controllerNamespaces?: readonly string[];
  /** Milliseconds that one request to a cluster may take. */
  readonly timeout: number;
  readonly now: () => Date;
  readonly onProgress: (progress: RunProgress) => void;
}

interface Examined {
  readonly health: ClusterHealth;
  readonly hpas: number;
}

/**
 * Looks at every link of every cluster, side by side with a bound, and changes nothing. What cannot be looked at is in the
 * report as such, and stops nothing else.
 *
 * @throws {AwsAccessError} when AWS does not know who we are, or lets us list clusters nowhere
 */
export async function examineClusters(options: ExamineOptions): Promise<DoctorReport> {
  const { concurrency, now, onProgress } = options;
  const startedAt = now().toISOString();
  const { targets, regions, absent } = await destinations(options);
  const done: Examined[] = [];
  let clusters = targets.length;
  const tell = () =>
    onProgress({
      clusters,
      done: done.length,
      problems: done.filter(({ health }) => !health.checks.some(isAdmitted)).length,
    });
  tell();
  const examined = await pMap(
    targets,
    async (target) => {
      const one = await examine(target, options);
      if (one === undefined) clusters -= 1;
      else done.push(one);
      tell();
      return one;
    },
    { concurrency },
  );
  const healths = [...examined.flatMap((one) => one?.health ?? []), ...absent];
  return {
    schemaVersion: 1,
    startedAt,
    finishedAt: now().toISOString(),
    totals: countStates(healths),
    clusters: healths,
    regions,
  };
}

const isAdmitted = ({ id, state }: Check) => id === 'cluster-access' && state === 'ok';

type Target = ExaminedPlace & { readonly cluster: string };

/** Where to look, the Regions that could not be listed, and the names that are nowhere. */
async function destinations({ places, clusters: names, concurrency }: ExamineOptions): Promise<{
  targets: Target[];
  regions: DoctorReport['regions'];
  absent: ClusterHealth[];
}> {
  const { targets, faults, nowhere } = await findTargets(places, names, concurrency);
  const regions = places.flatMap((one): DoctorReport['regions'] => {
    if (!faults.has(one)) return [];
    const error = faults.get(one);
    if (!(error instanceof RetryableError)) throw error;
    const isRefused = error instanceof AwsAccessError;
    return [
      {
        ...(one.eks && { region: one.eks.region }),
        reason: isRefused ? 'AwsAccessRefused' : 'ListFailed',
        message: describeError(error),
        remedy: isRefused ? error.remedy : 'Run this again later.',
      },
    ];
  });
  const searched = places.map(({ eks }) => eks?.region).join(', ');
  return { targets, regions, absent: nowhere.map((cluster) => absentFrom(searched, cluster)) };
}

const absentFrom = (searched: string, cluster: string): ClusterHealth => ({
  cluster,
  checks: [
    {
      id: 'eks-cluster',
      state: 'broken',
      found: `there is no cluster ${cluster} in ${searched}`,
      remedy: 'Check the name, the Regions and the account.',
    },
  ],
});

/** @returns `undefined` for a cluster that does not carry the tags; one of which none are known is looked at */
async function examine(target: Target, options: ExamineOptions): Promise<Examined | undefined> {
  const { cluster, eks, commands } = target;
  const described = eks && (await description(target));
  const known = described && 'value' in described ? described.value : undefined;
  if (known && !carriesTags(known.tags, options.tags)) return undefined;
  const [outside, inside] = await Promise.all([
    eks && described && eksFacts(eks, cluster, as(described, eksCluster)),
    clusterFacts(target, described, options),
  ]);
  const reached = commands(cluster);
  const place = {
    ...reached,
    controllerNamespaces: options.controllerNamespaces,
    eks: eks && { name: cluster, region: eks.region, publicEndpoint: known?.publicEndpoint },
  };
  const checks = [
    ...(eks && outside ? eksChecks({ name: cluster, region: eks.region, flags: reached.flags }, outside) : []),
    ...inClusterChecks(place, inside),
  ];
  return {
    health: { cluster, ...(eks && { region: eks.region }), checks },
    hpas: 'value' in inside.hpas ? inside.hpas.value.all.length : 0,
  };
}

/** @returns `undefined` as the value where there is no such cluster */
const description = ({ cluster, directory }: Target): Promise<Reading<ClusterDescription | undefined>> =>
  readingOfAws('eks:DescribeCluster', () => describeIfThere(directory, cluster));

const eksCluster = (described: ClusterDescription | undefined): EksCluster | undefined =>
  described && {
    arn: described.arn ?? '',
    status: described.status ?? 'without a status',
    optedOut: described.tags[OPT_OUT_TAG] === 'off',
    auditLog: described.auditLog ?? false,
    publicEndpoint: described.publicEndpoint ?? true,
    publicAccessCidrs: described.publicAccessCidrs ?? [],
    // EKS knew no other before there were access entries.
    authenticationMode: described.authenticationMode ?? 'CONFIG_MAP',
  };

async function eksFacts(
  { filters, entries }: NonNullable<ExaminedPlace['eks']>,
  name: string,
  cluster: Reading<EksCluster | undefined>,
): Promise<EksFacts> {
  const entryOf = async (role: Role): Promise<EksFacts['accessEntries'][Role]> => {
    const asked = given(cluster, 'eks-cluster', (one) => {
      if (one === undefined) return notLookedAt('see eks-cluster');
      if (!knowsAccessEntries(one)) return notLookedAt('see eks-authentication-mode');
      return { value: stackOf(one.arn).roleArns[role] };
    });
    if (!('value' in asked)) return asked;
    return await readingOfAws('eks:DescribeAccessEntry', () => entries.describe(name, { arn: asked.value }));
  };
  const [logGroups, reap, backfill] = await Promise.all([
    readingOfAws('logs:DescribeLogGroups', () => filters.logGroups(name)),
    entryOf('reap'),
    entryOf('backfill'),
  ]);
  const logGroup = as(logGroups, (classes) => classes.get(name));
  const hasLogGroup = 'value' in logGroup && logGroup.value !== undefined;
  return {
    cluster,
    logGroup,
    filters: hasLogGroup
      ? await readingOfAws('logs:DescribeSubscriptionFilters', () => filters.list(name))
      : notLookedAt('see eks-log-group'),
    accessEntries: { reap, backfill },
  };
}

async function clusterFacts(
  { directory, cluster }: Target,
  described: Reading<ClusterDescription | undefined> | undefined,
  options: ExamineOptions,
): Promise<ClusterFacts> {
  const { timeout } = options;
  // EKS has told already why it cannot tell where the cluster is.
  if (described && 'unread' in described) return nothingKnown(notLookedAt('see eks-cluster'));
  let connection: Awaited<ReturnType<LiveDirectory['connection']>>;
  try {
    connection = await directory.connection(cluster);
  } catch (error) {
    // A context that gives no way in. Of a cluster of EKS, eks-cluster and its like say it.
    if (described === undefined && error instanceof ClusterSkippedError) {
      return nothingKnown({ value: { result: 'failed', message: error.message, remedy: error.remedy } });
    }
    const isExpected = error instanceof ClusterSkippedError || error instanceof MalformedInputError;
    if (!isExpected && !(error instanceof RetryableError)) throw error;
    return nothingKnown(notLookedAt(describeError(error)));
  }
  try {
    const inspection = clusterInspection(connection, timeout);
    const access = await accessTo(inspection);
    if (access.result !== 'admitted') return nothingKnown({ value: access });
    return await knownFacts(access, inspection, clusterApi(connection, timeout), options);
  } finally {
    connection.agent.destroy();
    directory.forget(cluster);
  }
}

/** @param access whatever else there is of the cluster has the same reason not to be known */
function nothingKnown(access: Reading<Access>): ClusterFacts {
  const unknown = 'unread' in access ? notLookedAt('see cluster-access') : NOT_ADMITTED;
  return {
    access,
    denied: { scan: unknown, reap: unknown, functions: unknown },
    gatewayApi: unknown,
    envoyGatewayApi: unknown,
    gatewayApiBundle: unknown,
    controllers: unknown,
    configs: unknown,
    envoyProxies: unknown,
    hpas: unknown,
  };
}

/** Whoever is let in may ask for the version, and what they may do. To nobody at all some servers tell the version too. */
async function accessTo(inspection: ClusterInspection): Promise<Access> {
  const { server } = inspection;
  try {
    const [version] = await Promise.all([inspection.version(), inspection.deniedToMe(TO_SCAN.slice(0, 1))]);
    return { result: 'admitted', server, version };
  } catch (error) {
    const message = describeError(error);
    if (error instanceof NoAnswerError) return { result: 'no-answer', message };
    if (error instanceof ClusterSkippedError) {
      return { result: error.reason === 'ClusterUnauthorized' ? 'unauthorized' : 'forbidden', message };
    }
    if (error instanceof ApiStatusError && error.code === 403) return { result: 'forbidden', message };
    return { result: 'failed', message };
  }
}

async function knownFacts(
  access: Access,
  inspection: ClusterInspection,
  api: ClusterApi,
  { now, controllerNamespaces }: ExamineOptions,
): Promise<ClusterFacts> {
  const [scan, reap, functions, gatewayApi, envoyGatewayApi, gatewayApiBundle, controllers, assessment] =
    await Promise.all([
      reading(() => inspection.deniedToMe(TO_SCAN)),
      reading(() => inspection.deniedToMe(TO_REAP)),
      reading(
        () => inspection.deniedToGroup(REAPER_GROUP, [...TO_SCAN, ...TO_REAP, ...EVENT_PERMISSIONS]),
        'Let somebody look who may create subjectaccessreviews, as an administrator of the cluster may.',
      ),
      reading(() => inspection.servedVersions('gateway.networking.k8s.io')),
      reading(() => inspection.servedVersions('gateway.envoyproxy.io')),
      reading(async () => {
        const annotations = await inspection.definitionAnnotations('gateways.gateway.networking.k8s.io');
        return annotations?.['gateway.networking.k8s.io/bundle-version'];
      }),
      reading(() => inspection.controllers()),
      reading(() => assess(api, { now: now(), controllerNamespaces })),
    ]);
  const config = await configOf(assessment, api);
  return {
    access: { value: access },
    denied: { scan, reap, functions },
    gatewayApi,
    envoyGatewayApi,
    gatewayApiBundle,
    controllers,
    configs: as(config, ({ envoyGatewayConfigs }) => envoyGatewayConfigs),
    envoyProxies: as(config, ({ envoyProxies }) => envoyProxies),
    hpas: as(assessment, ({ snapshot, verdicts, missing }) => ({
      all: snapshot.hpas,
      stale: verdicts.filter(({ action }) => action === 'delete').length,
      missing,
    })),
  };
}

/** What the assessment has read, or else by itself: nothing is assessed by it where there is neither an HPA nor a class. */
async function configOf(assessment: Reading<Assessment>, api: ClusterApi): Promise<Reading<GatewayConfig>> {
  if ('value' in assessment) {
    const { snapshot } = assessment.value;
    if (snapshot.hpas.length + snapshot.gatewayClasses.length > 0) return { value: snapshot };
  }
  return await reading(() => api.config.read());
}

/** What an API server would not, or could not, tell. A fault of this program goes on. */
async function reading<Value>(read: () => Promise<Value>, remedy?: string): Promise<Reading<Value>> {
  try {
    return { value: await read() };
  } catch (error) {
    const isExpected =
      error instanceof ClusterSkippedError || error instanceof RetryableError || error instanceof ApiStatusError;
    if (!isExpected) throw error;
    return { unread: describeError(error), remedy };
  }
}

/**
 * @param permission what the call takes, by its name in IAM
 * @throws {AwsAccessError} where no other call would be answered either
 */
async function readingOfAws<Value>(permission: string, read: () => Promise<Value>): Promise<Reading<Value>> {
  try {
    return { value: await read() };
  } catch (error) {
    if (!(error instanceof RetryableError)) throw error;
    if (!(error instanceof AwsAccessError)) return { unread: describeError(error), remedy: 'Run this again later.' };
    if (!isRefusal(error)) throw error;
    return {
      unread: `the credentials do not allow ${permission}`,
      remedy: `Allow ${permission} to whoever runs this.`,
    };
  }
}
