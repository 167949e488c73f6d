import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundle } from '../../infra/bundle.ts';
import { propertiesOf, readTemplate, resourcesOf } from '../builders/packaged-stack.ts';
import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import { packageWith } from '../infra/packaged.ts';

/** A function of the packaged template, with what decides how it runs. */
export interface PackagedFunction {
  readonly name: 'forward' | 'reap';
  /** The URL of the bundle. */
  readonly bundle: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Milliseconds. */
  readonly timeout: number;
  /** MiB. */
  readonly memory: number;
}

/** The numbers of the packaged template that the path of an event depends on. Times are in milliseconds. */
export interface Stack {
  readonly forward: PackagedFunction;
  readonly reap: PackagedFunction;
  /** How often Lambda invokes `forward` again with a payload that failed. */
  readonly forwardRetries: number;
  readonly filterPattern: string;
  readonly rule: Readonly<Record<'source' | 'detail-type', readonly string[]>>;
  readonly queue: Readonly<Record<'delay' | 'visibilityTimeout' | 'maxReceiveCount', number>>;
  readonly batches: Readonly<Record<'size' | 'window' | 'concurrency', number>>;
}

/** Packages the product as a person does, in mode `delete`, and reads the template. */
export async function packagedStack(folder: string, clusters: readonly string[]): Promise<Stack> {
  // Without `enroll`, the template has the subscription filters.
  const packaging = await packageWith(folder, 'load', { mode: 'delete', enrollment: 'off', clusters });
  await bundle(join(folder, 'bundles'));
  const template = readTemplate(packaging.folder);
  const properties = (id: string) => propertiesOf(template, id);
  const resolve = (value: string | { Ref: string }): string => {
    if (typeof value === 'string') return value;
    if (value.Ref === 'AWS::AccountId') return ACCOUNT;
    return String(template.Parameters[value.Ref]?.Default ?? properties(value.Ref).Name);
  };
  const functionOf = (name: 'forward' | 'reap', id: string): PackagedFunction => {
    const { Environment, Timeout, MemorySize } = properties(id);
    const variables = Object.entries<string | { Ref: string }>(Environment.Variables);
    return {
      name,
      bundle: pathToFileURL(join(folder, 'bundles', name, 'handler.mjs')).href,
      environment: Object.fromEntries([['AWS_REGION', REGION], ...variables.map(([key, to]) => [key, resolve(to)])]),
      timeout: Timeout * 1000,
      memory: MemorySize,
    };
  };
  const queue = properties('ChangeQueue');
  const source = properties('ReapEventSourceMappingSQSChangeQueue');
  const filters = resourcesOf(template, 'AWS::Logs::SubscriptionFilter');
  if (filters.length !== clusters.length) throw new Error(`the template has ${filters.length} subscription filters`);
  if (!source.FunctionResponseTypes.includes('ReportBatchItemFailures')) {
    throw new Error('Lambda would delete every message of a batch that does not throw');
  }
  return {
    forward: functionOf('forward', 'ForwardLambdaFunction'),
    reap: functionOf('reap', 'ReapLambdaFunction'),
    forwardRetries: properties('ForwardLambdaEvConf').MaximumRetryAttempts,
    filterPattern: filters[0]?.[1].Properties.FilterPattern,
    rule: properties('ChangeRule').EventPattern,
    queue: {
      delay: queue.DelaySeconds * 1000,
      visibilityTimeout: queue.VisibilityTimeout * 1000,
      maxReceiveCount: queue.RedrivePolicy.maxReceiveCount,
    },
    batches: {
      size: source.BatchSize,
      window: source.MaximumBatchingWindowInSeconds * 1000,
      concurrency: source.ScalingConfig.MaximumConcurrency,
    },
  };
}
