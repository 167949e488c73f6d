import type { JsonObject } from './objects.ts';
import { qualified, type ResourceType } from './resource-types.ts';

/** A `Status` of kind Failure, as kube-apiserver v1.34 writes them, thrown wherever a request must be refused. */
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

/** What a server answers with that has no such API: plain text, no Status. */
export class PageNotFound extends Error {
  override readonly name = 'PageNotFound';
}

export interface Cause {
  reason: string;
  message: string;
  field: string;
}

type Named = { name?: string; group: string; kind: string };

const detailsOf = ({ name, group, kind }: Named): JsonObject => ({
  ...(name && { name }),
  ...(group !== '' && { group }),
  ...(kind !== '' && { kind }),
});

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message);

export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized');

export const noSuchResource = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});

export const methodNotAllowed = (): ApiError =>
  new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});

export const unsupportedMediaType = (): ApiError =>
  new ApiError(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});

export const unsupportedPatch = (): ApiError =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
  );

/** A JSON patch that cannot be applied. The server does not say which operation failed. */
export const unprocessablePatch = (): ApiError =>
  new ApiError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});

export function notFound({ plural, group }: Pick<ResourceType, 'plural' | 'group'>, name: string): ApiError {
  const details = detailsOf({ name, group, kind: plural });
  return new ApiError(404, 'NotFound', `${qualified(plural, group)} "${name}" not found`, details);
}

export function alreadyExists({ plural, group }: ResourceType, name: string): ApiError {
  const details = detailsOf({ name, group, kind: plural });
  return new ApiError(409, 'AlreadyExists', `${qualified(plural, group)} "${name}" already exists`, details);
}

/** The conflict of a write whose resourceVersion differs from the live one. */
export function updateConflict({ plural, group }: ResourceType, name: string): ApiError {
  return conflict(
    { name, group, kind: plural },
    'the object has been modified; please apply your changes to the latest version and try again',
  );
}

/** The conflict of a DELETE with preconditions, which names the kind where other conflicts name the resource. */
export function preconditionFailed({ kind, group }: ResourceType, name: string, why: string): ApiError {
  return conflict({ name, group, kind }, why);
}

function conflict(named: Named, why: string): ApiError {
  const subject = `${qualified(named.kind, named.group)} "${named.name}"`;
  return new ApiError(409, 'Conflict', `Operation cannot be fulfilled on ${subject}: ${why}`, detailsOf(named));
}

/** 422 for an object (or for request options) with fields that do not pass validation. */
export function invalid({ name, group, kind }: Named, causes: Cause[]): ApiError {
  // Validation that runs twice finds a fault twice: two causes, one sentence.
  const faults = [...new Set(causes.map(({ field, message }) => `${field}: ${message}`))];
  const text = faults.length === 1 ? `${faults[0]}` : `[${faults.join(', ')}]`;
  return new ApiError(422, 'Invalid', `${qualified(kind, group)} "${name ?? ''}" is invalid: ${text}`, {
    ...detailsOf({ ...(name && { name }), group, kind }),
    causes: causes.map((cause) => ({ ...cause })),
  });
}

/** 410 for a page of a list whose snapshot is gone; `inconsistent` goes on from there with what is there now. */
export function expiredContinue(inconsistent: string): ApiError {
  const message =
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';
  return new ApiError(410, 'Expired', message, undefined, { continue: inconsistent });
}

/** A denial as kube-apiserver hands on what an admission webhook answered. */
export function deniedByWebhook(denial: { webhook: string; code: number; reason?: string; message: string }): ApiError {
  const message = `admission webhook "${denial.webhook}" denied the request: ${denial.message}`;
  return new ApiError(denial.code, denial.reason ?? '', message);
}

export const invalidOptions = (kind: string, cause: Cause): ApiError =>
  invalid({ group: 'meta.k8s.io', kind }, [cause]);

export const invalidObject = ({ group, kind }: ResourceType, name: string, causes: Cause[]): ApiError =>
  invalid({ name, group, kind }, causes);
