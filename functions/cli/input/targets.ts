import { type Command, InvalidArgumentError, Option } from 'commander';
import { clusterNameSchema } from '../../platform/eks-names.ts';
import { UsageError } from '../../platform/errors.ts';
import type { LoopOptions } from '../../sweep/for-each-cluster.ts';
import { REQUEST_TIMEOUT } from '../output/terminal.ts';
import type { KubeconfigOptions } from './kubeconfig.ts';

/** The clusters of a command. The flags are the same in every command. */
export interface TargetOptions extends KubeconfigOptions {
  /** True for all EKS clusters of the account, or comma-separated names. */
  readonly eks?: true | string;
  readonly profile?: string;
  readonly region?: readonly string[];
  /** `key=value` */
  readonly tag?: readonly string[];
}

export type Targets = Pick<LoopOptions, 'scopes' | 'clusters' | 'tags' | 'concurrency'>;

const CONCURRENCY = 10;

/** For a flag that may be given more than once. */
export const collected = (value: string, previous: readonly string[] = []) => [...previous, value];

function tags(value: string, previous?: readonly string[]): string[] {
  if (!/^[^=]+=/.test(value)) throw new InvalidArgumentError('Expected key=value.');
  return collected(value, previous);
}

function clusterNames(value: string): string {
  const names = value.split(',').map((name) => name.trim());
  // A name has neither a dot nor a slash, so this also notices a file that --eks would swallow.
  if (!names.every((name) => clusterNameSchema.safeParse(name).success)) {
    throw new InvalidArgumentError('Expected comma-separated names of EKS clusters; put a file before --eks.');
  }
  return names.join();
}

/**
 * The flags for any number of clusters.
 *
 * @param options.ofContexts whether --profile and --region also go with contexts of a kubeconfig
 */
export const addTargetOptions = (command: Command, options?: { readonly ofContexts: boolean }): Command =>
  addClusterOptions(command, options)
    .addOption(new Option('--all-contexts', 'every context of the kubeconfig').conflicts(['context', 'eks']))
    .option('--tag <key=value>', 'with --eks: only clusters with this tag; may be given more than once', tags);

/** The flags of a command whose input decides how many clusters there are. */
export function addClusterOptions(command: Command, { ofContexts } = { ofContexts: false }): Command {
  const [prefix, source] = ofContexts ? ['', 'that of the context, then of'] : ['with --eks: ', 'that of'];
  return command
    .option('--context <name>', 'a context of the kubeconfig (default: the current one)')
    .option('--kubeconfig <file>', 'a kubeconfig (default: $KUBECONFIG, then ~/.kube/config)')
    .addOption(
      new Option('--eks [names]', 'the EKS clusters of the AWS account, or only those named a,b,c')
        .argParser(clusterNames)
        .conflicts(['context', 'kubeconfig']),
    )
    .option('--profile <name>', `${prefix}a profile of the AWS configuration (default: ${source} the AWS SDK)`)
    .option(
      '--region <name>',
      `${prefix}an AWS Region; may be given more than once (default: ${source} the AWS SDK)`,
      collected,
    )
    .hook('preAction', () => {
      // Commander has conflicting flags, but no flags that need another one.
      const { eks, profile, region, tag } = command.opts<TargetOptions>();
      const given = Object.entries(ofContexts ? { tag } : { profile, region, tag });
      const stray = given.filter(([, value]) => value !== undefined).map(([name]) => `'--${name}'`);
      if (eks === undefined && stray.length > 0) {
        throw new UsageError(`option ${stray.join(', ')} can only be used together with '--eks'`);
      }
    });
}

/** @throws {UsageError} for a kubeconfig without the context, or where no Region is configured */
export async function targetsOf(options: TargetOptions): Promise<Targets> {
  const { eks, profile, tag = [] } = options;
  if (eks === undefined) {
    // It and what it imports take a while to load, and --eks does not need them.
    const { KubeconfigDirectory } = await import('./kubeconfig.ts');
    return { scopes: [{ directory: new KubeconfigDirectory(options) }], tags: {}, concurrency: CONCURRENCY };
  }
  const { eksClusterDirectory } = await import('../../aws/cluster-directory.ts');
  const regions = options.region ?? [await defaultRegion(profile)];
  return {
    scopes: [...new Set(regions)].map((region) => ({
      region,
      directory: eksClusterDirectory(region, { profile, timeout: REQUEST_TIMEOUT }),
    })),
    clusters: eks === true ? undefined : eks.split(','),
    tags: Object.fromEntries(tag.map((text) => text.split(/=(.*)/s, 2))),
    concurrency: CONCURRENCY,
  };
}

/** @throws {UsageError} where neither AWS_REGION nor the profile has one */
async function defaultRegion(profile: string | undefined): Promise<string> {
  const { EKSClient } = await import('@aws-sdk/client-eks');
  const client = new EKSClient({ profile });
  try {
    return await client.config.region();
  } catch (error) {
    throw new UsageError('no AWS Region: give --region, set AWS_REGION, or put it into the profile', { cause: error });
  } finally {
    client.destroy();
  }
}
