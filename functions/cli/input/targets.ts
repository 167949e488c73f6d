import { type Command, InvalidArgumentError, Option } from 'commander';
import type { LiveDirectory } from '../../kubernetes/directory.ts';
import { UsageError } from '../../platform/errors.ts';
import type { ClusterSelection, Scope } from '../../sweep/for-each-cluster.ts';
import { REQUEST_TIMEOUT } from '../output/terminal.ts';
import type { KubeconfigOptions } from './kubeconfig.ts';

/** Which clusters a command is about. The same flags mean the same in every command. */
export interface TargetOptions extends KubeconfigOptions {
  /** True for all EKS clusters of the account, or names, parted by commas. */
  readonly eks?: true | string;
  readonly profile?: string;
  readonly region?: readonly string[];
  /** `key=value` */
  readonly tag?: readonly string[];
}

/** The clusters of a command, each with a directory that accepts further API clients. */
export interface Targets extends ClusterSelection<Scope & { readonly directory: LiveDirectory }> {
  readonly tags: Readonly<Record<string, string>>;
}

/** Of a flag that may be given more than once. */
export const collected = (value: string, previous: readonly string[] = []) => [...previous, value];
const collectedTags = (value: string, previous: readonly string[] = []) => {
  if (!/^[^=]+=/.test(value)) throw new InvalidArgumentError('Expected key=value.');
  return [...previous, value];
};
const clusterNames = (value: string) => {
  const names = value.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Expected names, parted by commas.');
  return names.join();
};

/** @param useless flags of these that the command refuses, and does not show */
export function addTargetOptions(command: Command, useless: readonly ('--all-contexts' | '--tag')[] = []): Command {
  // Commander knows of flags that exclude each other, but not of such that need another.
  command.hook('preAction', () => {
    const given = command.opts<TargetOptions>();
    const stray = (['profile', 'region', 'tag'] as const).filter((name) => given[name] !== undefined);
    if (given.eks === undefined && stray.length > 0) {
      command.error(`error: option '--${stray.join("', '--")}' can only be used together with '--eks'`);
    }
  });
  command
    .option('--context <name>', 'a context of the kubeconfig (default: the current one)')
    .addOption(new Option('--all-contexts', 'every context of the kubeconfig').conflicts('context'))
    .option('--kubeconfig <file>', 'a kubeconfig (default: $KUBECONFIG, then ~/.kube/config)')
    .addOption(
      new Option('--eks [names]', 'the EKS clusters of the AWS account, or of these only those named a,b,c')
        .argParser(clusterNames)
        .conflicts(['context', 'allContexts', 'kubeconfig']),
    )
    .option('--profile <name>', 'with --eks: a profile of the AWS configuration (default: as the AWS SDK finds it)')
    .option(
      '--region <name>',
      'with --eks: an AWS Region; may be given more than once (default: as the AWS SDK finds it)',
      collected,
    )
    .option('--tag <key=value>', 'with --eks: only clusters with this tag; may be given more than once', collectedTags);
  for (const option of command.options) if (useless.some((flag) => flag === option.long)) option.hideHelp();
  return command;
}

/** @throws {UsageError} for a kubeconfig that leads nowhere, or no Region to be found */
export async function targetsOf(options: TargetOptions): Promise<Targets> {
  if (options.eks === undefined) {
    // The library that reads kubeconfigs takes half a second to load; EKS and a saved List need none of it.
    const { KubeconfigDirectory } = await import('./kubeconfig.ts');
    return { scopes: [{ directory: new KubeconfigDirectory(options) }], tags: {} };
  }
  const { EksClusterDirectory } = await import('../../aws/cluster-directory.ts');
  const { profile } = options;
  const regions = options.region ?? [await defaultRegion(profile)];
  const names = options.eks === true ? undefined : options.eks.split(',');
  return {
    scopes: [...new Set(regions)].map((region) => ({
      region,
      directory: new EksClusterDirectory(region, { profile, timeout: REQUEST_TIMEOUT }),
    })),
    ...(names && { clusters: names }),
    tags: Object.fromEntries((options.tag ?? []).map(tagOf)),
  };
}

function tagOf(text: string): [string, string] {
  const [key, ...value] = text.split('=');
  return [key as string, value.join('=')];
}

/**
 * From AWS_REGION or the profile, as the SDK finds it.
 *
 * @throws {UsageError} where there is none
 */
export async function defaultRegion(profile: string | undefined): Promise<string> {
  const { EKSClient } = await import('@aws-sdk/client-eks');
  const client = new EKSClient(profile === undefined ? {} : { profile });
  try {
    return await client.config.region();
  } catch (error) {
    throw new UsageError('no AWS Region: give --region, set AWS_REGION, or put it into the profile', {
      cause: error,
    });
  } finally {
    client.destroy();
  }
}
