import { afterAll } from 'vitest';
import { EksAccountDouble, readEksToken } from '../doubles/eks.ts';
import { IamDouble } from '../doubles/iam.ts';
import { SubscriptionFiltersDouble } from '../doubles/subscription-filters.ts';
import { admin, type EmbeddedClusterOptions } from '../embedded-cluster/embedded-cluster.ts';
import { awsEnvironment, serveUntilEnd } from './cli-harness.ts';
import { BACKFILL, REAP } from './enroll-harness.ts';
import type { List } from './harness.ts';

export type CliAccount = Awaited<ReturnType<typeof startAccount>>;

const doubles: { stop(): Promise<void> }[] = [];
afterAll(async () => void (await Promise.all(doubles.map((double) => double.stop()))));

/** An account with the roles of the stack and one cluster, `shop`, that nobody has enrolled and that authorizes the person. */
export async function startAccount(list: List, options: EmbeddedClusterOptions = {}) {
  const [eks, logs, iam] = [new EksAccountDouble(), new SubscriptionFiltersDouble(), new IamDouble()];
  doubles.push(eks, logs, iam);
  for (const { arn, id } of [REAP, BACKFILL]) iam.roles.set(arn.split('/')[1] as string, id);
  const env = awsEnvironment({ EKS: await eks.start(), CLOUDWATCH_LOGS: await logs.start(), IAM: await iam.start() });
  const isGood = (token: string) =>
    token === 'admin-token' || readEksToken(token)?.isGoodFor('shop', env.AWS_SECRET_ACCESS_KEY ?? '');
  const cluster = await serveUntilEnd(list, { users: (token) => (isGood(token) ? admin : undefined), ...options });
  const shop = eks.add('shop', { endpoint: cluster.url, ca: cluster.caCertificate });
  return { eks, logs, iam, env, cluster, shop };
}
