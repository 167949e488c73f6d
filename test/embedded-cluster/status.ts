import type { JsonObject, KubernetesObject } from './objects.ts';
import { qualified, type ResourceType } from './resource-types.ts';

/** A `Status` of status Failure, without its details, thrown wherever a request is refused. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: number;
  readonly body: JsonObject;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.body = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code };
  }
}

/** The answer for an API that the server does not have: plain text, no Status. */
export class PageNotFound extends Error {
  override readonly name = 'PageNotFound';
}

type Resource = Pick<ResourceType, 'plural' | 'group'>;

export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized');

export const noSuchResource = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource');

/** Only the embedded cluster responds so: to a request that no test needs. */
export const notSimulated = (what: string): ApiError =>
  new ApiError(501, 'NotImplemented', `the embedded cluster does not simulate ${what}`);

export const notFound = ({ plural, group }: Resource, name: string): ApiError =>
  new ApiError(404, 'NotFound', `${qualified(plural, group)} "${name}" not found`);

export const alreadyExists = ({ plural, group }: Resource, name: string): ApiError =>
  new ApiError(409, 'AlreadyExists', `${qualified(plural, group)} "${name}" already exists`);

/** @param what the plural for a conflict of versions, the kind for a precondition */
export const conflict = (what: string, { group }: Resource, { metadata }: KubernetesObject, why: string): ApiError =>
  new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(what, group)} "${metadata.name}": ${why}`,
  );
