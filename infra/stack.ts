import { setTimeout } from 'node:timers/promises';
import {
  type Change,
  type CloudFormationClient,
  CreateChangeSetCommand,
  DeleteChangeSetCommand,
  DeleteStackCommand,
  DescribeChangeSetCommand,
  type DescribeChangeSetCommandOutput,
  DescribeStackEventsCommand,
  DescribeStacksCommand,
  ExecuteChangeSetCommand,
  GetTemplateSummaryCommand,
  type Stack as StackDescription,
  type StackEvent,
} from '@aws-sdk/client-cloudformation';

/** What CloudFormation would do. */
export interface Plan {
  /** `CREATE` for a stack that is not there yet. */
  readonly type: 'CREATE' | 'UPDATE';
  readonly changeSet: string;
  /** Empty when there is nothing to do. */
  readonly changes: readonly Change[];
}

/** What a stack has for a parameter of its template. */
export interface StackParameter {
  readonly key: string;
  readonly value: string;
  /** It is not the default of the stack's template. */
  readonly isGiven: boolean;
}

/** A stack did not become what it was to become. */
export class StackError extends Error {
  override name = 'StackError';
}

/** Between two looks at what CloudFormation is doing. */
const POLL_MS = 3_000;

/** These end a stack that was never whole, and CloudFormation takes no change for it. */
const NEVER_WHOLE = ['ROLLBACK_COMPLETE', 'ROLLBACK_FAILED', 'CREATE_FAILED', 'DELETE_FAILED'];

/** A CloudFormation stack, changed by change sets as `aws cloudformation deploy` does. */
export class Stack {
  readonly #client: Pick<CloudFormationClient, 'send'>;
  readonly #name: string;
  readonly #wait: () => Promise<unknown>;

  /** @param wait what passes between two looks at what CloudFormation is doing */
  constructor(
    client: Pick<CloudFormationClient, 'send'>,
    name: string,
    wait: () => Promise<unknown> = () => setTimeout(POLL_MS),
  ) {
    this.#client = client;
    this.#name = name;
    this.#wait = wait;
  }

  /** @returns nothing where there is no such stack, or nothing but a change set that nobody executed */
  async describe(): Promise<StackDescription | undefined> {
    const described = await this.#describe(this.#name);
    return described?.StackStatus === 'REVIEW_IN_PROGRESS' ? undefined : described;
  }

  /** @returns none where there is no stack yet */
  async parameters(): Promise<StackParameter[]> {
    const existing = await this.describe();
    if (existing === undefined) return [];
    const { Parameters: declared = [] } = await this.#client.send(
      new GetTemplateSummaryCommand({ StackName: this.#name }),
    );
    const defaults = new Map(declared.map(({ ParameterKey, DefaultValue }) => [ParameterKey, DefaultValue]));
    return (existing.Parameters ?? []).map(({ ParameterKey: key = '', ParameterValue: value = '' }) => ({
      key,
      value,
      isGiven: value !== defaults.get(key),
    }));
  }

  /**
   * Asks what a deployment would change, and changes nothing.
   *
   * @param templateUrl where S3 has the template
   * @param tags of the stack, which CloudFormation gives to every resource that can have some; none leaves those it has
   * @throws {StackError} when the stack is in no state to be changed, or the template does not fit
   */
  async plan(
    templateUrl: string,
    parameters: Readonly<Record<string, string>>,
    tags: Readonly<Record<string, string>> = {},
  ): Promise<Plan> {
    const existing = await this.describe();
    const status = existing?.StackStatus ?? '';
    if (status.endsWith('_IN_PROGRESS')) throw new StackError(`it is ${status}; wait until that has ended`);
    if (NEVER_WHOLE.includes(status)) {
      throw new StackError(`it is ${status} and takes no changes; remove it (npm run remove), then deploy again`);
    }
    const type = existing ? 'UPDATE' : 'CREATE';
    const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
    const { Id: changeSet } = await this.#client.send(
      new CreateChangeSetCommand({
        StackName: this.#name,
        ChangeSetName: `deploy-${Date.now()}`,
        ChangeSetType: type,
        TemplateURL: templateUrl,
        Parameters: Object.entries(parameters).map(([ParameterKey, ParameterValue]) => ({
          ParameterKey,
          ParameterValue,
        })),
        ...(Tags.length > 0 && { Tags }),
        // The roles have names of their own: access entries refer to them.
        Capabilities: ['CAPABILITY_NAMED_IAM'],
      }),
    );
    if (changeSet === undefined) throw new StackError('CloudFormation made no change set');
    const { Status, StatusReason = '', Changes = [] } = await this.#changes(changeSet);
    if (Status === 'CREATE_COMPLETE') return { type, changeSet, changes: Changes };
    const nothing = /didn't contain changes|No updates are to be performed/.test(StatusReason);
    if (nothing) return { type, changeSet, changes: [] };
    await this.abandon({ type, changeSet, changes: [] });
    throw new StackError(`no change set can be made: ${StatusReason}`);
  }

