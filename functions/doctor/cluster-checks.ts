import {
  CONTROLLER_NAME,
  controllerContainer,
  controllerVersion,
  leaksHpas,
  otherConfiguration,
} from '../judgement/controller.ts';
import { CONFIG_MAP_NAME } from '../judgement/envoy-gateway-config.ts';
import {
  type Deployment,
  type EnvoyProxySpec,
  type HorizontalPodAutoscaler,
  objectKey,
  VERSION_LABEL,
} from '../judgement/kubernetes-objects.ts';
import { appliedByEnvoyGateway, labeledOwner } from '../judgement/ownership.ts';
import { ApiStatusError } from '../kubernetes/api-client.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import {
  type ClusterInspection,
  PERMISSIONS,
  type Permission,
  REAPER_GROUP,
} from '../kubernetes/cluster-inspection.ts';
import type { ClusterDescription } from '../kubernetes/directory.ts';
import { describeError, RetryableError } from '../platform/errors.ts';
import { problemOf } from '../platform/problems.ts';
import type { Assessment } from '../sweep/assess.ts';
import type { Check } from './report.ts';
import { broken, type CheckDefinition, ok, unknown, type Verdict, warning } from './run-checks.ts';

type GatewayConfig = Awaited<ReturnType<ClusterApi['config']['read']>>;

/** What the checks of any cluster need. What is read is cached for the other checks. */
export interface ClusterContext {
  readonly cluster: string;
  /** Absent for a cluster of a kubeconfig. */
  readonly region?: string;
  readonly description: ClusterDescription;
  /** The flags of `reaper` for this cluster: `--context prod`. */
  readonly flags: string;
  /** The beginning of a `kubectl` command for this cluster. */
  readonly kubectl: string;
  /** The namespaces in which Envoy Gateway is said to run; absent or empty for any. */
  readonly controllerNamespaces?: readonly string[];
  /** @throws {ClusterSkippedError} when there is no way to authenticate */
  connect(): Promise<ClusterInspection>;
  /** The Deployments of Envoy Gateway itself. */
  controllers(): Promise<readonly Deployment[]>;
  config(): Promise<GatewayConfig>;
  assessment(): Promise<Assessment>;
}

const scanCommand = ({ flags, controllerNamespaces = [] }: ClusterContext): string =>
  ['reaper scan', flags, ...controllerNamespaces.map((name) => `--controller-namespace ${name}`)].join(' ');

const ALLOWED = 'everything that is needed is allowed';
/** `list configmaps/envoy-gateway-config, patch horizontalpodautoscalers.autoscaling`. */
const namesOf = (permissions: readonly Permission[]): string =>
  permissions
    .map(({ group, resource, verb, name }) => `${verb} ${resource}${group && `.${group}`}${name ? `/${name}` : ''}`)
    .join(', ');
const FUNCTION_PERMISSIONS = Object.values(PERMISSIONS).flat();

/** A check of a cluster whose API server authorizes us. */
const inCluster = (
  id: Check['id'],
  run: (context: ClusterContext, inspection: ClusterInspection) => Promise<Verdict>,
  after: readonly Check['id'][] = ['cluster-access'],
): CheckDefinition<ClusterContext> => ({
  id,
  after,
  run: async (context) => await run(context, await context.connect()),
});

/** A check of what the person may do. */
const permissionCheck = (id: Check['id'], permissions: readonly Permission[], fault: (missing: string) => Verdict) =>
  inCluster(id, async (_, inspection) => {
    const missing = await inspection.deniedToMe(permissions);
    return missing.length === 0 ? ok(ALLOWED) : fault(namesOf(missing));
  });

