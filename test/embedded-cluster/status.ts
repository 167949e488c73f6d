import type { JsonObject } from './objects.ts';
import { qualified, type ResourceType } from './resource-types.ts';

/** A `Status` of kind Failure, as kube-apiserver v1.34 writes it, thrown to refuse a request. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: number;
  readonly body: JsonObject;

  constructor(code: number, reason: string, message: string, details?: JsonObject, metadata: JsonObject = {}) {
    super(message);
    this.code = code;
    this.body = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata,
      status: 'Failure',
      message,
      ...(reason !== '' && { reason }),
      ...(details && { details }),
      code,
    };
  }
}

/** The response to a request for an unknown API: plain text, not a Status. */
export class PageNotFound extends Error {
  override readonly name = 'PageNotFound';
}

/** The response to a request that neither the product nor a test sends, and whose real response nobody has looked up. */
export const notSimulated = (request: string): ApiError =>
  new ApiError(501, 'NotImplemented', `the embedded cluster does not simulate ${request}`);

export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized');

export const noSuchResource = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});

export function notFound({ plural, group }: ResourceType, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${qualified(plural, group)} "${name}" not found`, details(name, group, plural));
}

export function alreadyExists({ plural, group }: ResourceType, name: string): ApiError {
  const message = `${qualified(plural, group)} "${name}" already exists`;
  return new ApiError(409, 'AlreadyExists', message, details(name, group, plural));
}

/** The conflict of a write with another resourceVersion than the live one. */
export function updateConflict({ plural, group }: ResourceType, name: string): ApiError {
  const why = 'the object has been modified; please apply your changes to the latest version and try again';
  return conflict(name, group, plural, why);
}

/** The conflict of a DELETE with preconditions, which names the kind and not the resource. */
export function preconditionFailed({ kind, group }: ResourceType, name: string, why: string): ApiError {
  return conflict(name, group, kind, why);
}

function conflict(name: string, group: string, kind: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualified(kind, group)} "${name}": ${why}`;
  return new ApiError(409, 'Conflict', message, details(name, group, kind));
}

/** 410 for a page of a list whose snapshot no longer exists; the token in `remainder` continues with the present state. */
export function expiredContinue(remainder: string): ApiError {
  const message =
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';
  return new ApiError(410, 'Expired', message, undefined, { continue: remainder });
}

export function details(name: string | undefined, group: string, kind: string): JsonObject {
  return { ...(name && { name }), ...(group !== '' && { group }), kind };
}
