import {
  CONTROLLER_NAME,
  controllerContainer,
  controllerVersion,
  type EnvoyGatewayVersion,
  leaksHpas,
  otherConfiguration,
} from '../judgement/controller.ts';
import { CONFIG_MAP_NAME, type EnvoyGatewayConfig, isReadable } from '../judgement/envoy-gateway-config.ts';
import {
  type Deployment,
  type EnvoyProxy,
  type EnvoyProxySpec,
  type HorizontalPodAutoscaler,
  objectKey,
  VERSION_LABEL,
} from '../judgement/kubernetes-objects.ts';
import type { MissingHpa } from '../judgement/missing.ts';
import { appliedByEnvoyGateway, labeledOwner } from '../judgement/ownership.ts';
import {
  EVENT_PERMISSIONS,
  nameOfPermission,
  type Permission,
  REAPER_GROUP,
  TO_REAP,
  TO_SCAN,
} from '../kubernetes/permissions.ts';
import { enrolling } from './eks-health.ts';
import { as, type Check, type CheckId, checkOf, given, notLookedAt, type Reading } from './health.ts';

/** Whether an API server answers, and whether it lets us in. */
export type Access =
  | { readonly result: 'admitted'; readonly server: string; readonly version: string }
  | { readonly result: 'unauthorized' | 'forbidden' | 'no-answer'; readonly message: string }
  | { readonly result: 'failed'; readonly message: string; readonly remedy?: string };

/** The HPAs with an owning label, how many of them are stale, and those that are asked for and not there. */
export interface LabelledHpas {
  readonly all: readonly HorizontalPodAutoscaler[];
  readonly stale: number;
  readonly missing: readonly MissingHpa[];
}

/** What was read of one cluster from its API server. */
export interface ClusterFacts {
  readonly access: Reading<Access>;
  /** What is not allowed of what scanning, and reaping, takes: to the person who runs this, and to the functions. */
  readonly denied: {
    readonly scan: Reading<readonly Permission[]>;
    readonly reap: Reading<readonly Permission[]>;
    readonly functions: Reading<readonly Permission[]>;
  };
  /** The versions of each group that are served; none where the group is not known. */
  readonly gatewayApi: Reading<readonly string[]>;
  readonly envoyGatewayApi: Reading<readonly string[]>;
  /** The release of the Gateway API whose CRDs are installed, as they say themselves. */
  readonly gatewayApiBundle: Reading<string | undefined>;
  /** The Deployments that run Envoy Gateway itself. */
  readonly controllers: Reading<readonly Deployment[]>;
  readonly configs: Reading<readonly EnvoyGatewayConfig[]>;
  readonly envoyProxies: Reading<readonly EnvoyProxy[]>;
  readonly hpas: Reading<LabelledHpas>;
}

export interface ClusterRef {
  /** The flags that lead `reaper` to this cluster: `--context prod`. */
  readonly flags: string;
  /** The beginning of a command that leads `kubectl` there. */
  readonly kubectl: string;
  /** What EKS knows of it besides; absent for a cluster of a kubeconfig. */
  readonly eks?: { readonly name: string; readonly region: string; readonly publicEndpoint?: boolean } | undefined;
  /** Where Envoy Gateway is said to run; absent or empty: anywhere. */
  readonly controllerNamespaces?: readonly string[];
}

type Verdict = Omit<Check, 'id'>;

