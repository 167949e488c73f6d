import {
  CreateAccessEntryCommand,
  DeleteAccessEntryCommand,
  DescribeAccessEntryCommand,
  EKSClient,
  UpdateAccessEntryCommand,
} from '@aws-sdk/client-eks';
import { type AccessEntry, type EnrolledRole, ROLE_ID_TAG, usernameOf } from '../enrollment/enrollment.ts';
import { REAPER_GROUP } from '../kubernetes/permissions.ts';
import { callAws } from './access-error.ts';
import { type AwsClientOptions, awsClient } from './client-options.ts';

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
  const NO_ENTRY = { ResourceNotFoundException: undefined };
  const what = (verb: string, cluster: string, roleArn: string) =>
    `EKS could not ${verb} the access entry of ${roleArn} in ${cluster}`;
  return {
    describe: (clusterName, principalArn) =>
      callAws<AccessEntry | undefined>(
        what('describe', clusterName, principalArn),
        async () => {
          const { accessEntry = {} } = await client.send(new DescribeAccessEntryCommand({ clusterName, principalArn }));
          const { kubernetesGroups = [], username = '', type = '', tags = {} } = accessEntry;
          return { groups: kubernetesGroups, username, type, tags };
        },
        NO_ENTRY,
      ),
    create: (clusterName, { arn: principalArn, id }) =>
      callAws(what('create', clusterName, principalArn), async () => {
        const tags = { [ROLE_ID_TAG]: id };
        const entry = { principalArn, type: 'STANDARD', kubernetesGroups: [REAPER_GROUP], tags };
        await client.send(new CreateAccessEntryCommand({ clusterName, ...entry }));
      }),
    update: (clusterName, role) =>
      callAws(what('update', clusterName, role.arn), async () => {
        const entry = { principalArn: role.arn, kubernetesGroups: [REAPER_GROUP], username: usernameOf(role.arn) };
        await client.send(new UpdateAccessEntryCommand({ clusterName, ...entry }));
      }),
    delete: (clusterName, { arn: principalArn }) =>
      callAws(
        what('delete', clusterName, principalArn),
        async () => {
          await client.send(new DeleteAccessEntryCommand({ clusterName, principalArn }));
        },
        NO_ENTRY,
      ),
  };
}
