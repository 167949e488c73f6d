import { GetRoleCommand, IAMClient, NoSuchEntityException } from '@aws-sdk/client-iam';
import { awsError } from './access-error.ts';
import { type AwsClientOptions, awsClient } from './client-options.ts';

/** The roles of the account in IAM. */
export interface Roles {
  /**
   * @returns the unique id (`AROA…`) of the role; `undefined` without such a role
   * @throws {RetryableError} when IAM cannot be asked
   */
  idOf(arn: string): Promise<string | undefined>;
}

/** By IAM's GetRole, once for each role. */
export class IamRoles implements Roles {
  readonly #client: IAMClient;
  readonly #ids = new Map<string, Promise<string | undefined>>();

  /** @param options of the Region only the partition matters */
  constructor(options: AwsClientOptions) {
    this.#client = new IAMClient(awsClient(options));
  }

  idOf(arn: string): Promise<string | undefined> {
    const id = this.#ids.get(arn) ?? this.#ask(arn.split('/').at(-1) ?? '');
    this.#ids.set(arn, id);
    return id;
  }

  async #ask(name: string): Promise<string | undefined> {
    try {
      const { Role } = await this.#client.send(new GetRoleCommand({ RoleName: name }));
      return Role?.RoleId;
    } catch (error) {
      if (error instanceof NoSuchEntityException) return undefined;
      throw awsError(`IAM could not read role ${name}`, error);
    }
  }
}
