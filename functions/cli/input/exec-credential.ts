import { spawn } from 'node:child_process';
import process from 'node:process';
import { text } from 'node:stream/consumers';

/** The command of a user in a kubeconfig. https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/#ExecConfig */
interface ExecConfig {
  readonly command?: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly apiVersion?: string;
  readonly installHint?: string;
  readonly provideClusterInfo?: boolean;
  readonly interactiveMode?: 'Never' | 'IfAvailable' | 'Always';
}

/** What a command gives: a token, a client certificate, or both. */
export interface ExecCredential {
  readonly token?: string;
  readonly clientCertificateData?: string;
  readonly clientKeyData?: string;
  /** RFC 3339; absent for a credential that lasts as long as this process. */
  readonly expirationTimestamp?: string;
}

/**
 * Runs the command of a user as kubectl does.
 *
 * @param cluster the entry of the cluster, for a command that asks for it
 * @throws with a message that never quotes the output, which contains the token
 */
export async function execCredential(
  exec: ExecConfig,
  cluster: Readonly<Record<string, unknown>>,
): Promise<ExecCredential> {
  const { command = '', args = [], env = [], apiVersion, installHint, provideClusterInfo, interactiveMode } = exec;
  if (interactiveMode === undefined && apiVersion?.endsWith('/v1')) throw new Error('it needs an interactiveMode');
  if (command === '') throw new Error('the kubeconfig names no command');
  const isTerminal = process.stdin.isTTY === true;
  if (interactiveMode === 'Always' && !isTerminal) throw new Error('it needs a terminal (interactiveMode: Always)');
  const interactive = isTerminal && interactiveMode !== 'Never';
  const spec = { ...(provideClusterInfo && { cluster: clusterInfo(cluster) }), interactive };
  const child = spawn(command, args, {
    env: {
      ...process.env,
      ...Object.fromEntries(env.map(({ name, value }) => [name, value])),
      KUBERNETES_EXEC_INFO: JSON.stringify({ kind: 'ExecCredential', apiVersion, spec }),
    },
    stdio: [interactive ? 'inherit' : 'ignore', 'pipe', 'pipe'],
  });
  const [output, complaint] = [text(child.stdout), text(child.stderr)];
  // A person who is asked to log in has to see it.
  if (interactive) child.stderr.on('data', (chunk) => process.stderr.write(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', (error: NodeJS.ErrnoException) => {
      const hint = error.code === 'ENOENT' && installHint ? `: ${installHint.trim()}` : '';
      reject(new Error(`${error.message}${hint}`));
    });
  });
  if (code !== 0) throw new Error((await complaint).trim() || 'it printed no reason');
  const { apiVersion: answered, status } = parsed(await output);
  const { token, clientCertificateData, clientKeyData } = status ?? {};
  // A later error about another type would quote the credential. As in kubectl, null is none, and unknown fields do not matter.
  if ([token, clientCertificateData, clientKeyData].some((value) => value != null && typeof value !== 'string')) {
    throw new Error('its credential has fields that are not strings');
  }
  if (!status || (token === undefined && clientCertificateData === undefined)) throw new Error('it gives no token');
  if (answered !== apiVersion) throw new Error(`it answers in ${answered}, and the kubeconfig expects ${apiVersion}`);
  return status;
}

function parsed(json: string): { readonly apiVersion?: string; readonly status?: ExecCredential } {
  try {
    return JSON.parse(json) ?? {};
  } catch {
    return {};
  }
}

/** https://kubernetes.io/docs/reference/config-api/client-authentication.v1/#client-authentication-k8s-io-v1-Cluster */
function clusterInfo(cluster: Readonly<Record<string, unknown>>): object {
  const extensions = (cluster.extensions ?? []) as { name: string; extension: unknown }[];
  const { server, ...others } = cluster;
  const names = ['tls-server-name', 'insecure-skip-tls-verify', 'certificate-authority-data', 'proxy-url'];
  return {
    server,
    ...Object.fromEntries(names.filter((name) => others[name]).map((name) => [name, others[name]])),
    config: extensions.find(({ name }) => name === 'client.authentication.k8s.io/exec')?.extension,
  };
}
