import type { User } from '../../functions/cli/embedded-cluster/authorization.ts';
import { readEksToken } from './eks.ts';
import { type ServiceAnswer, ServiceDouble } from './service-double.ts';

/**
 * Answers the TokenReviews of a kube-apiserver as aws-iam-authenticator does for EKS: a token is good for the cluster that
 * it was signed for, and whom it lets in is up to that cluster's access entries.
 */
export class TokenWebhookDouble extends ServiceDouble {
  readonly #secretAccessKey: string;
  readonly #users: Readonly<Record<string, User>>;
  /** The clusters whose tokens were let in, in the order of arrival. */
  readonly letIn: string[] = [];

  /** @param users whom a token for a cluster is, by the cluster's name */
  constructor(secretAccessKey: string, users: Readonly<Record<string, User>>) {
    super();
    this.#secretAccessKey = secretAccessKey;
    this.#users = users;
  }

  protected override answer(_request: unknown, body: string): ServiceAnswer {
    const { apiVersion, kind, spec } = JSON.parse(body) as {
      apiVersion: string;
      kind: string;
      spec: { token: string };
    };
    const token = readEksToken(spec.token);
    const cluster = Object.keys(this.#users).find((name) => token?.isGoodFor(name, this.#secretAccessKey));
    if (cluster !== undefined) this.letIn.push(cluster);
    const user = cluster !== undefined && this.#users[cluster];
    return { status: 200, body: { apiVersion, kind, status: user ? { authenticated: true, user } : {} } };
  }
}
