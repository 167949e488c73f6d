import { type AwsRequest, type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** Answers GetRole as AWS IAM does (the query protocol: a form in, XML out). */
export class IamDouble extends ServiceDouble {
  /** The ids of the roles, by name. */
  readonly roles = new Map<string, string>();
  #denies = false;

  deny(): void {
    this.#denies = true;
  }

  protected override answer(_request: AwsRequest, body: string): ServiceAnswer {
    const form = new URLSearchParams(body);
    const name = form.get('RoleName') ?? '';
    const id = this.roles.get(name);
    if (this.#denies) return failure(403, 'AccessDenied', 'not authorized to perform: iam:GetRole');
    if (form.get('Action') !== 'GetRole') return failure(400, 'InvalidAction', 'unknown');
    if (id === undefined) return failure(404, 'NoSuchEntity', `The role with name ${name} cannot be found.`);
    return {
      status: 200,
      body: `<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRoleResult><Role><Path>/</Path><RoleName>${name}</RoleName><RoleId>${id}</RoleId><Arn>arn:aws:iam::123456789012:role/${name}</Arn><CreateDate>2026-11-01T00:00:00Z</CreateDate></Role></GetRoleResult></GetRoleResponse>`,
    };
  }
}

const failure = (status: number, code: string, message: string): ServiceAnswer => ({
  status,
  body: `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>request-1</RequestId></ErrorResponse>`,
});
