import { create, createdObject } from './creating.ts';
import { deleteOne } from './deleting.ts';
import { listPage } from './lists.ts';
import { type Answer, liveObject, type ResourceRequest, type Surroundings } from './resource-request.ts';
import { methodNotAllowed, noSuchResource } from './status.ts';
import { patch } from './updating.ts';

/** Answers authorized requests for resources as kube-apiserver v1.34 does. Throws `ApiError` for the rest. */
export function handleResourceRequest(surroundings: Surroundings, request: ResourceRequest): Answer {
  const { store } = surroundings;
  const { type, namespace, name, subresource, verb, query } = request;
  if (type.namespaced ? name !== undefined && namespace === undefined : namespace !== undefined && namespace !== name) {
    throw noSuchResource();
  }
  const isServed = subresource === undefined || (subresource === 'status' && type.hasStatus);
  if (!isServed) throw noSuchResource();
  switch (verb) {
    case 'list':
      return { code: 200, body: listPage(store, type, namespace, query) };
    case 'create':
      if (name !== undefined || (type.namespaced && namespace === undefined)) throw methodNotAllowed();
      return { code: 201, body: create(surroundings, request, createdObject(request)) };
    case 'get':
      return { code: 200, body: liveObject(surroundings, request) };
    case 'patch':
      if (name === undefined) throw methodNotAllowed();
      return patch(surroundings, request);
    case 'delete':
      return { code: 200, body: deleteOne(surroundings, request, liveObject(surroundings, request)) };
    default:
      throw methodNotAllowed();
  }
}
