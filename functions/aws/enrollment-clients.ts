import { GetRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import { eksAccessEntries } from './access-entries.ts';
import { type AwsClientOptions, awsClient, findInAws } from './client.ts';
import { cloudWatchLogsFilters } from './subscription-filters.ts';

export type EnrollmentClients = ReturnType<typeof enrollmentClients>;

/** The clients with which the commands `doctor` and `enroll` read and write the enrollment of the clusters of one Region. */
export const enrollmentClients = (options: AwsClientOptions) => ({
  entries: eksAccessEntries(options),
  filters: cloudWatchLogsFilters(options),
  roles: iamRoles(options),
});

function iamRoles(options: AwsClientOptions) {
  const client = new IAMClient(awsClient(options));
  const ids = new Map<string, Promise<string | undefined>>();
  const read = async (RoleName: string) => {
    const found = await findInAws(`IAM could not read role ${RoleName}`, client.send(new GetRoleCommand({ RoleName })));
    return found?.Role?.RoleId;
  };
  return {
    /**
     * The unique id (`AROA…`) of a role, read once.
     *
     * @returns `undefined` without such a role
     * @throws {RetryableError} if IAM does not respond
     */
    idOf(arn: string): Promise<string | undefined> {
      const id = ids.get(arn) ?? read(arn.split('/').at(-1) ?? '');
      ids.set(arn, id);
      return id;
    },
  };
}
