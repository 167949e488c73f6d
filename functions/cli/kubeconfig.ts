import type { Agent as HttpAgent } from 'node:http';
import { Agent, type RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { type ClusterApi, clusterApi } from '../kubernetes/cluster-api.ts';
import { MalformedInputError } from '../platform/errors.ts';

/** What the library calls the context that it makes up where it finds no kubeconfig at all. */
const MADE_UP_CONTEXT = 'loaded-context';

export interface KubeconfigOptions {
  /** A file in place of $KUBECONFIG or ~/.kube/config. */
  readonly kubeconfig?: string | undefined;
  /** A context in place of the current one. */
  readonly context?: string | undefined;
}

/**
 * The API of the cluster that a kubeconfig's context leads to, with whatever authentication it describes.
 *
 * @throws {MalformedInputError} when there is no kubeconfig, it cannot be read, or it has no such context
 */
export async function connectByKubeconfig(options: KubeconfigOptions): Promise<{ cluster: string; api: ClusterApi }> {
  const config = load(options);
  const known = config
    .getContexts()
    .map(({ name }) => name)
    .filter((name) => name !== MADE_UP_CONTEXT);
  const context = options.context ?? config.getCurrentContext();
  if (!known.includes(context)) {
    throw new MalformedInputError(
      known.length === 0
        ? 'no kubeconfig with a context was found; set KUBECONFIG, give --kubeconfig FILE, or read a saved List with --file'
        : `the kubeconfig has no context ${context || '(none is current)'}; it has ${known.join(', ')}`,
    );
  }
  config.setCurrentContext(context);
  const cluster = config.getCurrentCluster();
  if (!cluster?.server) throw new MalformedInputError(`context ${context} names no cluster with a server`);

  const authenticated = async (): Promise<RequestOptions> => {
    const request: RequestOptions = {};
    await config.applyToHTTPSOptions(request);
    return request;
  };
  const { agent } = (await authenticated()) as { agent: HttpAgent };
  return {
    cluster: context,
    api: clusterApi(
      {
        server: cluster.server,
        // The library's own keeps no connection; where it is one for a proxy, that matters less than the proxy.
        agent: agent instanceof Agent ? new Agent({ ...agent.options, keepAlive: true, maxSockets: 50 }) : agent,
        headers: async () => {
          const { headers, auth } = await authenticated();
          return {
            ...(headers as Record<string, string>),
            ...(auth && { authorization: `Basic ${Buffer.from(auth).toString('base64')}` }),
          };
        },
      },
      30_000,
    ),
  };
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