/** The links within a cluster: its API, what may be done with it, the CRDs, and Envoy Gateway. */
export function inClusterChecks(place: ClusterRef, facts: ClusterFacts): Check[] {
  const { access, denied, controllers, configs, envoyProxies, hpas } = facts;
  const { controllerNamespaces = [] } = place;
  const scan = [
    'reaper scan',
    place.flags,
    ...controllerNamespaces.map((name) => `--controller-namespace ${name}`),
  ].join(' ');
  return [
    checkOf('cluster-access', access, (one) => accessVerdict(place, one)),
    checkOf('cluster-version', admitted(access), ({ version }) => ({ state: 'ok', found: version })),
    permissionCheck('rbac-scan', denied.scan, (missing) => ({
      state: 'broken',
      found: `you may not ${listed(missing)}, so \`scan\` cannot look from here`,
      remedy: 'Ask for a role that allows it, such as the ClusterRole view and what infra/kubernetes/rbac.yaml allows.',
    })),
    permissionCheck('rbac-reap', denied.reap, (missing) => ({
      state: 'warning',
      found: `you may not ${listed(missing)}, so \`reap\` cannot delete from here`,
      remedy: 'Nothing to do if you only look; the functions have a role of their own.',
    })),
    permissionCheck('rbac-functions', denied.functions, (missing) => functionsVerdict(place, missing)),
    checkOf('crds-gateway-api', facts.gatewayApi, (versions) =>
      servedVerdict('gateway.networking.k8s.io', 'v1', versions, facts.gatewayApiBundle),
    ),
    checkOf('crds-envoy-gateway', facts.envoyGatewayApi, (versions) =>
      servedVerdict('gateway.envoyproxy.io', 'v1alpha1', versions),
    ),
    checkOf('envoy-gateway', controllers, controllersVerdict),
    checkOf('envoy-gateway-config', configs, (all) =>
      configVerdict(place, all, 'value' in controllers ? controllers.value : undefined),
    ),
    checkOf(
      'envoy-gateway-leaks',
      given(controllers, 'envoy-gateway', (running) =>
        given(hpas, 'stale-hpas', ({ all }) => ({ value: { running, all } })),
      ),
      ({ running, all }) => leaksVerdict(running, all, scan),
    ),
    checkOf(
      'envoy-gateway-downgrade',
      given(controllers, 'envoy-gateway', (running) =>
        given(configs, 'envoy-gateway-config', (read) =>
          as(envoyProxies, (proxies) => ({ running, named: namingHpas(read, proxies) })),
        ),
      ),
      ({ running, named }) => downgradeVerdict(running, named),
    ),
    checkOf('stale-hpas', hpas, ({ all, stale }) => ({
      found: `${stale} of ${counted(all.length, 'HPA')} with a label of Envoy Gateway ${stale === 1 ? 'is' : 'are'} stale`,
      ...(stale === 0
        ? { state: 'ok' }
        : { state: 'warning', remedy: 'See which, and why; `reaper reap` removes them.', command: scan }),
    })),
    checkOf(
      'missing-hpas',
      given(hpas, 'stale-hpas', ({ missing }) => ({ value: missing })),
      (missing) => missingVerdict(missing, scan),
    ),
  ];
}

const admitted = (access: Reading<Access>) =>
  given(access, 'cluster-access', (one) => (one.result === 'admitted' ? { value: one } : NOT_ADMITTED));

/** What else there is of a cluster whose API server does not let us in. */
export const NOT_ADMITTED = notLookedAt('see cluster-access');

function accessVerdict({ kubectl, eks }: ClusterRef, access: Access): Verdict {
  const region = eks === undefined ? '' : ` --region ${eks.region}`;
  switch (access.result) {
    case 'admitted':
      return { state: 'ok', found: `${access.server} answers and lets us in` };
    case 'unauthorized':
      return {
        state: 'broken',
        found: `it does not know who we are: ${access.message}`,
        ...(eks === undefined
          ? {
              remedy: 'Log in again: what the kubeconfig gives is not, or no longer, good.',
              command: `${kubectl} auth whoami`,
            }
          : {
              remedy: 'Give the role or user that runs this an access entry (its ARN is what the command tells).',
              command: `aws sts get-caller-identity${region}`,
            }),
      };
    case 'forbidden':
      return {
        state: 'broken',
        found: `it knows us, and allows us nothing: ${access.message}`,
        remedy:
          'Whoever is authenticated may ask for the version and for their own rights: check system:discovery and system:basic-user.',
      };
    case 'no-answer':
      return {
        state: 'broken',
        found: access.message,
        remedy:
          eks?.publicEndpoint === false
            ? 'It has a private endpoint only: run this from within its VPC.'
            : 'Check that the API server runs, and that its endpoint admits where this runs (publicAccessCidrs, network).',
      };
    case 'failed':
      return {
        state: 'broken',
        found: access.message,
        remedy: access.remedy ?? 'The message says what is in the way.',
      };
  }
}

