import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { Choices } from '../choices.ts';
import type { AuditEvent } from '../embedded-cluster/audit.ts';

const FOLDER = new URL('../fixtures/audit-events/', import.meta.url);

/** Lines that real API servers have written, told again of the objects of a cluster. */
export class AuditLines {
  readonly #selected: AuditEvent[] = [];
  readonly #others: AuditEvent[] = [];

  /** @param matches whether the subscription filter selects a line */
  constructor(matches: (line: string) => boolean) {
    for (const file of readdirSync(FOLDER)) {
      const event = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as AuditEvent;
      (matches(JSON.stringify(event)) ? this.#selected : this.#others).push(event);
    }
  }

  /** A write that the filter selects and that changed nothing: a configuration that is applied again, for example. */
  selected(choices: Choices, time: Date, name: string): string {
    return retold(this.#selected, choices, time, name);
  }

  /** A write to an EnvoyProxy of this name that changed nothing. */
  ofProxy(time: Date, name: string): string {
    const ofProxies = this.#selected.filter(({ objectRef }) => objectRef?.resource === 'envoyproxies');
    return retold(ofProxies, Choices.ofList([]), time, name);
  }

  /** Reads, status updates, dry runs, refused writes, and writes to other objects. */
  other(choices: Choices, time: Date, name: string): string {
    return retold(this.#others, choices, time, name);
  }
}

function retold(events: readonly AuditEvent[], choices: Choices, time: Date, name: string): string {
  const event = choices.of(events);
  const stamp = time.toISOString().replace('Z', '000Z');
  const keepsName = event.objectRef?.name === undefined || event.objectRef.resource === 'configmaps';
  return JSON.stringify({
    ...event,
    auditID: randomUUID(),
    objectRef: event.objectRef && { ...event.objectRef, ...(!keepsName && { name }) },
    requestReceivedTimestamp: stamp,
    stageTimestamp: stamp,
  });
}
