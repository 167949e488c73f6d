import { type Condition, type Gateway, type GatewayClass, objectKey } from './kubernetes-objects.ts';

/** The `Accepted` condition that a controller has written; the default condition of a CRD does not count. */
export const acceptance = ({ status }: Gateway | GatewayClass): Condition | undefined =>
  status?.conditions?.find((condition) => condition.type === 'Accepted' && !isDefault(condition));

const isDefault = ({ status, observedGeneration }: Condition) =>
  status === 'Unknown' && observedGeneration === undefined;

/** These reasons are not about the EnvoyProxy: Envoy Gateway uses it as soon as there is something to serve (v1.8 and later). */
const NOT_ABOUT_PARAMETERS = ['ListenersNotValid', 'UnsupportedAddress'];

/** With this message Envoy Gateway serves a Gateway in full, although it does not accept it (measured on v1.3.0, v1.4.2, and v1.9.1). */
const ABOUT_TELEMETRY = /^Invalid (access log|tracing|metrics) backendRefs in the referenced EnvoyProxy/;

/** Whether Envoy Gateway does not accept the EnvoyProxy that the object refers to. */
export function isRejected(object: Gateway | GatewayClass): boolean {
  const condition = acceptance(object);
  return condition?.status === 'False' && !NOT_ABOUT_PARAMETERS.includes(condition.reason ?? '') && !isServed(object);
}

/** Whether Envoy Gateway serves the object by its EnvoyProxy, if it has a listener that is valid. */
export function isServed(object: Gateway | GatewayClass): boolean {
  const { status, message = '' } = acceptance(object) ?? {};
  return status === 'True' || (status === 'False' && ABOUT_TELEMETRY.test(message));
}

/**
 * Why nothing shows that Envoy Gateway has seen this configuration: one clause. If a reference is removed and put back before
 * Envoy Gateway sees it, Envoy Gateway would not create a deleted HPA again.
 *
 * The conditions of a Gateway's listeners count too: Envoy Gateway also writes the Gateway's own conditions, with the current
 * generation, when the Deployment or Service changes (source of v1.3.0 to v1.9.1, `updateStatusForGateway`); those of the
 * listeners only when it translates the configuration.
 */
export function notObserved(objects: readonly (Gateway | GatewayClass)[]): string | undefined {
  return objects.map(notSeen).find((because) => because !== undefined);
}

function notSeen(object: Gateway | GatewayClass): string | undefined {
  const { generation = 0 } = object.metadata;
  const name = `${'gatewayClassName' in object.spec ? 'Gateway' : 'GatewayClass'} ${objectKey(object.metadata)}`;
  if (acceptance(object) === undefined) return `no controller has written a status of ${name} yet`;
  const own = (object.status?.conditions ?? []).filter(
    (condition) => ['Accepted', 'Programmed'].includes(condition.type) && !isDefault(condition),
  );
  const ofListeners = (object as Gateway).status?.listeners?.flatMap(({ conditions }) => conditions ?? []) ?? [];
  const seen = Math.min(...[...own, ...ofListeners].map(({ observedGeneration }) => observedGeneration ?? 0));
  return seen < generation
    ? `${name} is at generation ${generation}, but its status is of generation ${seen}`
    : undefined;
}

type Written = {
  readonly creationTimestamp?: string | null;
  readonly managedFields?: readonly { time?: string; fieldsV1?: { 'f:spec'?: unknown } }[] | null;
};

/**
 * The seconds since the object was created or last written: `f:spec` for its spec alone. A time that cannot be parsed counts as
 * now. `undefined` for an object without any time, such as one that was saved without them.
 */
export function secondsSinceWrite(
  { creationTimestamp, managedFields }: Written,
  now: Date,
  fields?: 'f:spec',
): number | undefined {
  const writes = (managedFields ?? []).filter(({ fieldsV1 }) => fields === undefined || fieldsV1?.[fields]);
  const seconds = [creationTimestamp, ...writes.map(({ time }) => time)]
    .filter((time) => time != null)
    .map((time) => (now.getTime() - Date.parse(time)) / 1000);
  return seconds.length === 0 ? undefined : Math.min(...seconds.map((each) => (Number.isNaN(each) ? 0 : each)));
}
