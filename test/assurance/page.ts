import { writeFile } from 'node:fs/promises';
import process from 'node:process';
import { type PROOFS, recorded } from './record.ts';

type Proof = (typeof PROOFS)[number];

/** What each proof does, for a reader who decides whether to let this tool delete. */
const SECTIONS: Readonly<Record<Proof, { title: string; text: string }>> = {
  gateway: {
    title: 'Against Envoy Gateway itself',
    text: `A real kube-apiserver and a real Envoy Gateway of each version run while generated sequences of changes are made: autoscaling on and
off, references dropped, dangling, and put back, Gateways, classes, and EnvoyProxies deleted and created, merging, patches, DaemonSets,
GatewayNamespace mode, defaults, and HPAs of people and tools, while Envoy Gateway is paused, stopped, restarted, and upgraded. In every
second batch the product deletes meanwhile, with settle times of 2 and 8 seconds instead of 120 and 180. At rest some HPAs are deleted,
which must be reported as missing, and every other one is judged. Then all HPAs are deleted and Envoy Gateway is started again: what it
creates is wanted. *Kept by a row* are HPAs that it does not create and that [a row](reasons.md) keeps, such as those of people.`,
  },
  simulation: {
    title: 'Simulation',
    text: `The real use cases run on a virtual clock against models of the cluster, Envoy Gateway, people, CloudWatch Logs, EventBridge, and SQS,
with a fault at any API call: an answer that is lost, a conflict, throttling, an expired list or token, a process that dies. At rest no stale
HPA is left, no wanted HPA is missing and not reported, no HPA of somebody else was touched, and every event ended in a success, a retry,
or the DLQ.

One thing does not hold. A class loses its reference to the EnvoyProxy (or the default is removed), at least three minutes pass, its status
shows the removal, and Envoy Gateway has still not translated it, for example because it is paused. If the HPA is deleted then, and the
reference is put back before Envoy Gateway goes on, the HPA is missing until Envoy Gateway is restarted or the EnvoyProxy is changed, and each
sweep reports it (*the removal was not translated*). Nothing in Kubernetes shows that a removal was read and not yet translated.`,
  },
  'bad-input': {
    title: 'Bad input',
    text: `Recorded events, clusters, kubeconfigs, reports, and settings are changed at random, and given to all handlers and to the code that
reads the files and the environment of the CLI. Nothing may crash without a typed error, take over a second (for each MiB of input), grow the
memory, repeat a credential, or delete.`,
  },
  mutation: {
    title: 'The tests tested',
    text: 'Stryker changes the code that judges and deletes, one place at a time. The tests must notice.',
  },
  load: {
    title: 'Load',
    text: `Audit events of many clusters go through \`forward\` and \`reap\` in the payloads and batches that AWS makes of them, against API servers
that throttle, fail, and hang.`,
  },
  emulators: {
    title: 'Emulators of AWS',
    text: 'The packaged template is deployed to two emulators. Neither is AWS; the table has what they cannot do.',
  },
};

/** What the proofs have found, and the fix. */
const FOUND: readonly string[] = [
  'Against Envoy Gateway: a GatewayClass that is being deleted and refers to no EnvoyProxy was taken to stop v1.3, so that no removal in that cluster was seen. v1.3 does not read its parameters (`test/cases/dangling-class-deleted-v1.3.0`).',
  'Against Envoy Gateway: a Gateway that it rejects for the backend of its access log, tracing, or metrics was taken not to be served, so that a removal waited for the repair, and a missing HPA was not reported. Envoy Gateway serves it in full. Nor was a missing HPA reported, from v1.7 on, if only the EnvoyProxy of the class was gone.',
  'Mutants: while the ConfigMap could not be read, the name in `envoyHpa.name` of another Gateway protected no HPA whose Deployment was gone.',
  'Load: a warm `reap` kept the outcomes of a batch, manifests included, in memory until the deadline of the invocation.',
  'Bad input: a ConfigMap `envoy-gateway-config` that a tenant writes could stall `reap`, because the YAML parser takes quadratic time, and minutes for maps as keys of maps; so could a compressed payload without bound, or a saved file with brackets without end.',
  'Bad input: messages could quote a credential of a kubeconfig, of a proxy, or of a request that a server returned, and could be of any length and many lines.',
  'Bad input: a value of another type in a kubeconfig or an object ended in a crash instead of a message.',
  'Bad input, in runs of 1,000,000: half a character in a backup, a namespace that is no text, a list nested without end, and a password in the path of a server ended in a crash or in a message.',
  'Simulation: the removal of the reference of a class with `kubectl edit` or `kubectl patch` leaves no time, so an HPA could be deleted before the three minutes had passed that Envoy Gateway gets to act on it.',
  'LocalStack has found no fault of the product.',
];

/** docs/assurance.md. */
export async function assurancePage(): Promise<string> {
  const sections = await Promise.all(
    Object.entries(SECTIONS).map(async ([proof, { title, text }]) => {
      const { command, commit, columns, rows } = await recorded(proof as Proof);
      const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
      const table = [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
      return `## ${title}\n\n${text}\n\n\`${command}\`, at commit \`${commit}\`:\n\n${table}\n`;
    }),
  );
  return `# Assurance

What shows that this tool deletes the right HPAs and no others. Each section has the command that repeats it. This page is generated by
\`node test/assurance/page.ts\`.

${sections.join('\n')}
## Found and fixed

${FOUND.map((one) => `- ${one}`).join('\n')}
`;
}

if (import.meta.main) {
  await writeFile(new URL('../../docs/assurance.md', import.meta.url), await assurancePage());
  process.exit();
}
