import type { User } from './authorization.ts';
import type { KubernetesObject } from './objects.ts';
import { isDryRun, type ResourceRequest } from './resource-request.ts';
import { deniedByWebhook } from './status.ts';

/** What an admission webhook is asked, in short. */
export interface AdmissionReview {
  operation: 'CREATE' | 'UPDATE' | 'DELETE';
  resource: string;
  subresource?: string;
  namespace?: string;
  name: string;
  object?: KubernetesObject;
  oldObject?: KubernetesObject;
  user: User;
  dryRun: boolean;
}

/** A denial, or nothing to let the request pass. */
export type Admission = (
  review: AdmissionReview,
) => undefined | { webhook: string; code: number; reason?: string; message: string };

/** Asks the webhook, if there is one, and throws its denial. */
export function admit(
  admission: Admission | undefined,
  request: ResourceRequest,
  operation: AdmissionReview['operation'],
  object: KubernetesObject | undefined,
  oldObject: KubernetesObject | undefined,
): void {
  const { type, namespace, subresource, user } = request;
  const denial = admission?.({
    operation,
    resource: type.plural,
    ...(subresource !== undefined && { subresource }),
    ...(namespace !== undefined && { namespace }),
    name: (object ?? oldObject)?.metadata.name ?? '',
    ...(object && { object }),
    ...(oldObject && { oldObject }),
    user,
    dryRun: isDryRun(request),
  });
  if (denial) throw deniedByWebhook(denial);
}
