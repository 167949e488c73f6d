import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve, sep } from 'node:path';
import process from 'node:process';
import { MalformedInputError } from '../../platform/errors.ts';
import { parseYaml } from '../../platform/yaml.ts';

/** A cluster, user or context as a kubeconfig has it. Only what messages quote is checked: a broken entry is a fault of its contexts only. */
// biome-ignore lint/suspicious/noExplicitAny: each reader expects its own fields
type Entry = Readonly<Record<string, any>>;

type Field = 'clusters' | 'users' | 'contexts';

/** What kubectl takes from all kubeconfig files together, by name. */
export interface Kubeconfig extends Readonly<Record<Field, ReadonlyMap<string, Entry>>> {
  readonly currentContext?: string;
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
  const merged = (field: Field) => firstOfEach(parts.flatMap((part) => [...part[field]]));
  return {
    currentContext: parts.map(({ currentContext }) => currentContext).find(Boolean),
    clusters: merged('clusters'),
    users: merged('users'),
    contexts: merged('contexts'),
  };
}

/** The first entry of each name, in their order. */
function firstOfEach(entries: readonly (readonly [name: string, Entry])[]): ReadonlyMap<string, Entry> {
  const first = new Map<string, Entry>();
  for (const [name, entry] of entries) if (!first.has(name)) first.set(name, entry);
  return first;
}

function readFile(file: string): Kubeconfig {
  let content: Entry;
  try {
    const parsed = JSON.stringify(parseYaml(readFileSync(file, 'utf8')));
    // Null is the same as absent: kubectl writes `env: null` for a command without variables.
    content = JSON.parse(parsed, (_, value) => value ?? undefined) ?? {};
  } catch (error) {
    const fault = (error as Error).message.replace(/, \w+ '.*'$/, '');
    throw new MalformedInputError(`kubeconfig ${file} cannot be read: ${fault}`);
  }
  const from = dirname(resolve(file));
  const absolute = (path: unknown) => (typeof path === 'string' && path !== '' ? resolve(from, path) : undefined);
  const entriesOf = (field: Field, key: string, read: (entry: Entry) => Entry): ReadonlyMap<string, Entry> => {
    const list: unknown = content[field];
    const entries = Array.isArray(list) ? list.filter((entry) => typeof entry?.name === 'string') : [];
    return firstOfEach(entries.map((entry) => [entry.name, read(entry[key] ?? {})]));
  };
  return {
    currentContext: textOrNone(content['current-context']),
    clusters: entriesOf('clusters', 'cluster', (cluster) => ({
      ...cluster,
      server: textOrNone(cluster.server),
      'certificate-authority': absolute(cluster['certificate-authority']),
    })),
    users: entriesOf('users', 'user', ({ exec, ...user }) => ({
      ...user,
      'client-certificate': absolute(user['client-certificate']),
      'client-key': absolute(user['client-key']),
      tokenFile: absolute(user.tokenFile),
      // A bare name is looked up in the PATH.
      exec: textOrNone(exec?.command)?.includes(sep) ? { ...exec, command: absolute(exec.command) } : exec,
    })),
    contexts: entriesOf('contexts', 'context', ({ cluster, user, namespace }) => ({
      cluster: textOrNone(cluster),
      user: textOrNone(user),
      namespace: textOrNone(namespace),
    })),
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
