import { type Command, InvalidArgumentError } from 'commander';
import { NAMESPACE_PATTERN } from '../../judgement/kubernetes-objects.ts';
import type { Selects } from '../../sweep/sweep-cluster.ts';

/** How a command judges. The flag means as much as `controllerNamespaces` does for the functions. */
export interface JudgementOptions {
  readonly controllerNamespace?: readonly string[];
}

export const addJudgementOptions = (command: Command): Command =>
  command.option(
    '--controller-namespace <name>',
    'where Envoy Gateway runs: a ConfigMap elsewhere leads to no deletion; may be given more than once (default: anywhere)',
    namespaces,
  );

function namespaces(name: string, previous: readonly string[] = []): string[] {
  if (!NAMESPACE_PATTERN.test(name)) throw new InvalidArgumentError('Expected the name of a namespace.');
  return [...previous, name];
}

/** Which HPAs a command is about. The same flags mean the same in every command. */
export interface SelectionOptions extends JudgementOptions {
  readonly namespace?: string;
  /** `namespace/name`, or a name in any namespace. */
  readonly gateway?: string;
}

export function addSelectionOptions(command: Command): Command {
  return addJudgementOptions(command)
    .option('-n, --namespace <name>', 'only HPAs that are in this namespace, or whose Gateway is')
    .option('--gateway <namespace/name>', 'only HPAs of this Gateway; without a namespace, in any', gatewayPlace);
}

function gatewayPlace(value: string): string {
  if (!/^([^/]+\/)?[^/]+$/.test(value)) throw new InvalidArgumentError('Expected namespace/name, or a name.');
  return value;
}

/** @returns a predicate, or `undefined` where every HPA is meant */
export function selectionOf({ namespace, gateway }: SelectionOptions): Selects | undefined {
  if (namespace === undefined && gateway === undefined) return undefined;
  const [name, gatewayNamespace] = (gateway ?? '').split('/').toReversed();
  return ({ namespace: ownNamespace, owner }) => {
    const ownerNamespace = owner?.kind === 'Gateway' ? owner.namespace : undefined;
    const isThere = namespace === undefined || ownNamespace === namespace || ownerNamespace === namespace;
    const isIts =
      gateway === undefined ||
      (owner?.kind === 'Gateway' &&
        owner.name === name &&
        (gatewayNamespace === undefined || owner.namespace === gatewayNamespace));
    return isThere && isIts;
  };
}
