import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** Answers GetRole as AWS IAM does (the query protocol: a form in, XML out). A client finds it by AWS_ENDPOINT_URL_IAM. */
export class IamDouble {
  /** The ids of the roles, by name. */
  readonly roles = new Map<string, string>();
  #denies = false;
  readonly #server = createServer(async (request, response) => {
    const form = new URLSearchParams(await text(request));
    const name = form.get('RoleName') ?? '';
    const id = this.roles.get(name);
    const [status, body] = this.#denies
      ? [403, error('AccessDenied', 'not authorized to perform: iam:GetRole')]
      : form.get('Action') !== 'GetRole'
        ? [400, error('InvalidAction', 'this double knows GetRole only')]
        : id === undefined
          ? [404, error('NoSuchEntity', `The role with name ${name} cannot be found.`)]
          : [200, role(name, id)];
    response.writeHead(status, { 'content-type': 'text/xml' }).end(body);
  });

  /** @returns the URL that it answers on */
  async start(): Promise<string> {
    await new Promise<void>((listening) => this.#server.listen(0, '127.0.0.1', listening));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  deny(): void {
    this.#denies = true;
  }
}

const NAMESPACE = 'xmlns="https://iam.amazonaws.com/doc/2010-05-08/"';

const error = (code: string, message: string) =>
  `<ErrorResponse ${NAMESPACE}><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>${randomUUID()}</RequestId></ErrorResponse>`;

const role = (name: string, id: string) =>
  `<GetRoleResponse ${NAMESPACE}><GetRoleResult><Role><Path>/</Path><RoleName>${name}</RoleName><RoleId>${id}</RoleId><Arn>arn:aws:iam::123456789012:role/${name}</Arn><CreateDate>2026-11-01T00:00:00Z</CreateDate></Role></GetRoleResult><ResponseMetadata><RequestId>${randomUUID()}</RequestId></ResponseMetadata></GetRoleResponse>`;
