import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve, sep } from 'node:path';
import process from 'node:process';
import { MalformedInputError } from '../../platform/errors.ts';
import { parseYaml } from '../../platform/yaml.ts';

/** A cluster, user or context as a kubeconfig has it. Only what messages quote is checked: a broken entry is a fault of its contexts only. */
// biome-ignore lint/suspicious/noExplicitAny: each reader expects its own fields
type Entry = Readonly<Record<string, any>>;

/** What kubectl takes from all kubeconfig files together, by name. */
export interface Kubeconfig {
  readonly currentContext?: string;
  readonly clusters: ReadonlyMap<string, Entry>;
  readonly users: ReadonlyMap<string, Entry>;
  readonly contexts: ReadonlyMap<string, Entry>;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Reads kubeconfigs and merges them as kubectl does: the first file that defines a name, or a current context, wins; files of
 * $KUBECONFIG that do not exist are skipped; paths are relative to the file that contains them. Without any context, a Pod has
 * the one of its service account.
 *
 * @param file in place of $KUBECONFIG and ~/.kube/config; it must exist
 * @throws {MalformedInputError} for a file that cannot be read or is no kubeconfig
 */
export function readKubeconfig(file?: string): Kubeconfig {
  const { KUBECONFIG, KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  const files = KUBECONFIG ? KUBECONFIG.split(delimiter).filter(Boolean) : [join(homedir(), '.kube', 'config')];
  const parts = file === undefined ? files.filter((name) => existsSync(name)).map(readFile) : [readFile(file)];
  if (file === undefined && host && parts.every(({ contexts }) => contexts.size === 0)) {
    if (existsSync(join(SERVICE_ACCOUNT, 'token'))) parts.push(serviceAccount(host, port));
  }
  const merged = (field: 'clusters' | 'users' | 'contexts') =>
    new Map(parts.toReversed().flatMap((part) => [...part[field]]));
  return {
    currentContext: parts.map(({ currentContext }) => currentContext).find(Boolean),
    clusters: merged('clusters'),
    users: merged('users'),
    contexts: inOrder(parts, merged('contexts')),
  };
}

/** The contexts in the order of the files. */
const inOrder = (parts: readonly Kubeconfig[], contexts: ReadonlyMap<string, Entry>): ReadonlyMap<string, Entry> =>
  new Map(parts.flatMap((part) => [...part.contexts.keys()]).map((name) => [name, contexts.get(name) ?? {}]));

function readFile(file: string): Kubeconfig {
  let content: Entry;
  try {
    content = (parseYaml(readFileSync(file, 'utf8')) ?? {}) as Entry;
  } catch (error) {
    const fault = (error as Error).message.replace(/, \w+ '.*'$/, '');
    throw new MalformedInputError(`kubeconfig ${file} cannot be read: ${fault}`);
  }
  const from = dirname(resolve(file));
  const absolute = (path: unknown) => (typeof path === 'string' && path !== '' ? resolve(from, path) : undefined);
  const entriesOf = (field: string, key: string): Map<string, Entry> => {
    const list: unknown = content[field];
    const entries = Array.isArray(list) ? list.filter((entry) => typeof entry?.name === 'string') : [];
    return new Map(entries.toReversed().map((entry) => [entry.name, entry[key] ?? {}]));
  };
  const clusters = [...entriesOf('clusters', 'cluster')].map(
    ([name, cluster]) =>
      [
        name,
        {
          ...cluster,
          server: textOrNone(cluster.server),
          'certificate-authority': absolute(cluster['certificate-authority']),
        },
      ] as const,
  );
  const users = [...entriesOf('users', 'user')].map(([name, user]) => {
    const { exec } = user;
    // A bare name is looked up in the PATH.
    const hasPath = typeof exec?.command === 'string' && exec.command.includes(sep);
    const paths = ['client-certificate', 'client-key', 'tokenFile'].map((key) => [key, absolute(user[key])] as const);
    const command = hasPath ? { exec: { ...exec, command: absolute(exec.command) } } : {};
    return [name, { ...user, ...Object.fromEntries(paths), ...command }] as const;
  });
  const contexts = [...entriesOf('contexts', 'context')].map(([name, { cluster, user, namespace }]) => {
    const names = { cluster: textOrNone(cluster), user: textOrNone(user), namespace: textOrNone(namespace) };
    return [name, names] as const;
  });
  return {
    currentContext: textOrNone(content['current-context']),
    clusters: new Map(clusters),
    users: new Map(users),
    contexts: new Map(contexts.toReversed()),
  };
}

const textOrNone = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** The cluster that this process runs in, under the name that client libraries give it. */
function serviceAccount(host: string, port = '443'): Kubeconfig {
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    currentContext: 'inClusterContext',
    clusters: new Map([['inCluster', { server, 'certificate-authority': join(SERVICE_ACCOUNT, 'ca.crt') }]]),
    users: new Map([['inClusterUser', { tokenFile: join(SERVICE_ACCOUNT, 'token') }]]),
    contexts: new Map([['inClusterContext', { cluster: 'inCluster', user: 'inClusterUser' }]]),
  };
}
