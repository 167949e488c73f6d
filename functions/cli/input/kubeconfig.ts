import { readFileSync } from 'node:fs';
import { validateHeaderValue } from 'node:http';
import type { AgentOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { ClusterConnection } from '../../kubernetes/api-client.ts';
import { type ClusterApi, clusterApi } from '../../kubernetes/cluster-api.ts';
import type { AccountDirectory, ClusterDescription } from '../../kubernetes/directory.ts';
import { ClusterSkippedError, UsageError } from '../../platform/errors.ts';
import { parsedUrl, withoutUser } from '../../platform/url.ts';
import { REQUEST_TIMEOUT } from '../output/terminal.ts';
import { eksContextOf } from './eks-context.ts';
import { type ExecCredential, execCredential } from './exec-credential.ts';
import { type Kubeconfig, readKubeconfig } from './kubeconfig-file.ts';
import { ProxyAgent } from './proxy-agent.ts';

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
  readonly #config: Kubeconfig;
  readonly #contexts: readonly string[];
  readonly #connected = new Map<string, ClusterApi>();

  /**
   * @throws {MalformedInputError} for a kubeconfig that cannot be read
   * @throws {UsageError} for one without contexts, or without the given context
   */
  constructor(options: KubeconfigOptions) {
    this.#config = readKubeconfig(options.kubeconfig);
    const known = [...this.#config.contexts.keys()];
    if (known.length === 0) {
      const { kubeconfig = process.env.KUBECONFIG } = options;
      throw new UsageError(
        kubeconfig
          ? `kubeconfig ${kubeconfig} has no context`
          : 'no kubeconfig with a context was found; set KUBECONFIG, or give --kubeconfig FILE',
      );
    }
    const context = options.context ?? this.#config.currentContext ?? '';
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
    const { namespace, cluster = '' } = this.#config.contexts.get(context) ?? {};
    return { tags: {}, namespace: namespace || undefined, server: this.#config.clusters.get(cluster)?.server };
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

  /** The EKS cluster of a context, see {@link eksContextOf}. */
  eksContext(context: string, regions?: readonly string[]) {
    const { cluster: clusterName = '', user = '' } = this.#config.contexts.get(context) ?? {};
    const { server } = this.#config.clusters.get(clusterName) ?? {};
    return eksContextOf({ context, clusterName, server, exec: this.#config.users.get(user)?.exec }, regions);
  }

  /** @throws {ClusterSkippedError} for a context that gives no access; the headers throw it too */
  async connection(context: string): Promise<ClusterConnection> {
    const { contexts, clusters, users } = this.#config;
    const { cluster: clusterName = '', user: userName } = contexts.get(context) ?? {};
    const cluster = clusters.get(clusterName);
    const user = userName ? users.get(userName) : {};
    const noAccess = (fault: string, remedy: string) =>
      new ClusterSkippedError({ reason: 'ClusterUnauthorized', message: `context ${context}: ${fault}`, remedy });
    if (cluster === undefined || user === undefined) {
      const absent = cluster ? `user ${userName}` : `cluster ${clusterName || '(none)'}`;
      throw noAccess(`the kubeconfig has no ${absent}`, 'Correct the context: `kubectl config get-contexts`.');
    }
    const server = String(cluster.server ?? '').replace(/\/$/, '');
    if (!/^https?:\/\/[^/]/.test(server) || parsedUrl(`${server}/`) === undefined) {
      const fault = `its server ${withoutUser(server) || '(none)'} is not an https:// URL`;
      throw noAccess(fault, 'Write https://HOST:PORT into the kubeconfig.');
    }
    const { 'proxy-url': proxy } = cluster;
    if (proxy && !/^(https?|socks5h?):$/.test(parsedUrl(proxy)?.protocol ?? '')) {
      const remedy = 'Write http://HOST:PORT or socks5://HOST:PORT into the kubeconfig.';
      // Without the URL, which may contain a password.
      throw noAccess('its proxy-url is not the URL of a proxy', remedy);
    }
    const contradiction = contradictionIn(cluster, user);
    if (contradiction) throw noAccess(contradiction, 'Remove one of them from the kubeconfig.');
    const authenticate = authenticationOf(server, cluster, user);
    const authenticated = async (renew: boolean) => {
      try {
        const given = await authenticate(renew);
        // What Node would refuse later, for a reason that is not in the connection.
        createSecureContext(given.tls);
        for (const [name, value] of Object.entries(given.headers)) validateHeaderValue(name, value as string);
        return given;
      } catch (error) {
        // Without the cause: it may quote the output of a command, which contains the token.
        throw noAccess(
          `cannot authenticate: ${loginFault(user, error as NodeJS.ErrnoException)}`,
          'Log in again. If that does not help, check the user of this context in the kubeconfig: its files, and the command that gets the token.',
        );
      }
    };
    const { tls } = await authenticated(false);
    return {
      server,
      isKubeconfig: true,
      agent: new ProxyAgent(tls, proxy || undefined),
      headers: async (renew = false) => (await authenticated(renew)).headers,
    };
  }
}

type Entry = NonNullable<ReturnType<Kubeconfig['users']['get']>>;
type Headers = Awaited<ReturnType<ClusterConnection['headers']>>;

/** What kubectl refuses too, since the kubeconfig says two things at once. */
function contradictionIn(cluster: Entry, user: Entry): string | undefined {
  const hasCa = cluster['certificate-authority'] || cluster['certificate-authority-data'];
  if (hasCa && cluster['insecure-skip-tls-verify'])
    return 'its cluster has a certificate authority and insecure-skip-tls-verify';
  for (const key of ['certificate-authority', 'client-certificate', 'client-key']) {
    const { [key]: file, [`${key}-data`]: data } = { ...cluster, ...user };
    if (file && data) return `it has ${key} and ${key}-data`;
  }
  if ((user.token || user.tokenFile) && (user.username || user.password)) return 'its user has a token and a user name';
  return user.exec && user['auth-provider'] ? 'its user has a command and an auth-provider' : undefined;
}

/** What a user authenticates with: a certificate, a token, a password, a command or an auth-provider. */
function authenticationOf(server: string, cluster: Entry, user: Entry) {
  const isInsecure = cluster['insecure-skip-tls-verify'] === true;
  // Without TLS, kubectl sends no credentials; we do where the kubeconfig says that this is intended.
  const credentials: Entry = server.startsWith('https:') || isInsecure ? user : {};
  const { username, password, exec, 'auth-provider': provider } = credentials;
  const tokenOf = tokenReader(credentials);
  // One run of the command serves all requests that wait for it.
  let running: Promise<ExecCredential> | undefined;
  let executed: ExecCredential | undefined;
  return async (renew: boolean): Promise<{ tls: AgentOptions; headers: Headers }> => {
    const ca = contentOf(cluster, 'certificate-authority');
    const cert = contentOf(credentials, 'client-certificate');
    const key = contentOf(credentials, 'client-key');
    const provided = provider && (await authorizationOf(provider));
    const basic = username && Buffer.from(`${username}:${password ?? ''}`).toString('base64');
    if (cert && !key) throw new Error('its client certificate has no key');
    const own = tokenOf();
    if (exec && !own && !basic && !cert && (renew || executed === undefined || isExpired(executed))) {
      running ??= execCredential(exec, cluster).finally(() => {
        running = undefined;
      });
      executed = await running;
    }
    const token = own ?? executed?.token;
    return {
      tls: {
        ca,
        servername: cluster['tls-server-name'] || undefined,
        rejectUnauthorized: isInsecure ? false : undefined,
        cert: cert ?? executed?.clientCertificateData,
        key: cert ? key : executed?.clientKeyData,
      },
      headers: {
        ...provided,
        ...(basic && { Authorization: `Basic ${basic}` }),
        ...(token && { Authorization: `Bearer ${token}` }),
        ...impersonation(user),
      },
    };
  };
}

/** What a kubeconfig has in a file or, as base64, in itself. */
function contentOf(entry: Entry, key: string): Buffer | undefined {
  if (entry[key]) return readFileSync(entry[key]);
  const data = entry[`${key}-data`];
  return data ? Buffer.from(data, 'base64') : undefined;
}

/** The header that an auth-provider gives. The library that knows OIDC takes long to load. */
async function authorizationOf(authProvider: { readonly name?: unknown }): Promise<Record<string, string>> {
  if (authProvider.name !== 'oidc') throw new Error('kubectl knows no such auth-provider');
  const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js');
  const library = new KubeConfig();
  library.loadFromClusterAndUser({ name: '', server: '', skipTLSVerify: false }, { name: '', authProvider });
  const headers: Record<string, string> = {};
  // Without its error, which may quote the token. It cannot renew one: it gives version 6 of openid-client a string for a URL.
  await library.applyToHTTPSOptions({ headers }).catch(() => undefined);
  if (headers.Authorization) return headers;
  throw new Error('its token has expired, or is none; any kubectl command with this context renews it');
}

const isExpired = ({ expirationTimestamp }: ExecCredential) =>
  expirationTimestamp !== undefined && Date.parse(expirationTimestamp) <= Date.now();

/** Milliseconds after which client-go reads the file of a token again. */
const TOKEN_FILE_TTL = 60_000;

/** The token of a user: of its file, which somebody may renew, or else the one in the kubeconfig. */
function tokenReader({ token, tokenFile }: Entry): () => string | undefined {
  let read = { text: '', at: Number.NEGATIVE_INFINITY };
  return () => {
    try {
      if (tokenFile && Date.now() - read.at > TOKEN_FILE_TTL) {
        read = { text: readFileSync(tokenFile, 'utf8').trim(), at: Date.now() };
      }
    } catch (error) {
      if (!token) throw error;
    }
    return read.text || token || undefined;
  };
}

/** https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation */
function impersonation(user: Entry): Record<string, string | string[]> {
  const { as: name, 'as-uid': uid, 'as-groups': groups = [], 'as-user-extra': extra = {} } = user;
  if (!name) {
    if (uid || groups.length > 0 || Object.keys(extra).length > 0) {
      throw new Error('it impersonates groups, a uid or extras without a user name (as)');
    }
    return {};
  }
  const extras = Object.entries(extra as Record<string, string[]>);
  return {
    'Impersonate-User': name,
    ...(uid && { 'Impersonate-Uid': uid }),
    ...(groups.length > 0 && { 'Impersonate-Group': groups }),
    ...Object.fromEntries(extras.map(([key, values]) => [`Impersonate-Extra-${encodeURIComponent(key)}`, values])),
  };
}

/** Why a user cannot authenticate. */
function loginFault(user: Entry, error: NodeJS.ErrnoException): string {
  const message = error.message.replaceAll(/\s+/g, ' ').trim();
  const nameOf = (value: unknown) => (typeof value === 'string' ? value : '(no name)');
  const source = user.exec
    ? `command ${nameOf(user.exec.command)}`
    : user['auth-provider'] && `auth-provider ${nameOf(user['auth-provider'].name)}`;
  const isOfFile = error.syscall !== undefined && !error.syscall.startsWith('spawn');
  if (!source || isOfFile) return message;
  return `its ${source} failed: ${message}`;
}