/** The links within a cluster: its API server, its RBAC, the CRDs, and Envoy Gateway. */
export const CLUSTER_CHECKS: readonly CheckDefinition<ClusterContext>[] = [
  { id: 'cluster-access', after: ['eks-cluster'], run: checkAccess },
  inCluster('cluster-version', async (_, inspection) => ok(await inspection.version())),
  permissionCheck('rbac-scan', PERMISSIONS.scan, (missing) =>
    broken(
      `you cannot ${missing}, so \`scan\` fails`,
      'Ask for a role that allows it, such as the ClusterRole view and what infra/kubernetes/rbac.yaml allows.',
    ),
  ),
  permissionCheck('rbac-reap', PERMISSIONS.reap, (missing) =>
    warning(
      `you cannot ${missing}, so \`reap\` cannot delete`,
      'Nothing to do if you do not run `reap`; the functions have their own role.',
    ),
  ),
  inCluster('rbac-functions', async (context, inspection) =>
    functionsVerdict(await inspection.deniedToGroup(REAPER_GROUP, FUNCTION_PERMISSIONS), context),
  ),
  inCluster('crds-gateway-api', (_, inspection) => checkCrds(inspection, 'gateway.networking.k8s.io', 'v1')),
  inCluster('crds-envoy-gateway', (_, inspection) => checkCrds(inspection, 'gateway.envoyproxy.io', 'v1alpha1')),
  inCluster('envoy-gateway', async ({ controllers }) => controllersVerdict(await controllers())),
  inCluster('envoy-gateway-config', async (context) => {
    // A person who cannot list Deployments can still check the ConfigMaps.
    const controllers = await context.controllers().catch(() => undefined);
    return configVerdict(await context.config(), controllers, context);
  }),
  inCluster(
    'envoy-gateway-leaks',
    async (context) =>
      leaksVerdict(await context.controllers(), (await context.assessment()).snapshot.hpas, scanCommand(context)),
    ['envoy-gateway', 'stale-hpas'],
  ),
  inCluster(
    'envoy-gateway-downgrade',
    async ({ controllers, config }) => downgradeVerdict(await controllers(), await config()),
    ['envoy-gateway', 'envoy-gateway-config'],
  ),
  inCluster('stale-hpas', async (context) => {
    const { snapshot, verdicts } = await context.assessment();
    const stale = verdicts.filter(({ action }) => action === 'delete').length;
    const found = `${stale} of ${counted(snapshot.hpas.length, 'HPA')} with a label of Envoy Gateway ${stale === 1 ? 'is' : 'are'} stale`;
    if (stale === 0) return ok(found);
    return warning(found, 'See which and why; `reaper reap` deletes them.', scanCommand(context));
  }),
  inCluster(
    'missing-hpas',
    async (context) => {
      const { missing } = await context.assessment();
      if (missing.length === 0) return ok('no wanted HPA is missing');
      const names = missing.map((one) => `${objectKey(one)} of ${one.owner.kind} ${objectKey(one.owner)}`);
      return warning(
        `${counted(missing.length, 'wanted HPA')} ${missing.length === 1 ? 'is' : 'are'} missing: ${names.join(', ')}`,
        [...new Set(missing.map(({ remedy }) => remedy))].join(' '),
        scanCommand(context),
      );
    },
    ['stale-hpas'],
  ),
];

async function checkAccess({ connect, region, kubectl, description }: ClusterContext): Promise<Verdict> {
  try {
    const inspection = await connect();
    await inspection.version();
    // Some servers answer /version to everybody.
    await inspection.deniedToMe(PERMISSIONS.scan.slice(0, 1));
    return ok(`${inspection.server} answers and authorizes you`);
  } catch (error) {
    const message = describeError(error);
    const { reason, remedy } = problemOf(error, description);
    if (reason === 'ClusterUnauthorized' && (error as Error).cause instanceof ApiStatusError) {
      const found = `authentication failed: ${message}`;
      if (region === undefined) return broken(found, remedy, `${kubectl} auth whoami`);
      const whoami = `aws sts get-caller-identity --region ${region}`;
      return broken(found, 'Create an access entry for your role or user, whose ARN the command prints.', whoami);
    }
    if (reason === 'ClusterForbidden' || (error instanceof ApiStatusError && error.code === 403)) {
      return broken(
        `authenticated, but not authorized: ${message}`,
        'Every authenticated user may read the version and their own permissions: check system:discovery and system:basic-user.',
      );
    }
    if (error instanceof ApiStatusError) return broken(message, 'Check that this is a Kubernetes API server.');
    // A context of a kubeconfig without a way to authenticate is unauthorized, too.
    if (reason === 'ClusterUnauthorized' || error instanceof RetryableError) return broken(message, remedy);
    throw error;
  }
}

/** A cluster of a kubeconfig may be no EKS cluster, or one that the functions need not sweep. */
function functionsVerdict(missing: readonly Permission[], context: ClusterContext): Verdict {
  if (missing.length === 0) return ok(ALLOWED);
  const hasNothing = missing.length === FUNCTION_PERMISSIONS.length;
  const found = `the group ${REAPER_GROUP} cannot ${hasNothing ? 'do anything that it has to' : namesOf(missing)}`;
  const enroll = `reaper enroll ${context.flags}`;
  if (context.region !== undefined) {
    return broken(found, 'Enroll the cluster, which applies the role of this version.', enroll);
  }
  const apply = `${context.kubectl} apply -f infra/kubernetes/rbac.yaml`;
  const also = `for an EKS cluster, \`${enroll}\` does it and creates the filter and the entries.`;
  if (!hasNothing) return broken(found, `Apply the role of this version; ${also}`, apply);
  return warning(
    found,
    `Nothing to do if the functions do not sweep this cluster; otherwise apply the role; ${also}`,
    apply,
  );
}

