import * as eks from '@aws-sdk/client-eks';
import { type AccessEntry, type EnrolledRole, ROLE_ID_TAG, usernameOf } from '../enrollment/enrollment.ts';
import { REAPER_GROUP } from '../kubernetes/permissions.ts';
import { type AwsClientOptions, awsClient, callAws, findInAws } from './client.ts';

/**
 * The access entries of our roles in the clusters of one Region. Access policies are never associated. Every call throws
 * {@link RetryableError}, also for a call that the status of the cluster does not allow.
 */
export function eksAccessEntries(options: AwsClientOptions) {
  const client = new eks.EKSClient(awsClient(options));
  const what = (verb: string, cluster: string, roleArn: string) =>
    `EKS could not ${verb} the access entry of ${roleArn} in ${cluster}`;
  return {
    /** @returns `undefined` without an entry */
    async describe(clusterName: string, principalArn: string): Promise<AccessEntry | undefined> {
      const command = new eks.DescribeAccessEntryCommand({ clusterName, principalArn });
      const found = await findInAws(what('describe', clusterName, principalArn), client.send(command));
      if (found === undefined) return undefined;
      const { kubernetesGroups = [], username = '', type = '', tags = {} } = found.accessEntry ?? {};
      return { groups: kubernetesGroups, username, type, tags };
    },
    /** Creates the entry with our group, and a tag with the role's unique id. */
    async create(clusterName: string, { arn: principalArn, id }: EnrolledRole): Promise<void> {
      const tags = { [ROLE_ID_TAG]: id };
      const entry = { principalArn, type: 'STANDARD', kubernetesGroups: [REAPER_GROUP], tags };
      const command = new eks.CreateAccessEntryCommand({ clusterName, ...entry });
      await callAws(what('create', clusterName, principalArn), client.send(command));
    },
    /** Sets groups and username. */
    async update(clusterName: string, { arn: principalArn }: EnrolledRole): Promise<void> {
      const entry = { principalArn, kubernetesGroups: [REAPER_GROUP], username: usernameOf(principalArn) };
      const command = new eks.UpdateAccessEntryCommand({ clusterName, ...entry });
      await callAws(what('update', clusterName, principalArn), client.send(command));
    },
    /** Also succeeds without an entry. */
    async delete(clusterName: string, { arn: principalArn }: EnrolledRole): Promise<void> {
      const command = new eks.DeleteAccessEntryCommand({ clusterName, principalArn });
      await findInAws(what('delete', clusterName, principalArn), client.send(command));
    },
  };
}
