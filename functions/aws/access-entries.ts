import {
  CreateAccessEntryCommand,
  DeleteAccessEntryCommand,
  DescribeAccessEntryCommand,
  EKSClient,
  UpdateAccessEntryCommand,
} from '@aws-sdk/client-eks';
import { type AccessEntry, type EnrolledRole, ROLE_ID_TAG, usernameOf } from '../enrollment/enrollment.ts';
import { REAPER_GROUP } from '../kubernetes/permissions.ts';
import { type AwsClientOptions, awsClient, callAws, findInAws } from './client.ts';

/** The access entries of our roles in the clusters of one Region. Access policies are never associated. */
export interface AccessEntries {
  /**
   * @returns `undefined` without an entry
   * @throws {RetryableError} as the other calls; EKS also refuses calls that the status of the cluster does not allow
   */
  describe(cluster: string, roleArn: string): Promise<AccessEntry | undefined>;
  /** Creates the entry with our group, and a tag with the role's unique id. */
  create(cluster: string, role: EnrolledRole): Promise<void>;
  /** Sets groups and username. */
  update(cluster: string, role: EnrolledRole): Promise<void>;
  /** Succeeds also without an entry. */
  delete(cluster: string, role: EnrolledRole): Promise<void>;
}

export function eksAccessEntries(options: AwsClientOptions): AccessEntries {
  const client = new EKSClient(awsClient(options));
  const what = (verb: string, cluster: string, roleArn: string) =>
    `EKS could not ${verb} the access entry of ${roleArn} in ${cluster}`;
  return {
    async describe(clusterName, principalArn) {
      const command = new DescribeAccessEntryCommand({ clusterName, principalArn });
      const found = await findInAws(what('describe', clusterName, principalArn), client.send(command));
      if (found === undefined) return undefined;
      const { kubernetesGroups = [], username = '', type = '', tags = {} } = found.accessEntry ?? {};
      return { groups: kubernetesGroups, username, type, tags };
    },
    async create(clusterName, { arn: principalArn, id }) {
      const tags = { [ROLE_ID_TAG]: id };
      const entry = { principalArn, type: 'STANDARD', kubernetesGroups: [REAPER_GROUP], tags };
      const command = new CreateAccessEntryCommand({ clusterName, ...entry });
      await callAws(what('create', clusterName, principalArn), client.send(command));
    },
    async update(clusterName, role) {
      const entry = { principalArn: role.arn, kubernetesGroups: [REAPER_GROUP], username: usernameOf(role.arn) };
      const command = new UpdateAccessEntryCommand({ clusterName, ...entry });
      await callAws(what('update', clusterName, role.arn), client.send(command));
    },
    async delete(clusterName, { arn: principalArn }) {
      const command = new DeleteAccessEntryCommand({ clusterName, principalArn });
      await findInAws(what('delete', clusterName, principalArn), client.send(command));
    },
  };
}