function permissionCheck(
  id: CheckId,
  denied: Reading<readonly Permission[]>,
  verdict: (missing: readonly Permission[]) => Verdict,
): Check {
  return checkOf(id, denied, (missing) =>
    missing.length === 0 ? { state: 'ok', found: 'everything that it takes is allowed' } : verdict(missing),
  );
}

const listed = (permissions: readonly Permission[]) => permissions.map(nameOfPermission).join(', ');

/** Of a kubeconfig's cluster nobody knows whether the functions are meant to look after it, or whether it is one of EKS. */
function functionsVerdict({ flags, kubectl, eks }: ClusterRef, missing: readonly Permission[]): Verdict {
  const nothing = missing.length === TO_SCAN.length + TO_REAP.length + EVENT_PERMISSIONS.length;
  const found = `the group ${REAPER_GROUP} may not ${nothing ? 'do anything that it has to' : listed(missing)}`;
  if (eks !== undefined) {
    const remedy = 'Have the cluster enrolled: that applies the role of this version.';
    return { state: 'broken', found, remedy, command: enrolling(flags) };
  }
  return {
    state: nothing ? 'warning' : 'broken',
    found,
    remedy: `${nothing ? 'Nothing to do if the functions do not look after this cluster; else apply the role' : 'Apply the role of this version'}; of an EKS cluster \`${enrolling(flags)}\` does it, with the filter and the entries.`,
    command: `${kubectl} apply -f infra/kubernetes/rbac.yaml`,
  };
}

function servedVerdict(
  group: string,
  wanted: string,
  versions: readonly string[],
  bundle?: Reading<string | undefined>,
): Verdict {
  if (versions.length === 0) {
    return {
      state: 'broken',
      found: `${group} is not known to this API server`,
      remedy: 'Nothing to do if Envoy Gateway was never here; else install its CRDs again.',
    };
  }
  const release = bundle && 'value' in bundle && bundle.value !== undefined ? ` (bundle ${bundle.value})` : '';
  const found = `${versions.join(', ')}${release}`;
  if (versions.includes(wanted)) return { state: 'ok', found };
  return {
    state: 'broken',
    found: `${group} is served as ${found}, and not as ${wanted}`,
    remedy: `Install CRDs that serve ${wanted}: Gateway API v1.0 or later, Envoy Gateway v1.0 or later.`,
  };
}

function controllersVerdict(controllers: readonly Deployment[]): Verdict {
  if (controllers.length === 0) {
    return {
      state: 'unknown',
      found: 'no Deployment has the label control-plane=envoy-gateway of the Helm chart',
      remedy: 'If Envoy Gateway is installed in another way, look up its version there.',
    };
  }
  const foreign = controllers.filter((one) => controllerVersion(one) === undefined);
  if (foreign.length > 0) {
    return {
      state: 'unknown',
      found: foreign.map(unknownRelease).join('; '),
      remedy: 'Look up which release of Envoy Gateway that image is.',
    };
  }
  return {
    state: 'ok',
    found: controllers.map((one) => `${controllerVersion(one)?.text} in ${one.metadata.namespace}`).join(', '),
  };
}

function unknownRelease(controller: Deployment): string {
  const label = controller.metadata.labels?.[VERSION_LABEL];
  const image = controllerContainer(controller)?.image ?? 'an image that is not named';
  const named =
    label === undefined
      ? ', whose tag names no release'
      : ` and has the label ${VERSION_LABEL}=${label}, which do not name one release`;
  return `${objectKey(controller.metadata)} runs ${image}${named}`;
}

function missingVerdict(missing: readonly MissingHpa[], scan: string): Verdict {
  if (missing.length === 0) return { state: 'ok', found: 'no HPA is missing that is asked for' };
  const names = missing.map((one) => `${objectKey(one)} of ${one.owner.kind} ${objectKey(one.owner)}`);
  const are = missing.length === 1 ? 'is' : 'are';
  return {
    state: 'warning',
    found: `${counted(missing.length, 'HPA')} ${are} asked for and not there: ${names.join(', ')}`,
    remedy: [...new Set(missing.map(({ remedy }) => remedy))].join(' '),
    command: scan,
  };
}

