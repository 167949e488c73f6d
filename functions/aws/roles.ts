import { GetRoleCommand, IAMClient, NoSuchEntityException } from '@aws-sdk/client-iam';
import { awsError } from './access-error.ts';
import { type AwsClientOptions, awsClient } from './client-options.ts';

/** The roles of the account, as IAM has them. */
export interface Roles {
  /**
   * @returns the unique id (`AROA…`) of the role of this name; `undefined` where there is none
   * @throws {RetryableError} when IAM cannot be asked
   */
  idOf(name: string): Promise<string | undefined>;
}

/** By IAM's GetRole, which takes the name without its path. */
export class IamRoles implements Roles {
  readonly #client: IAMClient;

  /** @param options of the Region only the partition matters */
  constructor(options: AwsClientOptions) {
    this.#client = new IAMClient(awsClient(options));
  }

  async idOf(name: string): Promise<string | undefined> {
    try {
      const { Role } = await this.#client.send(new GetRoleCommand({ RoleName: name }));
      return Role?.RoleId;
    } catch (error) {
      if (error instanceof NoSuchEntityException) return undefined;
      throw awsError(`IAM could not tell the id of role ${name}`, error);
    }
  }
}
