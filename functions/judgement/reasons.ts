/** Why an HPA is stale; docs/reasons.md describes each. */
export const DELETE_REASONS = [
  'AutoscalingRemoved',
  'Renamed',
  'GatewayDeleted',
  'GatewayClassDeleted',
  'GatewayNotManaged',
  'ScaleTargetGone',
  'MergedIntoGatewayClass',
  'NoLongerMerged',
  'NoGateways',
] as const;
export type DeleteReason = (typeof DELETE_REASONS)[number];

/** Why an HPA is kept; docs/reasons.md describes each. */
export const KEEP_REASONS = [
  'NotManagedByEnvoyGateway',
  'AmbiguousOwner',
  'Protected',
  'Terminating',
  'Adopted',
  'AutoscalingConfigured',
  'ScaleTargetStillRuns',
  'DefaultsUnreadable',
  'ParametersUnresolved',
  'NotObserved',
] as const;
export type KeepReason = (typeof KEEP_REASONS)[number];
