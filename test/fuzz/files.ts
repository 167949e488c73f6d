import process from 'node:process';
import { Command } from 'commander';
import { addReplayCommand } from '../../functions/cli/commands/replay.ts';
import { addRestoreCommand } from '../../functions/cli/commands/restore.ts';
import { addScanCommand } from '../../functions/cli/commands/scan.ts';
import { eksArnOf } from '../../functions/cli/input/eks-context.ts';
import { KubeconfigDirectory } from '../../functions/cli/input/kubeconfig.ts';
import { FORMATS } from '../../functions/cli/output/output.ts';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import type { AccountDirectory } from '../../functions/kubernetes/directory.ts';
import type { Choices } from '../choices.ts';
import {
  auditDocuments,
  auditEvents,
  auditLogs,
  backupLines,
  execCredentials,
  keptLists,
  kubeconfigs,
  lists,
  objects,
  runReports,
  secrets,
  splices,
} from './corpus.ts';
import { mutatedCluster } from './handlers.ts';
import { bytesOf, jsonOf, mutatedJson, mutatedText, mutatedValue, SECRET, yamlOf } from './mutate.ts';
import { apiServer, FOREIGN, pathOf, world } from './surroundings.ts';
import { isExpected, type Parts, type Target } from './target.ts';

const program = new Command('reaper').exitOverride();
addScanCommand(program);
addRestoreCommand(program);
addReplayCommand(program);

/** Runs a command on the parts, which are its files; `arguments` are separated by spaces. */
async function command(parts: Parts): Promise<void> {
  const { arguments: text = '', ...files } = parts;
  for (const [name, content] of Object.entries(files))
    if (content !== undefined) world.files.set(pathOf(name), content);
  await program.parseAsync(['node', 'reaper', ...String(text).split(' ')]);
}

const texts: readonly string[] = [
  ...auditLogs,
  yamlOf(lists[0]),
  'plain text\n',
  'apiVersion: v1\nkind: Config\n',
  jsonOf({ kind: 'List', items: [] }),
  ...secrets.flatMap((one) => [jsonOf(one), yamlOf(one)]),
];
/** In JSON or YAML, as people and programs save it. */
const saved = (value: unknown, choices: Choices): string =>
  choices.of<() => string>([() => jsonOf(value), () => jsonOf(value, 2), () => yamlOf(value)])();
const broken = (text: string, choices: Choices): Buffer =>
  bytesOf(choices.chance(25) ? mutatedText(text, texts, choices) : text, choices);

const KUBECONFIG = JSON.stringify({
  kind: 'Config',
  clusters: ['shop', 'prod'].map((name) => ({ name, cluster: { server: 'https://127.0.0.1:1' } })),
  users: [{ name: 'u', user: { token: SECRET } }],
  contexts: ['shop', 'prod'].map((name) => ({ name, context: { cluster: name, user: 'u' } })),
  'current-context': 'shop',
});
const servers = keptLists.map(({ items }) => apiServer(items));

const list: Target = {
  name: 'saved-list',
  weight: 12,
  make(choices) {
    const cluster = choices.chance(50)
      ? mutatedCluster(choices)
      : (mutatedValue(choices.of(lists), splices, choices) as object);
    const flags = `scan --file ${pathOf('list')} ${choices.chance(50) ? '--incomplete ' : ''}-o ${choices.of(FORMATS)}`;
    return { list: broken(choices.chance(90) ? jsonOf(cluster) : yamlOf(cluster), choices), arguments: flags };
  },
  run: command,
};

const whole = lists.filter(({ items }) => items.length < 9);
const manifests: Target = {
  name: 'manifests',
  weight: 10,
  make(choices) {
    const documents = Array.from({ length: 1 + choices.pick(2) }, () =>
      saved(mutatedValue(choices.of(choices.chance(10) ? secrets : objects), splices, choices), choices),
    );
    const text = documents.join(choices.of(['---\n', '\n---\n', '\r\n---\r\n', '\n']));
    return {
      list: jsonOf(choices.of(whole)),
      changes: broken(text, choices),
      arguments: `scan --file ${pathOf('list')} --incomplete --with ${pathOf('changes')} --without gateway/shop/web -o ${choices.of(FORMATS)}`,
    };
  },
  run: command,
};

