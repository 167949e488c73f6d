import type { Agent as HttpAgent } from 'node:http';
import { Agent, type RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import type { User } from '@kubernetes/client-node/dist/config_types.js';
import type { ClusterConnection } from '../../kubernetes/api-client.ts';
import { type ClusterApi, clusterApi } from '../../kubernetes/cluster-api.ts';
import type { AccountDirectory, ClusterDescription } from '../../kubernetes/directory.ts';
import { ClusterSkippedError, MalformedInputError, UsageError } from '../../platform/errors.ts';
import { REQUEST_TIMEOUT } from '../output/terminal.ts';
import { parseArn } from './saved-hpas.ts';

/** The library's name for the context that it invents where there is no kubeconfig. */
const INVENTED_CONTEXT = 'loaded-context';

export interface KubeconfigOptions {
  /** A file in place of $KUBECONFIG or ~/.kube/config. */
  readonly kubeconfig?: string;
  /** A context in place of the current one. */
  readonly context?: string;
  /** Every context of the kubeconfig. */
  readonly allContexts?: boolean;
}

/** The clusters of the contexts of a kubeconfig, under the contexts' names, with any authentication that it describes. */
export class KubeconfigDirectory implements AccountDirectory {
  readonly #options: KubeconfigOptions;
  readonly #contexts: readonly string[];
  readonly #connected = new Map<string, ClusterApi>();

  /**
   * @throws {MalformedInputError} for a kubeconfig that cannot be read
   * @throws {UsageError} for one without contexts, or without the given context
   */
  constructor(options: KubeconfigOptions) {
    this.#options = options;
    const config = load(options);
    const names = config.getContexts().map(({ name }) => name);
    const known = names.filter((name) => name !== INVENTED_CONTEXT);
    if (known.length === 0) {
      const { kubeconfig = process.env.KUBECONFIG } = options;
      throw new UsageError(
        kubeconfig
          ? `kubeconfig ${kubeconfig} has no context`
          : 'no kubeconfig with a context was found; set KUBECONFIG, or give --kubeconfig FILE',
      );
    }
    const context = options.context ?? config.getCurrentContext();
    if (!options.allContexts && !known.includes(context)) {
      throw new UsageError(
        `the kubeconfig has no context ${context || '(none is current)'}; it has ${known.join(', ')}`,
      );
    }
    this.#contexts = options.allContexts ? known : [context];
  }

  async list(): Promise<string[]> {
    return [...this.#contexts];
  }

  async describe(context: string): Promise<ClusterDescription> {
    return { tags: {}, namespace: load(this.#options).getContextObject(context)?.namespace };
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
   * The EKS cluster of a context, as `aws eks update-kubeconfig` writes it: from the ARN that is the name of the cluster or of
   * the context, or from the arguments of the command that gets the token. `undefined` for a context that does not say it.
   */
  eksCluster(context: string): { cluster: string; region: string; account?: string } | undefined {
    const config = load(this.#options);
    const { cluster: named = '', user = '' } = config.getContextObject(context) ?? {};
    const arn = parseArn(named) ?? parseArn(context);
    if (arn) return arn;
    const args: string[] = config.getUser(user)?.exec?.args ?? [];
    const after = (...flags: string[]) =>
      args[args.findIndex((argument) => flags.includes(argument)) + 1 || args.length];
    const server = config.getCluster(named)?.server ?? '';
    const cluster = after('--cluster-name', '--cluster-id', '-i');
    const region = after('--region') ?? /\.([a-z0-9-]+)\.eks\./.exec(server)?.[1];
    return cluster && region ? { cluster, region } : undefined;
  }

  /** @throws {ClusterSkippedError} for a context that gives no access; the headers throw it too */
  async connection(context: string): Promise<ClusterConnection> {
    // The library's object has one current context, so each connection has an object of its own.
    const config = load(this.#options);
    config.setCurrentContext(context);
    const { server = '', skipTLSVerify, proxyUrl } = config.getCurrentCluster() ?? {};
    // The library requires this too: it sends no credentials unencrypted unless it is told to.
    const schemes = skipTLSVerify || proxyUrl ? /^https?:/ : /^https:/;
    if (!schemes.test(server) || !URL.canParse(server)) {
      throw noAccess(
        context,
        `its server ${server || '(none)'} is not an https:// URL`,
        'Write https://HOST:PORT into the kubeconfig; http:// needs insecure-skip-tls-verify: true.',
      );
    }
    const authenticated = async (): Promise<RequestOptions> => {
      const request: RequestOptions = {};
      try {
        await config.applyToHTTPSOptions(request);
      } catch (error) {
        // Without the cause: it may quote the output of a command, which contains the token.
        throw noAccess(
          context,
          `cannot authenticate: ${loginFault(config.getCurrentUser(), error as NodeJS.ErrnoException)}`,
          'Log in again. If that does not help, check the user of this context in the kubeconfig: its files, and the command that gets the token.',
        );
      }
      return request;
    };
    const { agent } = (await authenticated()) as { agent: HttpAgent };
    return {
      server,
      // The library's agent keeps no connections open. An agent for a proxy has to stay.
      agent: agent instanceof Agent ? new Agent({ ...agent.options, keepAlive: true, maxSockets: 50 }) : agent,
      headers: async () => {
        const { headers, auth } = await authenticated();
        const basic = auth && { authorization: `Basic ${Buffer.from(auth).toString('base64')}` };
        return { ...(headers as Record<string, string>), ...basic };
      },
    };
  }
}

const noAccess = (context: string, fault: string, remedy: string) =>
  new ClusterSkippedError({ reason: 'ClusterUnauthorized', message: `context ${context}: ${fault}`, remedy });

/** Why a user cannot authenticate. */
function loginFault(user: User | null, error: NodeJS.ErrnoException): string {
  const message = error.message.replaceAll(/\s+/g, ' ').trim();
  const source = user?.exec
    ? `command ${user.exec.command}`
    : user?.authProvider && `auth-provider ${user.authProvider.name}`;
  const isOfFile = error.syscall !== undefined && !error.syscall.startsWith('spawn');
  if (!source || isOfFile) return message;
  // These errors are about the output of a command, and quote it.
  if (error instanceof SyntaxError || error instanceof TypeError) return `its ${source} gives no token`;
  return `its ${source} failed: ${message || 'it printed no reason'}`;
}

function load({ kubeconfig }: KubeconfigOptions): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (error) {
    const which = kubeconfig ?? process.env.KUBECONFIG ?? '~/.kube/config';
    // Without the cause, and the first line only: the others quote the file, which contains the token.
    const [fault] = (error as Error).message.split('\n');
    throw new MalformedInputError(`kubeconfig ${which} cannot be read: ${fault}`);
  }
  return config;
}
