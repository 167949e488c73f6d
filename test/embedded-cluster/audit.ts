import { randomUUID } from 'node:crypto';
import type { User } from './authorization.ts';
import type { Json, JsonObject, KubernetesObject } from './objects.ts';
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
  responseObject?: Json;
  requestReceivedTimestamp: string;
  stageTimestamp: string;
  annotations?: Record<string, string>;
}

type AuditLevel = 'Metadata' | 'Request' | 'RequestResponse';

export interface AuditedExchange {
  request: RequestInfo;
  requestURI: string;
  userAgent: string | undefined;
  received: Date;
  completed: Date;
  /** Undefined before authentication. */
  user: User | undefined;
  decision: 'allow' | 'forbid' | undefined;
  code: number;
  /** Undefined if the answer is not JSON. */
  responseBody: JsonObject | undefined;
}

/** The line for a request under EKS's audit policy, but without the request's body; undefined if that policy logs nothing. */
export function auditEvent(exchange: AuditedExchange): AuditEvent | undefined {
  const { request, user, decision, responseBody, code } = exchange;
  const level = levelOf(request);
  if (level === undefined) return undefined;
  const { status, message, reason, details } = responseBody?.kind === 'Status' ? responseBody : ({} as JsonObject);
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
    userAgent: exchange.userAgent,
    objectRef: request.isResourceRequest ? objectRefOf(request, responseBody) : undefined,
    responseStatus: { metadata: {}, status, message, reason, details, code } as JsonObject,
    responseObject: level === 'RequestResponse' ? responseBody : undefined,
    requestReceivedTimestamp: microseconds(exchange.received),
    stageTimestamp: microseconds(exchange.completed),
    annotations: decision && { 'authorization.k8s.io/decision': decision, 'authorization.k8s.io/reason': '' },
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
  return verb === 'get' || verb === 'list' ? 'Request' : 'RequestResponse';
}

function objectRefOf({ verb, resource, namespace, name, group, version, subresource }: RequestInfo, body?: JsonObject) {
  const created = verb === 'create' ? (body as KubernetesObject | undefined)?.metadata.name : undefined;
  const apiGroup = group || undefined;
  return { resource, namespace, name: name ?? created, apiGroup, apiVersion: version, subresource } as JsonObject;
}

function microseconds(time: Date): string {
  return time.toISOString().replace('Z', '000Z');
}
