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
import type { Random } from './random.ts';
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
const saved = (value: unknown, random: Random): string =>
  random.pick<() => string>([() => jsonOf(value), () => jsonOf(value, 2), () => yamlOf(value)])();
const broken = (text: string, random: Random): Buffer =>
  bytesOf(random.chance(0.25) ? mutatedText(text, texts, random) : text, random);

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
  make(random) {
    const cluster = random.chance(0.5)
      ? mutatedCluster(random)
      : (mutatedValue(random.pick(lists), splices, random) as object);
    const flags = `scan --file ${pathOf('list')} ${random.chance(0.5) ? '--incomplete ' : ''}-o ${random.pick(FORMATS)}`;
    return { list: broken(random.chance(0.9) ? jsonOf(cluster) : yamlOf(cluster), random), arguments: flags };
  },
  run: command,
};

const whole = lists.filter(({ items }) => items.length < 9);
const manifests: Target = {
  name: 'manifests',
  weight: 10,
  make(random) {
    const documents = Array.from({ length: 1 + random.below(2) }, () =>
      saved(mutatedValue(random.pick(random.chance(0.1) ? secrets : objects), splices, random), random),
    );
    const text = documents.join(random.pick(['---\n', '\n---\n', '\r\n---\r\n', '\n']));
    return {
      list: jsonOf(random.pick(whole)),
      changes: broken(text, random),
      arguments: `scan --file ${pathOf('list')} --incomplete --with ${pathOf('changes')} --without gateway/shop/web -o ${random.pick(FORMATS)}`,
    };
  },
  run: command,
};

const restore: Target = {
  name: 'restore',
  weight: 12,
  make(random) {
    const entries = Array.from({ length: 1 + random.below(3) }, () => {
      const value = random.pick([backupLines, backupLines, runReports, objects, auditEvents])[0] ?? {};
      return mutatedValue(value, splices, random);
    });
    const text = random.chance(0.6) ? entries.map((one) => jsonOf(one)).join('\n') : saved(entries, random);
    const how = random.pick(['', '--keep', '--force', '--context prod --cluster shop', '--gateway shop/web']);
    return {
      backup: broken(text, random),
      kubeconfig: KUBECONFIG,
      arguments:
        `restore ${pathOf('backup')} --kubeconfig ${pathOf('kubeconfig')} -o ${random.pick(['table', 'json', 'yaml'])} ${random.chance(0.6) ? '--dry-run ' : ''}${how}`.trim(),
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
  make(random) {
    const events = Array.from({ length: 1 + random.below(3) }, () =>
      mutatedValue(random.pick(auditEvents), splices, random),
    );
    const text = random.pick<() => string>([
      () => events.map((one) => jsonOf(one)).join('\n'),
      () => events.map((one) => `2026-11-24T12:00:00.123Z ${jsonOf(one)}`).join('\n'),
      () => saved({ kind: 'EventList', apiVersion: 'audit.k8s.io/v1', items: events }, random),
      () => saved({ events: events.map((one) => ({ message: jsonOf(one) })) }, random),
      () => mutatedJson(random.pick(auditDocuments), splices, random, 1),
    ])();
    const mode = random.chance(0.5) ? '--mode delete --yes --backup-dir /nowhere' : '';
    return {
      log: broken(text, random),
      kubeconfig: KUBECONFIG,
      arguments:
        `replay ${pathOf('log')} --kubeconfig ${pathOf('kubeconfig')} -o ${random.pick(FORMATS)} ${mode}`.trim(),
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
  make(random) {
    const one = (): Buffer => broken(saved(mutatedValue(random.pick(kubeconfigs), splices, random), random), random);
    return {
      config: one(),
      ...(random.chance(0.3) && { second: one() }),
      ...(random.chance(0.9) && { token: random.chance(0.8) ? `${SECRET}\n` : bytesOf(`${SECRET}\n`, random) }),
      output: mutatedJson(random.pick(execCredentials), splices, random),
      ...(random.chance(0.05) && { foreign: String(random.below(FOREIGN.length)) }),
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