/** @param controllers absent where they could not be read */
function configVerdict(
  { kubectl, controllerNamespaces = [] }: ClusterRef,
  all: readonly EnvoyGatewayConfig[],
  controllers: readonly Deployment[] | undefined,
): Verdict {
  const isListed = (namespace: string) => controllerNamespaces.length === 0 || controllerNamespaces.includes(namespace);
  const running = [...new Set((controllers ?? []).map(({ metadata }) => metadata.namespace))];
  const leftOut = running.filter((namespace) => !isListed(namespace));
  if (leftOut.length > 0) {
    return {
      state: 'broken',
      found: `an Envoy Gateway runs in ${leftOut.join(', ')}, which is no controller namespace: what it leaves behind is kept`,
      remedy: 'Name that namespace too: --controller-namespace here, controllerNamespaces in infra/configuration.yml.',
    };
  }
  const elsewhere = (controllers ?? []).flatMap((one) => configuredElsewhere(one) ?? []);
  if (elsewhere.length > 0) {
    return {
      state: 'broken',
      found: elsewhere.join('; '),
      remedy: `Move its configuration into a ConfigMap ${CONFIG_MAP_NAME} and mount that, as the Helm chart does.`,
    };
  }
  const configs = all.filter(({ configMap }) => isListed(configMap.metadata.namespace));
  const where = configs.map(({ configMap }) => configMap.metadata.namespace);
  const unreadable = configs.flatMap(({ configMap, settings }) =>
    isReadable(settings) ? [] : [`that in ${configMap.metadata.namespace} cannot be read: ${settings.unreadable}`],
  );
  const missing = running.filter((namespace) => !where.includes(namespace));
  const inThese = controllerNamespaces.length > 0 ? ` in ${controllerNamespaces.join(' or ')}` : '';
  if (configs.length === 0 && controllers?.length === 0) {
    return {
      state: 'unknown',
      found: `there is no ConfigMap envoy-gateway-config${inThese}, and no Envoy Gateway was found either`,
    };
  }
  if (missing.length > 0 || configs.length === 0) {
    return {
      state: 'broken',
      found: `there is no ConfigMap envoy-gateway-config${missing.length > 0 ? ` in ${missing.join(', ')}` : inThese || ' in any namespace'}, so what its defaults are is not known`,
      remedy:
        'The Helm chart makes it beside the Deployment; where Envoy Gateway is configured otherwise, keep a copy there under that name.',
    };
  }
  if (unreadable.length > 0) {
    return {
      state: 'broken',
      found: unreadable.join('; '),
      remedy: 'Mend its key envoy-gateway.yaml; until then, what its classes leave behind is kept.',
      command: `${kubectl} get configmap -A --field-selector metadata.name=envoy-gateway-config -o yaml`,
    };
  }
  const left = running.length === 0 ? [] : where.filter((one) => !running.includes(one));
  if (left.length > 0) {
    return {
      state: 'warning',
      found: `there is one in ${left.join(', ')}, where no Envoy Gateway runs: an HPA is only deleted if every one says so`,
      remedy: 'Delete it, if that Envoy Gateway is gone for good.',
    };
  }
  return { state: 'ok', found: `readable, in ${where.join(', ')}` };
}

/** What follows where Envoy Gateway reads another ConfigMap than this program. */
function configuredElsewhere(controller: Deployment): string | undefined {
  const other = otherConfiguration(controller);
  if (other === undefined) return undefined;
  const { name } = controller.metadata;
  const follows =
    name === CONTROLLER_NAME
      ? 'its defaults are not known, and what its classes leave behind is kept (DefaultsUnreadable)'
      : `this program, which looks at a Deployment ${CONTROLLER_NAME} alone, goes by ${CONFIG_MAP_NAME}`;
  return `${objectKey(controller.metadata)} reads ${other} and not ${CONFIG_MAP_NAME}: ${follows}`;
}