async function checkCrds(inspection: ClusterInspection, group: string, wanted: string): Promise<Verdict> {
  const versions = await inspection.servedVersions(group);
  if (versions.includes(wanted)) return ok(versions.join(', '));
  if (versions.length === 0) {
    const remedy = 'Nothing to do if Envoy Gateway was never installed; otherwise install its CRDs again.';
    return broken(`the API server does not know ${group}`, remedy);
  }
  const remedy = `Install CRDs that serve ${wanted}: Gateway API v1.0 or later, Envoy Gateway v1.0 or later.`;
  return broken(`${group} is served as ${versions.join(', ')}, and not as ${wanted}`, remedy);
}

function controllersVerdict(controllers: readonly Deployment[]): Verdict {
  if (controllers.length === 0) {
    return unknown(
      'no Deployment has the label control-plane=envoy-gateway of the Helm chart',
      'If Envoy Gateway is installed in another way, look up its version there.',
    );
  }
  const unversioned = controllers.flatMap((one) => {
    if (controllerVersion(one) !== undefined) return [];
    const label = one.metadata.labels?.[VERSION_LABEL];
    const image = controllerContainer(one)?.image ?? 'an unnamed image';
    return `${objectKey(one.metadata)} runs ${image}${label === undefined ? '' : ` with the label ${VERSION_LABEL}=${label}`}`;
  });
  if (unversioned.length > 0) {
    const found = `the release is unknown: ${unversioned.join('; ')}`;
    return unknown(found, 'Look up the release of Envoy Gateway in that image.');
  }
  return ok(controllers.map((one) => `${controllerVersion(one)?.text} in ${one.metadata.namespace}`).join(', '));
}

/** @param controllers absent if they could not be read */
function configVerdict(
  { envoyGatewayConfigs }: GatewayConfig,
  controllers: readonly Deployment[] | undefined,
  { kubectl, controllerNamespaces = [] }: ClusterContext,
): Verdict {
  const isListed = (namespace: string) => controllerNamespaces.length === 0 || controllerNamespaces.includes(namespace);
  const running = [...new Set((controllers ?? []).map(({ metadata }) => metadata.namespace))];
  const unlisted = running.filter((namespace) => !isListed(namespace));
  if (unlisted.length > 0) {
    return broken(
      `an Envoy Gateway runs in ${unlisted.join(', ')}, which is no controller namespace: its stale HPAs are kept`,
      'Add that namespace: --controller-namespace here, controllerNamespaces in infra/configuration.yml.',
    );
  }
  const elsewhere = (controllers ?? []).flatMap((one) => configuredElsewhere(one) ?? []);
  if (elsewhere.length > 0) {
    return broken(
      elsewhere.join('; '),
      `Move its configuration into a ConfigMap ${CONFIG_MAP_NAME} and mount that, as the Helm chart does.`,
    );
  }
  const configs = envoyGatewayConfigs.filter(({ configMap }) => isListed(configMap.metadata.namespace));
  const namespaces = configs.map(({ configMap }) => configMap.metadata.namespace);
  const withoutConfig = running.filter((namespace) => !namespaces.includes(namespace));
  const listed = controllerNamespaces.length > 0 ? ` in ${controllerNamespaces.join(' or ')}` : '';
  if (configs.length === 0 && controllers?.length === 0) {
    return unknown(`there is no ConfigMap ${CONFIG_MAP_NAME}${listed}, and no Envoy Gateway was found either`);
  }
  if (withoutConfig.length > 0 || configs.length === 0) {
    const where = withoutConfig.length > 0 ? ` in ${withoutConfig.join(', ')}` : listed || ' in any namespace';
    return broken(
      `there is no ConfigMap ${CONFIG_MAP_NAME}${where}, so the defaults are unknown`,
      'The Helm chart creates it beside the Deployment; if Envoy Gateway is configured in another way, keep a copy there under that name.',
    );
  }
  const unreadable = configs.flatMap(({ configMap, settings }) =>
    settings.unreadable
      ? [`the ConfigMap in ${configMap.metadata.namespace} cannot be read: ${settings.unreadable}`]
      : [],
  );
  if (unreadable.length > 0) {
    return broken(
      unreadable.join('; '),
      'Fix its key envoy-gateway.yaml; until then, the stale HPAs of its classes are kept.',
      `${kubectl} get configmap -A --field-selector metadata.name=${CONFIG_MAP_NAME} -o yaml`,
    );
  }
  const unused = running.length === 0 ? [] : namespaces.filter((one) => !running.includes(one));
  if (unused.length === 0) return ok(`readable, in ${namespaces.join(', ')}`);
  return warning(
    `there is one in ${unused.join(', ')}, where no Envoy Gateway runs: an HPA is only deleted if every ConfigMap allows it`,
    'Delete it if that Envoy Gateway is gone for good.',
  );
}