  /** Leaves nothing of a plan that is not to be executed. */
  async abandon({ type, changeSet }: Plan): Promise<void> {
    await this.#client.send(new DeleteChangeSetCommand({ ChangeSetName: changeSet, StackName: this.#name }));
    // The change set of a stack that is not there yet has made an empty one.
    if (type === 'CREATE') await this.#client.send(new DeleteStackCommand({ StackName: this.#name }));
  }

  /** @throws {StackError} with what failed, and why */
  async execute({ type, changeSet }: Plan): Promise<StackDescription> {
    await this.#client.send(new ExecuteChangeSetCommand({ ChangeSetName: changeSet, StackName: this.#name }));
    return this.#settled(this.#name, `${type}_COMPLETE`);
  }

  /** @throws {StackError} with what could not be deleted, and why */
  async delete({ StackId = this.#name }: StackDescription): Promise<void> {
    await this.#client.send(new DeleteStackCommand({ StackName: StackId }));
    await this.#settled(StackId, 'DELETE_COMPLETE');
  }

  async #describe(nameOrId: string): Promise<StackDescription | undefined> {
    try {
      const { Stacks = [] } = await this.#client.send(new DescribeStacksCommand({ StackName: nameOrId }));
      return Stacks[0];
    } catch (error) {
      if ((error as Error).name === 'ValidationError' && /does not exist/.test((error as Error).message)) return;
      throw error;
    }
  }

  async #changes(changeSet: string): Promise<DescribeChangeSetCommandOutput> {
    const ask = (NextToken?: string) =>
      this.#client.send(
        new DescribeChangeSetCommand({
          ChangeSetName: changeSet,
          StackName: this.#name,
          NextToken,
        }),
      );
    let answer = await ask();
    while (answer.Status === 'CREATE_PENDING' || answer.Status === 'CREATE_IN_PROGRESS') {
      await this.#wait();
      answer = await ask();
    }
    const Changes = [...(answer.Changes ?? [])];
    for (let page = answer; page.NextToken; ) {
      page = await ask(page.NextToken);
      Changes.push(...(page.Changes ?? []));
    }
    return { ...answer, Changes };
  }

  async #settled(nameOrId: string, wanted: string): Promise<StackDescription> {
    for (;;) {
      await this.#wait();
      const described = (await this.#describe(nameOrId)) ?? gone(nameOrId);
      if (described.StackStatus === wanted) return described;
      if (!described.StackStatus?.endsWith('_IN_PROGRESS')) {
        throw new StackError(`it is ${described.StackStatus}:\n${(await this.#failures(nameOrId)).join('\n')}`);
      }
    }
  }

  /** What failed since the last thing that somebody asked of the stack, the first failure first. */
  async #failures(nameOrId: string): Promise<string[]> {
    const failures: StackEvent[] = [];
    let token: string | undefined;
    do {
      const { StackEvents = [], NextToken } = await this.#client.send(
        new DescribeStackEventsCommand({ StackName: nameOrId, ...(token && { NextToken: token }) }),
      );
      const begin = StackEvents.findIndex(isBegin);
      failures.push(...(begin === -1 ? StackEvents : StackEvents.slice(0, begin)));
      token = begin === -1 ? NextToken : undefined;
    } while (token);
    return failures
      .filter(({ ResourceStatus = '' }) => ResourceStatus.endsWith('_FAILED'))
      .reverse()
      .map(
        ({ LogicalResourceId, ResourceType, ResourceStatus, ResourceStatusReason }) =>
          `  ${LogicalResourceId} (${ResourceType}) ${ResourceStatus}: ${ResourceStatusReason ?? 'no reason given'}`,
      );
  }
}

/** The newest events come first. */
const isBegin = ({ PhysicalResourceId, StackId, ResourceStatus }: StackEvent) =>
  PhysicalResourceId === StackId && /^(CREATE|UPDATE|DELETE)_IN_PROGRESS$/.test(ResourceStatus ?? '');

/** A stack that cannot even be described by its id any more. */
const gone = (StackName: string): StackDescription => ({
  StackName,
  StackStatus: 'DELETE_COMPLETE',
  CreationTime: new Date(0),
});
