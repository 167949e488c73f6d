import { randomUUID } from 'node:crypto';
import type { User } from './authorization.ts';
import type { Json, JsonObject } from './objects.ts';
import type { RequestInfo } from './request-info.ts';

/** One line of the audit log, `audit.k8s.io/v1`, of stage ResponseComplete. */
export interface AuditEvent {
  kind: 'Event';
  apiVersion: 'audit.k8s.io/v1';
  level: AuditLevel;
  auditID: string;
  stage: 'ResponseComplete';
  requestURI: string;
  verb: string;
  user: { username?: string; uid?: string; groups?: string[] };
  sourceIPs: string[];
  userAgent?: string;
  objectRef?: JsonObject;
  responseStatus: JsonObject;
  requestObject?: Json;
  responseObject?: Json;
  requestReceivedTimestamp: string;
  stageTimestamp: string;
  annotations?: Record<string, string>;
}

type AuditLevel = 'Metadata' | 'Request' | 'RequestResponse';

/** What becomes known while a request is handled. */
export interface AuditTrace {
  user?: User;
  decision?: 'allow' | 'forbid';
  /** What the body adds to the objectRef: the name of what is created; uid and resourceVersion of an update. */
  objectRef: JsonObject;
  requestObject?: Json;
}

export interface AuditedExchange {
  request: RequestInfo;
  requestURI: string;
  userAgent: string | undefined;
  received: Date;
  completed: Date;
  trace: AuditTrace;
  code: number;
  /** Undefined where the answer is no JSON. */
  responseBody: JsonObject | undefined;
}

/** The line for a request under EKS's audit policy, or undefined where that policy logs nothing. */
export function auditEvent(exchange: AuditedExchange): AuditEvent | undefined {
  const { request, trace, responseBody, code } = exchange;
  const level = levelOf(request);
  if (level === undefined) return undefined;
  const { user, decision } = trace;
  const isStatus = responseBody?.kind === 'Status';
  const { status, message, reason, details } = isStatus ? responseBody : ({} as JsonObject);
  const withBodies = level === 'RequestResponse';
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level,
    auditID: randomUUID(),
    stage: 'ResponseComplete',
    requestURI: exchange.requestURI,
    verb: request.verb,
    user: user ? { ...user, groups: [...new Set([...user.groups, 'system:authenticated'])] } : {},
    sourceIPs: ['127.0.0.1'],
    ...(exchange.userAgent !== undefined && { userAgent: exchange.userAgent }),
    ...(request.isResourceRequest && { objectRef: objectRefOf(request, trace) }),
    responseStatus: {
      metadata: (isStatus && responseBody.metadata) || {},
      ...(status && { status }),
      ...(message && { message }),
      ...(reason && { reason }),
      ...(details && { details }),
      code,
    },
    ...(level !== 'Metadata' && trace.requestObject !== undefined && { requestObject: trace.requestObject }),
    ...(withBodies && responseBody !== undefined && { responseObject: responseBody }),
    requestReceivedTimestamp: microseconds(exchange.received),
    stageTimestamp: microseconds(exchange.completed),
    ...(decision && {
      annotations: { 'authorization.k8s.io/decision': decision, 'authorization.k8s.io/reason': '' },
    }),
  };
}

/** The levels that EKS fixes: built-in groups with bodies, ConfigMaps, Secrets and custom resources without any. */
function levelOf({ isResourceRequest, path, group, resource, subresource, verb }: RequestInfo): AuditLevel | undefined {
  if (!isResourceRequest) return path === '/version' ? undefined : 'Metadata';
  if (group === '' && resource === 'events') return undefined;
  const isSecretive =
    group === '' && (resource === 'configmaps' || resource === 'secrets') && subresource === undefined;
  const isBuiltIn = !group.includes('.') || (group.endsWith('.k8s.io') && group !== 'gateway.networking.k8s.io');
  if (isSecretive || !isBuiltIn) return 'Metadata';
  return verb === 'get' || verb === 'list' || verb === 'watch' ? 'Request' : 'RequestResponse';
}

function objectRefOf(request: RequestInfo, trace: AuditTrace): JsonObject {
  const { resource, namespace, name, group, version, subresource } = request;
  const { name: bodyName, uid, resourceVersion } = trace.objectRef;
  const objectName = name ?? bodyName;
  return {
    resource,
    ...(namespace !== undefined && { namespace }),
    ...(objectName !== undefined && { name: objectName }),
    ...(uid !== undefined && { uid }),
    ...(group !== '' && { apiGroup: group }),
    apiVersion: version,
    ...(resourceVersion !== undefined && { resourceVersion }),
    ...(subresource !== undefined && { subresource }),
  };
}

function microseconds(time: Date): string {
  return time.toISOString().replace('Z', '000Z');
}
