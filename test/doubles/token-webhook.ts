import type { User } from '../embedded-cluster/authorization.ts';
import { type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** Answers the TokenReviews of a kube-apiserver as aws-iam-authenticator does for EKS. */
export class TokenWebhookDouble extends ServiceDouble {
  readonly #userOf: (token: string) => User | undefined;

  /** @param userOf the user of a token, or `undefined` to refuse it */
  constructor(userOf: (token: string) => User | undefined) {
    super();
    this.#userOf = userOf;
  }

  protected override answer(_request: unknown, body: string): ServiceAnswer {
    const { apiVersion, kind, spec } = JSON.parse(body);
    const user = this.#userOf(spec.token);
    return { status: 200, body: { apiVersion, kind, status: user ? { authenticated: true, user } : {} } };
  }
}
