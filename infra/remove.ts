/** `npm run remove`: deletes the stack, and on demand what `npm run deploy` put into the bucket. */
import { Command } from 'commander';
import { addStackOptions, bucketOf, orExplain, type StackOptions, stackOf } from './stack-command.ts';

interface RemoveOptions extends StackOptions {
  readonly artifacts?: true;
}

const program = addStackOptions(new Command('npm run remove --'))
  .description('Deletes the stack.')
  .option('--artifacts', 'delete also what was uploaded for it; no other stack may use the same bucket and prefix')
  .action((options: RemoveOptions) => orExplain(options, remove));
await program.parseAsync();

async function remove({ artifacts, ...options }: RemoveOptions): Promise<void> {
  const stack = stackOf(options);
  const described = await stack.describe();
  if (described === undefined) {
    console.log(`there is no stack ${options.stackName}`);
    return;
  }
  const parameter = (key: string) =>
    described.Parameters?.find(({ ParameterKey }) => ParameterKey === key)?.ParameterValue ?? '';
  await stack.delete(described);
  console.log(`stack ${options.stackName}: deleted`);

  const [bucket, prefix] = [parameter('ArtifactBucket'), parameter('ArtifactPrefix')];
  if (!artifacts) {
    console.log(`its code stays in s3://${bucket}/${prefix}, since other stacks may use it`);
    return;
  }
  for (const key of await bucketOf(options, bucket).empty(prefix)) console.log(`deleted s3://${bucket}/${key}`);
}
