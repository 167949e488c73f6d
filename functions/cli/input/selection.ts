import { type Command, InvalidArgumentError, Option } from 'commander';
import { NAMESPACE_PATTERN } from '../../judgement/kubernetes-objects.ts';
import type { Selects } from '../../sweep/sweep-cluster.ts';

export interface JudgementOptions {
  /** Like `controllerNamespaces` of the functions. */
  readonly controllerNamespace?: readonly string[];
}

export const addJudgementOptions = (command: Command): Command =>
  command.option(
    '--controller-namespace <name>',
    'where Envoy Gateway runs: a ConfigMap elsewhere leads to no deletion; may be given more than once (default: anywhere)',
    (name: string, previous: readonly string[] = []) => {
      if (!NAMESPACE_PATTERN.test(name)) throw new InvalidArgumentError('Expected the name of a namespace.');
      return [...previous, name];
    },
  );

/** The HPAs of a command. The flags are the same in every command. */
export interface SelectionOptions extends JudgementOptions {
  readonly namespace?: string;
  /** `namespace/name`, or a name in any namespace. */
  readonly gateway?: string;
}

export const addSelectionOptions = (command: Command): Command =>
  addJudgementOptions(command)
    .option('-n, --namespace <name>', 'only HPAs that are in this namespace, or whose Gateway is')
    .addOption(new Option('-A, --all-namespaces', 'HPAs in every namespace (the default)').conflicts('namespace'))
    .option('--gateway <namespace/name>', 'only HPAs of this Gateway; without a namespace, in any', (value) => {
      if (!/^([^/]+\/)?[^/]+$/.test(value)) throw new InvalidArgumentError('Expected namespace/name, or a name.');
      return value;
    });

/** @returns `undefined` where every HPA is selected */
export function selectionOf({ namespace, gateway }: SelectionOptions): Selects | undefined {
  if (namespace === undefined && gateway === undefined) return undefined;
  return ({ namespace: ownNamespace, owner }) => {
    const ofGateway = owner?.kind === 'Gateway' ? owner : undefined;
    const isInNamespace = namespace === undefined || [ownNamespace, ofGateway?.namespace].includes(namespace);
    const names = ofGateway ? [ofGateway.name, `${ofGateway.namespace}/${ofGateway.name}`] : [];
    return isInNamespace && (gateway === undefined || names.includes(gateway));
  };
}
