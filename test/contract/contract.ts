import { describeEventPath } from './event-path.ts';
import { describeInspection } from './inspection.ts';
import { describeKubeApiserver } from './kube-apiserver.ts';
import { describeOwnerEvents } from './owner-events.ts';
import { describeRbac } from './rbac.ts';
import { describeRestoration } from './restoration.ts';
import type { Server } from './server.ts';

/** The same tests on the embedded cluster and on a real kube-apiserver. Those of reenabling.ts are in a file of their own. */
export function describeContract(start: () => Promise<Server>): void {
  describeKubeApiserver(start);
  describeInspection(start);
  describeRbac(start);
  describeOwnerEvents(start);
  describeEventPath(start);
  // Last: it leaves stale HPAs behind.
  describeRestoration(start);
}
