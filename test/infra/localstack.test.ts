import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { EksAccountDouble } from '../doubles/eks.ts';
import { LocalStack } from './localstack.ts';
import { readTemplate, resourcesOf } from './packaged.ts';

/*
 * The packaged template as it is, in LocalStack. What LocalStack does not have:
 */
const NOT_IN_LOCALSTACK = [
  'AWS::CloudFormation::CustomResource',
  'AWS::CloudWatch::Dashboard',
  'AWS::Logs::QueryDefinition',
  'AWS::Logs::ResourcePolicy',
];

const { bin, localStack: python } = inject('tools');
const packaging = inject('packagings').find(({ configuration }) => configuration === 'everything');
if (packaging === undefined) throw new Error('the configuration with everything was not packaged');
const template = readTemplate(packaging);

const eks = new EksAccountDouble();
let localStack: LocalStack;
beforeAll(async () => {
  localStack = await LocalStack.start(python, bin, await eks.start());
  await localStack.createBucket();
  await localStack.upload(packaging);
  await localStack.deploy('CREATE', { SubnetIds: 'off', SecurityGroupIds: 'off' });
});
afterAll(async () => {
  await localStack?.stop();
  await eks.stop();
});

test('every resource of the template is created, or is of a type that LocalStack does not have', async () => {
  const { StackResourceSummaries: summaries } = await localStack.aws<{
    StackResourceSummaries: { LogicalResourceId: string; ResourceStatus: string }[];
  }>('cloudformation', 'list-stack-resources', '--stack-name', 'envoy-hpa-reaper');
  expect(Object.fromEntries(summaries.map((each) => [each.LogicalResourceId, each.ResourceStatus]))).toEqual(
    Object.fromEntries(Object.keys(template.Resources).map((id) => [id, 'CREATE_COMPLETE'])),
  );
  const excuses = (await localStack.stackEvents()).map(
    (each) => `${each.LogicalResourceId}: ${each.ResourceStatusReason}`,
  );
  const unsupported = NOT_IN_LOCALSTACK.flatMap((type) =>
    resourcesOf(template, type).map(
      ([id]) => `${id}: Resource type ${type} is not supported but was deployed as a fallback`,
    ),
  );
  expect(excuses.filter((excuse) => !excuse.startsWith('envoy-hpa-reaper:')).toSorted()).toEqual(
    unsupported.toSorted(),
  );
});
