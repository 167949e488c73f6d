import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { addDoctorCommand } from '../../../functions/cli/commands/doctor.ts';
import { addEnrollCommand } from '../../../functions/cli/commands/enroll.ts';
import { addReapCommand } from '../../../functions/cli/commands/reap.ts';
import { addReplayCommand } from '../../../functions/cli/commands/replay.ts';
import { addRestoreCommand } from '../../../functions/cli/commands/restore.ts';
import { addScanCommand } from '../../../functions/cli/commands/scan.ts';
import { readSavedList } from '../../../functions/cli/input/files.ts';
import { selectionOf } from '../../../functions/cli/input/selection.ts';
import { LIST_COMMAND } from '../../../functions/kubernetes/cluster-list.ts';
import { assessSnapshot, reportHpa } from '../../../functions/sweep/assess.ts';
import { staleList, the } from '../../e2e/harness.ts';
import { folder, save } from '../../temporary-files.ts';

/** Inputs of people who had trouble with tools like this one. */
const REPORTS = 'test/fixtures/reports';

const help: string[] = [];
function program(): Command {
  const output = { writeOut: (text: string) => void help.push(text), writeErr: () => {}, getOutHelpWidth: () => 80 };
  const command = new Command('reaper').exitOverride().configureOutput(output);
  for (const add of [addScanCommand, addReapCommand, addRestoreCommand]) add(command);
  for (const add of [addReplayCommand, addDoctorCommand, addEnrollCommand]) add(command);
  return command;
}