const restore: Target = {
  name: 'restore',
  weight: 12,
  make(choices) {
    const entries = Array.from({ length: 1 + choices.pick(3) }, () => {
      const value = choices.of([backupLines, backupLines, runReports, objects, auditEvents])[0] ?? {};
      return mutatedValue(value, splices, choices);
    });
    const text = choices.chance(60) ? entries.map((one) => jsonOf(one)).join('\n') : saved(entries, choices);
    const how = choices.of(['', '--keep', '--force', '--context prod --cluster shop', '--gateway shop/web']);
    return {
      backup: broken(text, choices),
      kubeconfig: KUBECONFIG,
      arguments:
        `restore ${pathOf('backup')} --kubeconfig ${pathOf('kubeconfig')} -o ${choices.of(['table', 'json', 'yaml'])} ${choices.chance(60) ? '--dry-run ' : ''}${how}`.trim(),
    };
  },
  async run(parts) {
    world.serve = servers[0] as typeof world.serve;
    await command(parts);
  },
};

const replay: Target = {
  name: 'replay',
  weight: 12,
  make(choices) {
    const events = Array.from({ length: 1 + choices.pick(3) }, () =>
      mutatedValue(choices.of(auditEvents), splices, choices),
    );
    const text = choices.of<() => string>([
      () => events.map((one) => jsonOf(one)).join('\n'),
      () => events.map((one) => `2026-11-24T12:00:00.123Z ${jsonOf(one)}`).join('\n'),
      () => saved({ kind: 'EventList', apiVersion: 'audit.k8s.io/v1', items: events }, choices),
      () => saved({ events: events.map((one) => ({ message: jsonOf(one) })) }, choices),
      () => mutatedJson(choices.of(auditDocuments), splices, choices, 1),
    ])();
    const mode = choices.chance(50) ? '--mode delete --yes --backup-dir /nowhere' : '';
    return {
      log: broken(text, choices),
      kubeconfig: KUBECONFIG,
      arguments:
        `replay ${pathOf('log')} --kubeconfig ${pathOf('kubeconfig')} -o ${choices.of(FORMATS)} ${mode}`.trim(),
    };
  },
  async run(parts) {
    world.serve = servers[String(parts.log).length % servers.length] as typeof world.serve;
    await command(parts);
  },
};

const account = (arn: string, endpoint: string) =>
  ({
    list: async () => ['shop'],
    describe: async () => ({ tags: {}, arn, server: endpoint }),
  }) as unknown as AccountDirectory;

const kubeconfig: Target = {
  name: 'kubeconfig',
  weight: 16,
  make(choices) {
    const one = (): Buffer => broken(saved(mutatedValue(choices.of(kubeconfigs), splices, choices), choices), choices);
    return {
      config: one(),
      ...(choices.chance(30) && { second: one() }),
      ...(choices.chance(90) && { token: choices.chance(80) ? `${SECRET}\n` : bytesOf(`${SECRET}\n`, choices) }),
      output: mutatedJson(choices.of(execCredentials), splices, choices),
      ...(choices.chance(5) && { foreign: String(choices.pick(FOREIGN.length)) }),
    };
  },
  async run({ output = '', foreign, ...files }) {
    for (const [name, content] of Object.entries(files))
      if (content !== undefined) world.files.set(pathOf(name), content);
    world.commandOutput = String(output);
    const server = servers[0] as typeof world.serve;
    world.serve = foreign === undefined ? server : () => FOREIGN[Number(foreign)] ?? { code: 500, text: '' };
    process.env.KUBECONFIG = [pathOf('config'), pathOf('absent'), pathOf('second')].join(':');
    // The file that a flag names must exist; of those in $KUBECONFIG, some may not.
    const directory = new KubeconfigDirectory({
      kubeconfig: files.second === undefined ? pathOf('config') : undefined,
      allContexts: true,
    });
    let refusal: unknown;
    for (const context of (await directory.list()).slice(0, 3)) {
      try {
        const { server: endpoint } = await directory.describe(context);
        const target = directory.eksContext(context);
        const connection = await directory.connection(context);
        await connection.headers(true);
        const api = clusterApi(connection);
        await api.hpas.list().finally(api.close);
        if (target)
          await eksArnOf(
            target,
            account('arn:aws:eks:eu-west-1:123456789012:cluster/shop', String(endpoint)),
            'profile x',
          );
      } catch (error) {
        if (!isExpected(error)) throw error;
        refusal = error;
      }
    }
    if (refusal) throw refusal;
  },
};

export const FILES: readonly Target[] = [list, manifests, restore, replay, kubeconfig];
