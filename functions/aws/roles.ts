import { GetRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import { callAws } from './access-error.ts';
import { type AwsClientOptions, awsClient } from './client-options.ts';

/** The roles of the account in IAM. */
export interface Roles {
  /**
   * The unique id (`AROA…`) of a role, read once.
   *
   * @returns `undefined` without such a role
   * @throws {RetryableError} when IAM cannot be asked
   */
  idOf(arn: string): Promise<string | undefined>;
}

/** @param options of the Region only the partition matters */
export function iamRoles(options: AwsClientOptions): Roles {
  const client = new IAMClient(awsClient(options));
  const ids = new Map<string, Promise<string | undefined>>();
  const read = (RoleName: string) =>
    callAws(
      `IAM could not read role ${RoleName}`,
      async () => (await client.send(new GetRoleCommand({ RoleName }))).Role?.RoleId,
      { NoSuchEntityException: undefined },
    );
  return {
    idOf(arn) {
      const id = ids.get(arn) ?? read(arn.split('/').at(-1) ?? '');
      ids.set(arn, id);
      return id;
    },
  };
}
