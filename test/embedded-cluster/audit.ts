import { randomUUID } from 'node:crypto';
import type { User } from './authorization.ts';
import type { Json, JsonObject } from './objects.ts';
import type { RequestInfo } from './request-info.ts';

/** One line of the audit log (`audit.k8s.io/v1`) at the stage ResponseComplete. */
export interface AuditEvent {
  kind: 'Event';
  apiVersion: 'audit.k8s.io/v1';
  level: 'Metadata' | 'Request' | 'RequestResponse';
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

/** Facts that become known while a request is handled. */
export interface AuditTrace {
  user?: User;
  decision?: 'allow' | 'forbid';
  /** The name of the object that a POST creates. */
  createdName?: string;
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
  /** `undefined` for a response that is not JSON. */
  responseBody: JsonObject | undefined;
}

/** The audit event of a request under EKS's audit policy, or `undefined` if that policy logs nothing. */
export function auditEvent(exchange: AuditedExchange): AuditEvent | undefined {
  const { request, trace, responseBody, code } = exchange;
  const level = levelOf(request);
  if (level === undefined) return undefined;
  const { user, decision } = trace;
  const { metadata = {}, status, message, reason, details } = responseBody?.kind === 'Status' ? responseBody : {};
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
      metadata,
      ...(status && { status }),
      ...(message && { message }),
      ...(reason && { reason }),
      ...(details && { details }),
      code,
    },
    ...(level !== 'Metadata' && trace.requestObject !== undefined && { requestObject: trace.requestObject }),
    ...(level === 'RequestResponse' && responseBody !== undefined && { responseObject: responseBody }),
    requestReceivedTimestamp: microseconds(exchange.received),
    stageTimestamp: microseconds(exchange.completed),
    ...(decision && {
      annotations: { 'authorization.k8s.io/decision': decision, 'authorization.k8s.io/reason': '' },
    }),
  };
}

/** The levels of EKS: built-in groups with bodies; ConfigMaps, Secrets and custom resources without any. */
function levelOf(request: RequestInfo): AuditEvent['level'] | undefined {
  const { isResourceRequest, path, group, resource, subresource, verb } = request;
  if (!isResourceRequest) return path === '/version' ? undefined : 'Metadata';
  if (group === '' && resource === 'events') return undefined;
  const isData = group === '' && (resource === 'configmaps' || resource === 'secrets') && subresource === undefined;
  const isBuiltIn = !group.includes('.') || (group.endsWith('.k8s.io') && group !== 'gateway.networking.k8s.io');
  if (isData || !isBuiltIn) return 'Metadata';
  return verb === 'get' || verb === 'list' ? 'Request' : 'RequestResponse';
}

function objectRefOf(request: RequestInfo, { createdName }: AuditTrace): JsonObject {
  const { resource, namespace, name = createdName, group, version, subresource } = request;
  return {
    resource,
    ...(namespace !== undefined && { namespace }),
    ...(name !== undefined && { name }),
    ...(group !== '' && { apiGroup: group }),
    apiVersion: version,
    ...(subresource !== undefined && { subresource }),
  };
}

function microseconds(time: Date): string {
  return time.toISOString().replace('Z', '000Z');
}
