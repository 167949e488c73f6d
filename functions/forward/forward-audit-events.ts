import type { EventBus } from '../aws/event-bus.ts';
import { type AwsAccount, clusterArn } from '../events/arn.ts';
import {
  type AuditEventOfObject,
  changeDetail,
  latestPerObject,
  mayAffectHpa,
  readAuditEvent,
} from '../events/audit-event.ts';
import { CHANGE_DETAIL_TYPE, clusterNameSchema, EVENT_SOURCE } from '../events/change-event.ts';
import { MalformedInputError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';

/** What CloudWatch Logs sends to a subscription, decoded. */
export interface LogPayload {
  messageType: string;
  /** The account that owns the log group. */
  owner: string;
  logGroup: string;
  logEvents: readonly { id: string; message: string }[];
}

/** What became of a payload. A control message, CloudWatch's test of the destination, carries nothing. */
export type Forwarded =
  | { messageType: 'CONTROL_MESSAGE' }
  | {
      messageType: 'DATA_MESSAGE';
      cluster: string;
      lines: number;
      /** Lines that can have changed what an HPA depends on. */
      kept: number;
      /** Lines that are no audit event. */
      unreadable: number;
      /** Events put on the bus, one for each changed object. */
      entries: number;
      /** Of these. */
      auditIDs: string[];
    };

/**
 * Puts one event on the bus for each object that the payload's audit lines say was changed and that an HPA depends on.
 * An unreadable line is logged with its log event id and stops no other.
 *
 * @param place where this runs, and the cluster is too: a log group feeds only functions of its own Region
 * @throws {MalformedInputError} a message type that is not known, another account's log group, or not a cluster's log group
 * @throws {RetryableError} from the bus, when events did not get there
 */
export async function forwardAuditEvents(
  payload: LogPayload,
  { place, eventBus, log }: { place: AwsAccount; eventBus: EventBus; log: Log },
): Promise<Forwarded> {
  const { messageType } = payload;
  if (messageType === 'CONTROL_MESSAGE') return { messageType };
  if (messageType !== 'DATA_MESSAGE') {
    throw new MalformedInputError(
      `messageType ${messageType} is neither DATA_MESSAGE nor CONTROL_MESSAGE; see what CloudWatch Logs sends now`,
    );
  }
  if (payload.owner !== place.account) {
    throw new MalformedInputError(
      `the log group belongs to account ${payload.owner}, this function to ${place.account}; ` +
        'remove that subscription and deploy the product in the other account',
    );
  }
  const cluster = clusterOf(payload.logGroup);

  const kept: AuditEventOfObject[] = [];
  let unreadable = 0;
  for (const { id, message } of payload.logEvents) {
    const line = readAuditEvent(message);
    if ('fault' in line) {
      unreadable += 1;
      log.warn('unreadable line', { cluster, logEventId: id, fault: line.fault });
    } else if (mayAffectHpa(line.event)) {
      kept.push(line.event);
    }
  }

  const latest = latestPerObject(kept);
  await eventBus.put(
    latest.map((change) => ({
      source: EVENT_SOURCE,
      detailType: CHANGE_DETAIL_TYPE,
      detail: changeDetail(cluster, change),
      resources: [clusterArn(place, cluster)],
      time: new Date(change.event.stageTimestamp),
    })),
  );
  return {
    messageType,
    cluster,
    lines: payload.logEvents.length,
    kept: kept.length,
    unreadable,
    entries: latest.length,
    auditIDs: latest.map(({ event }) => event.auditID),
  };
}

/** EKS writes a cluster's control plane logs to `/aws/eks/<cluster>/cluster` and nowhere else. */
function clusterOf(logGroup: string): string {
  const name = clusterNameSchema.safeParse(/^\/aws\/eks\/([^/]+)\/cluster$/.exec(logGroup)?.[1]);
  if (name.success) return name.data;
  throw new MalformedInputError(
    `log group ${logGroup} is not /aws/eks/<cluster>/cluster; subscribe this function to EKS control plane logs only`,
  );
}
