import type { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { expect, it } from 'vitest';
import { Stack } from '../../../infra/stack.ts';

type Answer = object | Error;

const absent = () => Object.assign(new Error('Stack with id mine does not exist'), { name: 'ValidationError' });
const stack = (StackStatus: string) => ({ Stacks: [{ StackName: 'mine', StackId: 'arn:mine', StackStatus }] });
const event = (LogicalResourceId: string, ResourceStatus: string, ResourceStatusReason?: string) => ({
  StackId: 'arn:mine',
  LogicalResourceId,
  ResourceStatus,
  ResourceStatusReason,
  ResourceType: 'AWS::Some::Thing',
  PhysicalResourceId: LogicalResourceId === 'mine' ? 'arn:mine' : LogicalResourceId,
});

/** CloudFormation answers in this order, and to nothing else. */
function against(...answers: [command: string, answer: Answer][]) {
  const sent: [string, object][] = [];
  let waits = 0;
  const client = {
    send: async (command: { input: object }) => {
      const [name, answer] = answers.shift() ?? ['nothing', {}];
      sent.push([command.constructor.name, command.input]);
      expect(command.constructor.name).toBe(`${name}Command`);
      if (answer instanceof Error) throw answer;
      return answer;
    },
  } as unknown as CloudFormationClient;
  const wait = async () => {
    waits += 1;
  };
  return { stack: new Stack(client, 'mine', wait), sent, left: answers, waits: () => waits };
}

it('updates with a change set, and waits until CloudFormation is done', async () => {
  const {
    stack: mine,
    sent,
    left,
    waits,
  } = against(
    ['DescribeStacks', stack('UPDATE_ROLLBACK_COMPLETE')],
    ['CreateChangeSet', { Id: 'arn:set' }],
    ['DescribeChangeSet', { Status: 'CREATE_PENDING' }],
    ['DescribeChangeSet', { Status: 'CREATE_IN_PROGRESS' }],
    ['DescribeChangeSet', { Status: 'CREATE_COMPLETE', Changes: [{ Type: 'Resource' }], NextToken: 'more' }],
    ['DescribeChangeSet', { Status: 'CREATE_COMPLETE', Changes: [{}] }],
    ['ExecuteChangeSet', {}],
    ['DescribeStacks', stack('UPDATE_IN_PROGRESS')],
    ['DescribeStacks', stack('UPDATE_COMPLETE_CLEANUP_IN_PROGRESS')],
    ['DescribeStacks', stack('UPDATE_COMPLETE')],
  );
  const plan = await mine.plan('https://bucket/template.json', { ArtifactBucket: 'bucket' }, { team: 'platform' });
  expect(plan).toEqual({ type: 'UPDATE', changeSet: 'arn:set', changes: [{ Type: 'Resource' }, {}] });
  await expect(mine.execute(plan)).resolves.toMatchObject({ StackStatus: 'UPDATE_COMPLETE' });
  expect(left).toEqual([]);
  expect(waits()).toBe(5);
  expect(sent[1]?.[1]).toEqual({
    StackName: 'mine',
    ChangeSetName: expect.stringMatching(/^deploy-\d+$/),
    ChangeSetType: 'UPDATE',
    TemplateURL: 'https://bucket/template.json',
    Parameters: [{ ParameterKey: 'ArtifactBucket', ParameterValue: 'bucket' }],
    Tags: [{ Key: 'team', Value: 'platform' }],
    Capabilities: ['CAPABILITY_NAMED_IAM'],
  });
  expect(sent[5]?.[1]).toMatchObject({ NextToken: 'more' });
});

it.each([
  ["The submitted information didn't contain changes. Submit different information to create a change set."],
  ['No updates are to be performed.'],
])('knows that there is nothing to do: %s', async (StatusReason) => {
  const {
    stack: mine,
    sent,
    left,
  } = against(
    ['DescribeStacks', stack('UPDATE_COMPLETE')],
    ['CreateChangeSet', { Id: 'arn:set' }],
    ['DescribeChangeSet', { Status: 'FAILED', StatusReason, Changes: [] }],
    ['DeleteChangeSet', {}],
  );
  const plan = await mine.plan('url', {}, {});
  expect(plan.changes).toEqual([]);
  // Without any tags to give it leaves those that the stack has.
  expect(sent[1]?.[1]).not.toHaveProperty('Tags');
  await mine.abandon(plan);
  expect(left).toEqual([]);
});

it.each([
  ['absent', absent()],
  ['planned once', stack('REVIEW_IN_PROGRESS')],
])('leaves no empty stack of a plan for one that was %s', async (_what, described) => {
  const {
    stack: mine,
    sent,
    left,
  } = against(
    ['DescribeStacks', described],
    ['CreateChangeSet', { Id: 'arn:set' }],
    ['DescribeChangeSet', { Status: 'FAILED', StatusReason: 'Template error' }],
    ['DeleteChangeSet', {}],
    ['DeleteStack', {}],
  );
  await expect(mine.plan('url', {})).rejects.toThrow('no change set can be made: Template error');
  expect(sent[1]?.[1]).toMatchObject({ ChangeSetType: 'CREATE' });
  expect(left).toEqual([]);
});

it.each([
  ['UPDATE_IN_PROGRESS', 'wait until that has ended'],
  ['ROLLBACK_COMPLETE', 'remove it (npm run remove), then deploy again'],
])('asks for no change of a stack that is %s', async (status, remedy) => {
  const { stack: mine, left } = against(['DescribeStacks', stack(status)]);
  await expect(mine.plan('url', {})).rejects.toThrow(remedy);
  expect(left).toEqual([]);
});

it('tells what failed in this deployment, the first failure first, and nothing of earlier ones', async () => {
  const { stack: mine, left } = against(
    ['ExecuteChangeSet', {}],
    ['DescribeStacks', stack('ROLLBACK_IN_PROGRESS')],
    ['DescribeStacks', stack('ROLLBACK_COMPLETE')],
    [
      'DescribeStackEvents',
      {
        StackEvents: [event('mine', 'ROLLBACK_COMPLETE'), event('Bus', 'CREATE_FAILED', 'Resource creation cancelled')],
        NextToken: 'more',
      },
    ],
    [
      'DescribeStackEvents',
      {
        StackEvents: [
          event('Role', 'CREATE_FAILED', 'exists already'),
          event('Role', 'CREATE_IN_PROGRESS'),
          event('mine', 'CREATE_IN_PROGRESS', 'User Initiated'),
          event('Old', 'DELETE_FAILED', 'long ago'),
        ],
        NextToken: 'older',
      },
    ],
  );
  await expect(mine.execute({ type: 'CREATE', changeSet: 'arn:set', changes: [] })).rejects.toThrow(
    'it is ROLLBACK_COMPLETE:\n  Role (AWS::Some::Thing) CREATE_FAILED: exists already\n' +
      '  Bus (AWS::Some::Thing) CREATE_FAILED: Resource creation cancelled',
  );
  expect(left).toEqual([]);
});

it.each([
  ['its id is still known', stack('DELETE_COMPLETE')],
  ['nothing is known of it any more', absent()],
])('is deleted when %s', async (_what, described) => {
  const {
    stack: mine,
    sent,
    left,
  } = against(['DeleteStack', {}], ['DescribeStacks', stack('DELETE_IN_PROGRESS')], ['DescribeStacks', described]);
  await mine.delete({
    StackName: 'mine',
    StackId: 'arn:mine',
    StackStatus: 'CREATE_COMPLETE',
    CreationTime: new Date(),
  });
  expect(sent.map(([, input]) => input)).toEqual(Array(3).fill({ StackName: 'arn:mine' }));
  expect(left).toEqual([]);
});

it('passes on what it does not understand', async () => {
  const denied = Object.assign(new Error('not allowed'), { name: 'AccessDenied' });
  await expect(against(['DescribeStacks', denied]).stack.describe()).rejects.toBe(denied);
});
