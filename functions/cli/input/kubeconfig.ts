import type { Agent as HttpAgent } from 'node:http';
import { Agent, type RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import type { Cluster, User } from '@kubernetes/client-node/dist/config_types.js';
import type { ClusterConnection } from '../../kubernetes/api-client.ts';
import { type ClusterApi, clusterApi } from '../../kubernetes/cluster-api.ts';
import type { ClusterDescription, LiveDirectory } from '../../kubernetes/directory.ts';
import { ClusterSkippedError, MalformedInputError } from '../../platform/errors.ts';
import { REQUEST_TIMEOUT } from '../output/terminal.ts';

/** What the library calls the context that it makes up where it finds no kubeconfig at all. */
const MADE_UP_CONTEXT = 'loaded-context';

export interface KubeconfigOptions {
  /** A file in place of $KUBECONFIG or ~/.kube/config. */
  readonly kubeconfig?: string;
  /** A context in place of the current one. */
  readonly context?: string;
  /** Every context of the kubeconfig. */
  readonly allContexts?: boolean;
}

/**
 * The clusters that the contexts of a kubeconfig lead to, by the contexts' names, with whatever authentication it
 * describes.
 *
 * @throws {MalformedInputError} from the constructor when there is no kubeconfig, it cannot be read, or it has no such
 * context
 */
export class KubeconfigDirectory implements LiveDirectory {
  readonly #options: KubeconfigOptions;
  readonly #contexts: readonly string[];
  readonly #connected = new Map<string, ClusterApi>();

  constructor(options: KubeconfigOptions) {
    this.#options = options;
    const config = load(options);
    const known = contextsOf(config);
    this.#contexts = options.allContexts ? known : [options.context ?? config.getCurrentContext()];
    if (known.length === 0) throw new MalformedInputError(noContextIn(options));
    for (const context of this.#contexts) clusterOf(config, context);
  }

  async list(): Promise<string[]> {
    return [...this.#contexts];
  }

  async describe(context: string): Promise<ClusterDescription> {
    const namespace = load(this.#options).getContextObject(context)?.namespace;
    return { tags: {}, namespace };
  }

  async connect(context: string): Promise<ClusterApi> {
    const api = this.#connected.get(context) ?? clusterApi(await this.connection(context), REQUEST_TIMEOUT);
    this.#connected.set(context, api);
    return api;
  }

  forget(context: string): void {
    this.#connected.get(context)?.close();
    this.#connected.delete(context);
  }

  /**
   * Which EKS cluster a context leads to, as `aws eks update-kubeconfig` writes it: by the ARN as the cluster's name, or by
   * the arguments of the command that gets the token.
   *
   * @throws {MalformedInputError} for a context that does not say it
   */
  eksCluster(context: string): { cluster: string; region: string } {
    const found = this.findEksCluster(context);
    if (found) return found;
    throw new MalformedInputError(
      `context ${context} does not say which EKS cluster it leads to; give the cluster with --eks NAME --region REGION`,
    );
  }

  /** The same; `undefined` for a context that does not say it. */
  findEksCluster(context: string): { cluster: string; region: string } | undefined {
    const config = load(this.#options);
    const { server } = clusterOf(config, context);
    const { cluster: named = '', user = '' } = config.getContextObject(context) ?? {};
    const [, regionOfArn, clusterOfArn] = /^arn:[^:]+:eks:([^:]+):\d{12}:cluster\/(.+)$/.exec(named) ?? [];
    const args: string[] = config.getUser(user)?.exec?.args ?? [];
    const after = (...flags: string[]) =>
      args[args.findIndex((argument) => flags.includes(argument)) + 1 || args.length];
    const cluster = clusterOfArn ?? after('--cluster-name', '--cluster-id', '-i');
    const region = regionOfArn ?? after('--region') ?? /\.([a-z0-9-]+)\.eks\./.exec(server)?.[1];
    return cluster && region ? { cluster, region } : undefined;
  }

  /**
   * @throws {MalformedInputError} for a context that the kubeconfig does not have
   * @throws {ClusterSkippedError} for one that gives no way in; the headers throw it too, where that comes later
   */
  async connection(context: string): Promise<ClusterConnection> {
    // The library's object has one current context; each connection has an object of its own.
    const config = load(this.#options);
    const { server, skipTLSVerify, proxyUrl } = clusterOf(config, context);
    // What the library takes: it sends no credentials in the clear without being told to.
    const schemes = skipTLSVerify || proxyUrl ? /^https?:/ : /^https:/;
    if (!schemes.test(server) || !URL.canParse(server)) {
      throw new ClusterSkippedError({
        reason: 'ClusterUnauthorized',
        message: `context ${context}: its server ${server} is no https:// URL`,
        remedy:
          'Write https://HOST:PORT into the kubeconfig; http:// is taken only with insecure-skip-tls-verify: true.',
      });
    }
    config.setCurrentContext(context);
    const authenticated = async (): Promise<RequestOptions> => {
      const request: RequestOptions = {};
      try {
        await config.applyToHTTPSOptions(request);
      } catch (error) {
        const [fault, remedy] = faultOfLogin(config.getCurrentUser(), error as NodeJS.ErrnoException);
        // Without its cause, which may quote what a command printed: the token stands there.
        throw new ClusterSkippedError({
          reason: 'ClusterUnauthorized',
          message: `context ${context}: cannot authenticate: ${fault}`,
          remedy,
        });
      }
      return request;
    };
    const { agent } = (await authenticated()) as { agent: HttpAgent };
    return {
      server,
      // The library's own keeps no connection; where it is one for a proxy, that matters less than the proxy.
      agent: agent instanceof Agent ? new Agent({ ...agent.options, keepAlive: true, maxSockets: 50 }) : agent,
      headers: async () => {
        const { headers, auth } = await authenticated();
        return {
          ...(headers as Record<string, string>),
          ...(auth && { authorization: `Basic ${Buffer.from(auth).toString('base64')}` }),
        };
      },
    };
  }
}

const contextsOf = (config: KubeConfig): string[] =>
  config
    .getContexts()
    .map(({ name }) => name)
    .filter((name) => name !== MADE_UP_CONTEXT);

/** @throws {MalformedInputError} for a context that is not there or that names no cluster */
function clusterOf(config: KubeConfig, context: string): Cluster {
  const known = contextsOf(config);
  if (!known.includes(context)) {
    throw new MalformedInputError(
      `the kubeconfig has no context ${context || '(none is current)'}; it has ${known.join(', ')}`,
    );
  }
  const cluster = config.getCluster(config.getContextObject(context)?.cluster ?? '');
  if (!cluster?.server) throw new MalformedInputError(`context ${context} names no cluster with a server`);
  return cluster;
}

function noContextIn({ kubeconfig = process.env.KUBECONFIG }: KubeconfigOptions): string {
  return kubeconfig
    ? `kubeconfig ${kubeconfig} has no context`
    : 'no kubeconfig with a context was found; set KUBECONFIG, or give --kubeconfig FILE';
}

/** @returns what keeps a user from authenticating, in the terms of a kubeconfig, and what to do about it */
function faultOfLogin(user: User | null, error: NodeJS.ErrnoException): [fault: string, remedy: string] {
  const command = `its command ${user?.exec?.command ?? user?.authProvider?.config?.exec?.command ?? ''}`.trim();
  const provider = user?.authProvider?.name;
  const message = error.message.replaceAll(/\s+/g, ' ').trim();
  if (error.syscall?.startsWith('spawn')) {
    return [`${command} cannot be run: ${message}`, 'Install that command, or put it on the PATH.'];
  }
  if (error.syscall !== undefined) return [message, 'Put that file back, or have the kubeconfig written again.'];
  const isOfAnswer = error instanceof SyntaxError || error instanceof TypeError;
  if (user?.exec && error.code === undefined) {
    return [
      isOfAnswer ? `${command} prints no ExecCredential` : `${command} failed: ${message || 'it does not say why'}`,
      'Log in again, or run that command by hand to see what is in the way.',
    ];
  }
  if (provider !== undefined) {
    return [
      `auth-provider ${provider} gives no token${isOfAnswer ? '' : `: ${message}`}`,
      'Log in again, or have an exec command in its place: kubectl no longer knows auth-provider.',
    ];
  }
  return [message, 'Check the cluster and the user of that context in the kubeconfig.'];
}

function load({ kubeconfig }: KubeconfigOptions): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (error) {
    const which = kubeconfig ?? process.env.KUBECONFIG ?? '~/.kube/config';
    // The further lines of a parser's message, and so its error as cause, quote the file: the token stands there.
    const [fault] = (error as Error).message.split('\n');
    throw new MalformedInputError(`kubeconfig ${which} cannot be read: ${fault}`);
  }
  return config;
}