/** What follows if Envoy Gateway reads another ConfigMap than this program. */
function configuredElsewhere(controller: Deployment): string | undefined {
  const other = otherConfiguration(controller);
  if (other === undefined) return undefined;
  const follows =
    controller.metadata.name === CONTROLLER_NAME
      ? 'its defaults are unknown, and the stale HPAs of its classes are kept (DefaultsUnreadable)'
      : `this program, which reads only a Deployment ${CONTROLLER_NAME}, uses ${CONFIG_MAP_NAME}`;
  return `${objectKey(controller.metadata)} reads ${other} and not ${CONFIG_MAP_NAME}: ${follows}`;
}

function leaksVerdict(
  controllers: readonly Deployment[],
  hpas: readonly HorizontalPodAutoscaler[],
  scan: string,
): Verdict {
  const versions = controllers.map((one) => ({ namespace: one.metadata.namespace, version: controllerVersion(one) }));
  const named = (some: typeof versions) =>
    some.map(({ namespace, version }) => `${version?.text ?? 'an unknown version'} in ${namespace}`).join(', ');
  const leaking = versions.filter(({ version }) => version && leaksHpas(version));
  if (leaking.length > 0) {
    return broken(
      `${named(leaking)} ${leaking.length === 1 ? 'does' : 'do'} not delete all HPAs (v1.1.3 to v1.4 leak them)`,
      'Upgrade to v1.5 or later, and let this tool delete what was left behind: Envoy Gateway never does.',
      scan,
    );
  }
  const unclear = versions.filter(({ version }) => version === undefined || leaksHpas(version) === undefined);
  if (unclear.length > 0 || versions.length === 0) {
    const which = unclear.length > 0 ? named(unclear) : 'the Envoy Gateway here, if there is one,';
    return unknown(`whether ${which} leaks HPAs is unknown`);
  }
  const [first, ...others] = hpas.filter((hpa) => {
    // From v1.5 on Envoy Gateway sets this label on its HPAs; by that label, and others, it finds what to delete.
    const isNew = hpa.metadata.labels?.['app.kubernetes.io/managed-by'] === 'envoy-gateway';
    return !isNew && labeledOwner(hpa) !== undefined && appliedByEnvoyGateway(hpa);
  });
  const does = versions.length === 1 ? 'does' : 'do';
  if (first === undefined) return ok(`${named(versions)} ${does} not leak, and nothing is left of an older version`);
  return warning(
    `${named(versions)} ${does} not leak, but ${counted(others.length + 1, 'HPA')} ${others.length === 0 ? 'has' : 'have'} the labels of a version before v1.5, such as ${objectKey(first.metadata)}: Envoy Gateway never deletes them`,
    'See which are stale; `reaper reap` deletes them.',
    scan,
  );
}

function downgradeVerdict(controllers: readonly Deployment[], config: GatewayConfig): Verdict {
  const setsName = (spec: EnvoyProxySpec | null | undefined) => Boolean(spec?.provider?.kubernetes?.envoyHpa?.name);
  const proxies = config.envoyProxies.filter(({ spec }) => setsName(spec));
  const defaults = config.envoyGatewayConfigs.filter(({ settings }) => setsName(settings.defaultProxy));
  const setters = [
    ...proxies.map(({ metadata }) => `EnvoyProxy ${objectKey(metadata)}`),
    ...defaults.map(({ configMap }) => `the default in ${configMap.metadata.namespace}`),
  ];
  if (setters.length === 0) return ok('no envoyHpa.name is set');
  const set = `${setters.join(', ')} ${setters.length === 1 ? 'sets' : 'set'}`;
  const versions = controllers.map(controllerVersion);
  const older = versions.find((version) => version && leaksHpas(version) !== false);
  if (older) {
    return warning(
      `${older.text} ignores envoyHpa.name, which ${set}: its HPA has the name that Envoy Gateway chooses`,
      'Remove the field until Envoy Gateway is v1.5 or later again.',
    );
  }
  if (versions.length === 0 || versions.includes(undefined)) {
    return unknown(`${set} envoyHpa.name; whether Envoy Gateway knows it depends on its version`);
  }
  return ok('envoyHpa.name is set, and Envoy Gateway knows it');
}

const counted = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;
