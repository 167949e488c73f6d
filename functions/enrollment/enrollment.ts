/** The subscription filter that enrollment creates, updates and deletes; it never touches a filter of another name. */
export const FILTER_NAME = 'envoy-hpa-reaper';
/**
 * The filter that the stack itself has for each listed cluster while `enrollment` is `off`. The names differ, so that switching
 * from one to the other never deletes a filter that the other has just created.
 */
export const STATIC_FILTER_NAME = 'envoy-hpa-reaper-static';
/** The tag of an access entry with the unique id of the role that it was created for. */
export const ROLE_ID_TAG = 'envoy-hpa-reaper/role-id';

export interface SubscriptionFilter {
  readonly name: string;
  readonly pattern: string;
  readonly destinationArn: string;
}

export interface AccessEntry {
  readonly groups: readonly string[];
  readonly username: string;
  readonly type: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** A role of the stack that the clusters authorize. */
export interface EnrolledRole {
  readonly arn: string;
  /** IAM's unique id (`AROA…`): a role that is deleted and created again keeps its ARN and gets another id. */
  readonly id: string;
}

/** The functions whose roles have access entries. */
export const ROLES = ['reap', 'backfill'] as const;
type Role = (typeof ROLES)[number];

/** The ARNs of the stack in a cluster's account and Region, by the names that it is deployed with (infra/roles.yml). */
export function stackOf(clusterArn: string): { destinationArn: string; roleArns: Readonly<Record<Role, string>> } {
  const [, partition, , region, account] = clusterArn.split(':');
  const arnOf = (role: Role) => `arn:${partition}:iam::${account}:role/envoy-hpa-reaper-${role}-${region}`;
  return {
    destinationArn: `arn:${partition}:lambda:${region}:${account}:function:envoy-hpa-reaper-forward`,
    roleArns: { reap: arnOf('reap'), backfill: arnOf('backfill') },
  };
}

/** The Kubernetes username that EKS gives the sessions of a role by default. */
export function usernameOf(roleArn: string): string {
  const [, partition, , , account, path = ''] = roleArn.split(':');
  return `arn:${partition}:sts::${account}:assumed-role/${path.split('/').at(-1)}/{{SessionName}}`;
}