/** From v1.5 on Envoy Gateway labels its HPAs so; by that label, and others, it finds what to delete. */
const isOfNewLabels = ({ metadata }: HorizontalPodAutoscaler) =>
  metadata.labels?.['app.kubernetes.io/managed-by'] === 'envoy-gateway';

function leaksVerdict(
  controllers: readonly Deployment[],
  hpas: readonly HorizontalPodAutoscaler[],
  scan: string,
): Verdict {
  const versions = controllers.map((one) => ({ namespace: one.metadata.namespace, version: controllerVersion(one) }));
  const named = (some: typeof versions) =>
    some.map(({ namespace, version }) => `${version?.text ?? 'an unknown version'} in ${namespace}`).join(', ');
  const leaking = versions.filter(({ version }) => version !== undefined && leaksHpas(version));
  if (leaking.length > 0) {
    return {
      state: 'broken',
      found: `${named(leaking)} ${leaking.length === 1 ? 'forgets' : 'forget'} to delete HPAs (v1.1.3 to v1.4 do)`,
      remedy: 'Upgrade to v1.5 or later, and let this tool remove what was left behind: Envoy Gateway never does.',
      command: scan,
    };
  }
  const untold = versions.filter(({ version }) => version === undefined || leaksHpas(version) === undefined);
  if (untold.length > 0 || versions.length === 0) {
    return {
      state: 'unknown',
      found: `whether ${untold.length > 0 ? named(untold) : 'the Envoy Gateway here, if there is one,'} leaks is not known`,
    };
  }
  const old = hpas.filter(
    (hpa) => labeledOwner(hpa) !== undefined && appliedByEnvoyGateway(hpa) && !isOfNewLabels(hpa),
  );
  const [first] = old;
  const does = versions.length === 1 ? 'does' : 'do';
  if (first !== undefined) {
    return {
      state: 'warning',
      found: `${named(versions)} ${does} not leak, but ${counted(old.length, 'HPA')} ${old.length === 1 ? 'has' : 'have'} the labels of before v1.5, such as ${objectKey(first.metadata)}: Envoy Gateway never removes them`,
      remedy: 'See which are stale; `reaper reap` removes them.',
      command: scan,
    };
  }
  return { state: 'ok', found: `${named(versions)} ${does} not leak, and nothing is left of one that did` };
}

/** Where `envoyHpa.name` is set. */
function namingHpas(configs: readonly EnvoyGatewayConfig[], proxies: readonly EnvoyProxy[]): string[] {
  const names = (spec: EnvoyProxySpec | null | undefined) => Boolean(spec?.provider?.kubernetes?.envoyHpa?.name);
  return [
    ...proxies.filter(({ spec }) => names(spec)).map(({ metadata }) => `EnvoyProxy ${objectKey(metadata)}`),
    ...configs
      .filter(({ settings }) => isReadable(settings) && names(settings.defaultProxy))
      .map(({ configMap }) => `the default in ${configMap.metadata.namespace}`),
  ];
}

function downgradeVerdict(controllers: readonly Deployment[], named: readonly string[]): Verdict {
  if (named.length === 0) return { state: 'ok', found: 'no envoyHpa.name is set' };
  const versions = controllers.map(controllerVersion);
  const older = versions.find((version): version is EnvoyGatewayVersion => !!version && leaksHpas(version) !== false);
  if (older !== undefined) {
    return {
      state: 'warning',
      found: `${older.text} ignores envoyHpa.name, which ${named.join(', ')} ${named.length === 1 ? 'sets' : 'set'}: its HPA has the name that Envoy Gateway chooses`,
      remedy: 'Take the field out until Envoy Gateway is v1.5 or later again.',
    };
  }
  if (versions.length === 0 || versions.includes(undefined)) {
    return {
      state: 'unknown',
      found: `${named.join(', ')} ${named.length === 1 ? 'sets' : 'set'} envoyHpa.name; whether Envoy Gateway here knows it depends on its version`,
    };
  }
  return { state: 'ok', found: 'envoyHpa.name is set, and known to what runs' };
}

const counted = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;
