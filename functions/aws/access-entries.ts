import {
  CreateAccessEntryCommand,
  DeleteAccessEntryCommand,
  DescribeAccessEntryCommand,
  EKSClient,
  ResourceNotFoundException,
  UpdateAccessEntryCommand,
} from '@aws-sdk/client-eks';
import { type AccessEntry, type EnrolledRole, ROLE_ID_TAG, usernameOf } from '../enrollment/enrollment.ts';
import { REAPER_GROUP } from '../kubernetes/permissions.ts';
import { awsError } from './access-error.ts';
import { type AwsClientOptions, awsClient } from './client-options.ts';

/** The access entries of our roles in the clusters of one Region. Access policies are never associated. */
export interface AccessEntries {
  /**
   * @returns `undefined` where there is none
   * @throws {RetryableError} when EKS cannot be asked, as the others do
   */
  describe(cluster: string, role: Pick<EnrolledRole, 'arn'>): Promise<AccessEntry | undefined>;
  /** With our group, and a tag with the role's unique id. */
  create(cluster: string, role: EnrolledRole): Promise<void>;
  /** Puts groups and username right. */
  update(cluster: string, role: EnrolledRole): Promise<void>;
  /** One that is not there is deleted. */
  delete(cluster: string, role: EnrolledRole): Promise<void>;
}

/**
 * By the EKS API. Where the status of the cluster or its authentication mode does not allow a call, EKS answers
 * `InvalidRequestException` (API reference): a `RetryableError`, as everything but a refusal of access, an `AwsAccessError`.
 */
export class EksAccessEntries implements AccessEntries {
  readonly #client: EKSClient;

  constructor(options: AwsClientOptions) {
    this.#client = new EKSClient(awsClient(options));
  }

  async describe(
    clusterName: string,
    { arn: principalArn }: Pick<EnrolledRole, 'arn'>,
  ): Promise<AccessEntry | undefined> {
    try {
      const { accessEntry = {} } = await this.#client.send(
        new DescribeAccessEntryCommand({ clusterName, principalArn }),
      );
      const { kubernetesGroups = [], username = '', type = '', tags = {} } = accessEntry;
      return { groups: kubernetesGroups, username, type, tags };
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return undefined;
      throw awsError(`EKS could not describe the access entry of ${principalArn} in ${clusterName}`, error);
    }
  }

  async create(clusterName: string, { arn: principalArn, id }: EnrolledRole): Promise<void> {
    try {
      await this.#client.send(
        new CreateAccessEntryCommand({
          clusterName,
          principalArn,
          type: 'STANDARD',
          kubernetesGroups: [REAPER_GROUP],
          tags: { [ROLE_ID_TAG]: id },
        }),
      );
    } catch (error) {
      throw awsError(`EKS could not create the access entry of ${principalArn} in ${clusterName}`, error);
    }
  }

  async update(clusterName: string, role: EnrolledRole): Promise<void> {
    try {
      await this.#client.send(
        new UpdateAccessEntryCommand({
          clusterName,
          principalArn: role.arn,
          kubernetesGroups: [REAPER_GROUP],
          username: usernameOf(role),
        }),
      );
    } catch (error) {
      throw awsError(`EKS could not update the access entry of ${role.arn} in ${clusterName}`, error);
    }
  }

  async delete(clusterName: string, { arn: principalArn }: EnrolledRole): Promise<void> {
    try {
      await this.#client.send(new DeleteAccessEntryCommand({ clusterName, principalArn }));
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return;
      throw awsError(`EKS could not delete the access entry of ${principalArn} in ${clusterName}`, error);
    }
  }
}
