import type { IncomingMessage } from 'node:http';
import { queryRefusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** Answers GetRole as AWS IAM does (the query protocol: a form in, XML out). */
export class IamDouble extends ServiceDouble {
  /** The ids of the roles, by name. */
  readonly roles = new Map<string, string>();
  #denies = false;

  deny(): void {
    this.#denies = true;
  }

  protected override answer(_request: Pick<IncomingMessage, 'headers'>, body: string): ServiceAnswer {
    const form = new URLSearchParams(body);
    const name = form.get('RoleName') ?? '';
    const id = this.roles.get(name);
    if (this.#denies) return queryRefusal(403, 'AccessDenied', 'not authorized to perform: iam:GetRole');
    if (form.get('Action') !== 'GetRole') return queryRefusal(400, 'InvalidAction');
    if (id === undefined) return queryRefusal(404, 'NoSuchEntity', `The role with name ${name} cannot be found.`);
    return { status: 200, body: role(name, id) };
  }
}

const role = (name: string, id: string) =>
  `<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRoleResult><Role><Path>/</Path><RoleName>${name}</RoleName><RoleId>${id}</RoleId><Arn>arn:aws:iam::123456789012:role/${name}</Arn><CreateDate>2026-11-01T00:00:00Z</CreateDate></Role></GetRoleResult></GetRoleResponse>`;