test.each([
  ['scan --fiel list.json', /^error: unknown option '--fiel'/],
  ['scan list.json', /^error: too many arguments for 'scan'/],
  ['sweep', /^error: unknown command 'sweep'/],
  ['scan -o xml', /argument 'xml' is invalid\. Allowed choices are table, name, json, yaml, markdown, html\./],
  ['scan --file - --context prod', /^error: option '-f, --file <file>' cannot be used with option '--context <name>'/],
  ['scan --eks --context prod', /^error: option '--eks \[names\]' cannot be used with option '--context <name>'/],
  ['scan --all-contexts --context prod', /^error: option '--all-contexts' cannot be used with option '--context <na/],
  ['scan --incomplete', /^option '--incomplete' can only be used together with '--file'$/],
  ['scan --incomplete --eks shop', /^option '--incomplete' can only be used together with '--file'$/],
  ['scan --file - --with -', /^standard input \(-\) can be read only once$/],
  ['scan --profile shop', /^option '--profile' can only be used together with '--eks'$/],
  ['scan --file - --region eu-west-1 --tag a=b', /^option '--region', '--tag' can only be used together with '--eks'$/],
  ['scan --eks --tag team', /argument 'team' is invalid\. Expected key=value\./],
  [
    'scan --eks shop,',
    /'shop,' is invalid\. Expected comma-separated names of EKS clusters; put a file before --eks\./,
  ],
  ['scan --gateway a/b/c', /argument 'a\/b\/c' is invalid\. Expected namespace\/name, or a name\./],
  ['scan --controller-namespace Shop', /argument 'Shop' is invalid\. Expected the name of a namespace\./],
  ['scan --without gateway/web', /argument 'gateway\/web' is invalid\. Expected gateway\/namespace\/name\./],
  ['scan --without gatewayclass/shop/eg', /is invalid\. Expected gatewayclass\/name\./],
  ['scan --without deployment/shop/web', /is invalid\. Expected a GatewayClass, Gateway, EnvoyProxy, ConfigMap: /],
  ['scan --without configmap/shop/other', /is invalid\. Of ConfigMaps only those named envoy-gateway-config /],
  ['doctor --contxt production', /^error: unknown option '--contxt'/],
  ['restore file --all-contexts', /^error: unknown option '--all-contexts'/],
  ['restore file -o html', /^error: option '-o, --output <format>' argument 'html' is invalid/],
  ['restore --since yesterday --eks shop', /^error: option '--since <time>' .* Expected a duration/],
  ['restore', /^give files, or --eks CLUSTER --since TIME for the log of the functions/],
  ['restore --since 1h --eks', /^--since needs the names of the clusters: --eks CLUSTER/],
  ['restore file --since 1h --eks shop', /^give files or --since, not both/],
  ['restore --since 1h --eks shop"', /argument 'shop"' is invalid\. Expected comma-separated names of EKS clusters/],
  ['restore --eks backup.jsonl', /argument 'backup\.jsonl' is invalid\. Expected .*; put a file before --eks\./],
  ['restore --eks backup', /^give files, .* \(backup counts as the name of a cluster; put a file before --eks\)$/],
  ['replay --eks -', /argument '-' is invalid\. Expected .*; put a file before --eks\./],
  ['replay --eks audit', /^give the file with the audit log, before --eks \(audit counts as the name of a cluster\)$/],
  ['scan -A -n shop', /^error: option '-A, --all-namespaces' cannot be used with option '-n, --namespace <name>'/],
  ['replay file --all-contexts', /^error: unknown option '--all-contexts'/],
  ['replay file --mode destroy', /^error: option '--mode <mode>' argument 'destroy' is invalid/],
  ['replay file --eks', /^an audit log belongs to one cluster: give --context or --eks with one name/],
  ['replay file --eks a,b', /^an audit log belongs to one cluster/],
  ['reap --max-deletions many', /argument 'many' is invalid\. Expected a whole number\./],
])('%s is wrong usage', async (line, message) => {
  await expect(program().parseAsync(line.split(' '), { from: 'user' })).rejects.toThrow(message);
});

test('the help fits 80 columns, and shows the command that saves a List, as the README does', async () => {
  for (const name of ['scan', 'reap', 'restore', 'replay', 'doctor', 'enroll']) {
    await expect(program().parseAsync([name, '--help'], { from: 'user' })).rejects.toThrow('outputHelp');
  }
  expect(help.join('').match(/^.{81,}$/gm)).toBeNull();
  const joined = (text: string) => text.replaceAll('\\\n', '');
  expect(joined(help.join(''))).toContain(`    ${LIST_COMMAND} |\n      reaper scan --file -`);
  const inReadme = `\n${LIST_COMMAND} |\n  npm run -s reaper -- scan --file -\n`;
  expect(joined(readFileSync('README.md', 'utf8'))).toContain(inReadme);
});

describe('a selection', () => {
  const web = { namespace: 'system', owner: { kind: 'Gateway', namespace: 'shop', name: 'web' } } as const;
  const ofClass = { namespace: 'system', owner: { kind: 'GatewayClass', name: 'web' } } as const;
  const ofNobody = { namespace: 'system', owner: undefined };

  test('of everything is none', () => {
    expect(selectionOf({})).toBeUndefined();
  });

  test.each([
    [{ namespace: 'system' }, true, true],
    [{ namespace: 'shop' }, true, false],
    [{ namespace: 'other' }, false, false],
    [{ gateway: 'web' }, true, false],
    [{ gateway: 'shop/web' }, true, false],
    [{ gateway: 'other/web' }, false, false],
    [{ gateway: 'api' }, false, false],
    [{ namespace: 'other', gateway: 'web' }, false, false],
    [{ namespace: 'system', gateway: 'shop/web' }, true, false],
  ])('%j selects an HPA of Gateway shop/web: %s, and of a class or of nobody: %s', (options, ofWeb, ofOthers) => {
    const selects = selectionOf(options);
    expect([web, ofClass, ofNobody].map((one) => selects?.(one))).toEqual([ofWeb, ofOthers, ofOthers]);
  });
});

describe('a saved List', () => {
  const list = JSON.stringify(staleList());

  test.each<[string, string | Buffer]>([
    ['JSON', list],
    ['JSON with a byte order mark', `\ufeff${list}`],
    ['packed with gzip', gzipSync(list)],
    ['packed with gzip, in two members', Buffer.concat([gzipSync(list.slice(0, 99)), gzipSync(list.slice(99))])],
  ])('may be %s', async (_, content) => {
    expect((await readSavedList(save(content))).hpas).toHaveLength(1);
  });

  const strange = staleList();
  the('EnvoyProxy', strange).spec.provider = 'Kubernetes';
  test.each<[string, () => string, RegExp]>([
    ['a file that does not exist', () => '/nowhere', /^\/nowhere cannot be read: ENOENT/],
    ['a folder', () => folder, /cannot be read: EISDIR/],
    ['a table', () => save('NAME AGE'), /file-\d+ is not JSON \((?!.*NAME).*\); save it with `kubectl get … -o json`$/],
    ['nesting', () => save(`${'{"a":'.repeat(300)}1${'}'.repeat(300)}`), /file-\d+ is nested too deeply$/],
    ['an empty file', () => save(''), /file-\d+ is not JSON /],
    ['one object', () => save('{"kind":"Pod"}'), /file-\d+: expected a List, .* found a Pod$/],
    ['an object of an unknown shape', () => save(strange), /: EnvoyProxy \S+\/proxy has a shape .*: spec\.provider: /],
    ['one without managedFields', () => `${REPORTS}/no-managed-fields/10.json`, /save it with --show-managed-fields$/],
  ])('is not %s', async (_, file, message) => {
    await expect(readSavedList(file())).rejects.toThrow(message);
  });

  const leaves = (kind: string, more: object = {}) => ({ replicas: { after: { kind, ...more } } });
  const UNUSED = { remedy: expect.stringMatching(/If nothing uses the Deployment anymore, delete it/) };
  const VELERO = { explanation: expect.stringContaining('field manager velero-server owns its scaleTargetRef') };
  test.each<[string, string, object]>([
    ['replicas-fall-to-one/01', 'AutoscalingRemoved', { ...leaves('Stays', { replicas: 5 }), dropsCapacity: false }],
    ['replicas-fall-to-one/02', 'AutoscalingRemoved', leaves('Becomes', { replicas: 5 })],
    ['replicas-fall-to-one/03b', 'Renamed', leaves('Governed')],
    ['replicas-fall-to-one/m5', 'AutoscalingRemoved', leaves('Governed')],
    // Its proxies are DaemonSets, and there is no Deployment at all.
    ['replicas-fall-to-one/15', 'ScaleTargetGone', leaves('NoDeployment')],
    ['istio-gateway-in-list/11b', 'AutoscalingRemoved', leaves('Stays', { replicas: 5 })],
    ['orphaned-deployment/04', 'ScaleTargetStillRuns', UNUSED],
    ['orphaned-deployment/05', 'ScaleTargetStillRuns', UNUSED],
    ['velero/13', 'Adopted', VELERO],
  ])('of the report %s has an HPA with the reason %s', async (file, reason, facts) => {
    const list = await readSavedList(`${REPORTS}/${file}.json`, file.endsWith('15'));
    const { verdicts } = await assessSnapshot(list, new Date());
    expect(verdicts.map(reportHpa).find((hpa) => hpa.reason === reason)).toMatchObject(facts);
  });
});
