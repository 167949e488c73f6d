import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BusEvent, EventBus } from '../../../functions/aws/event-bus.ts';
import { changeDetailSchema } from '../../../functions/events/change-event.ts';
import { forwardAuditEvents } from '../../../functions/forward/forward-audit-events.ts';
import { MalformedInputError, RetryableError } from '../../../functions/platform/errors.ts';
import {
  ACCOUNT,
  auditEvent,
  auditEventNames,
  auditEvents,
  auditLine,
  controlMessage,
  payload,
} from '../../doubles/cloudwatch-logs.ts';

const place = { partition: 'aws-cn', region: 'cn-north-1', account: ACCOUNT };

async function forward(content: ReturnType<typeof payload>, fault?: Error) {
  const events: BusEvent[] = [];
  const warnings: unknown[] = [];
  const eventBus: EventBus = {
    async put(batch) {
      if (fault !== undefined) throw fault;
      events.push(...batch);
    },
  };
  const log = {
    info: () => {},
    warn: (message: string, attributes?: object) => void warnings.push({ message, ...attributes }),
    error: () => {},
  };
  const outcome = await forwardAuditEvents(content, { place, eventBus, log }).catch((error: unknown) => error);
  return { outcome, events, warnings };
}

describe('forwardAuditEvents', () => {
  test('puts one event for a change, about the cluster, at the time of the change', async () => {
    const { outcome, events, warnings } = await forward(payload([auditLine('envoyproxy-patch')]));
    expect(outcome).toEqual({
      messageType: 'DATA_MESSAGE',
      cluster: 'shop',
      lines: 1,
      kept: 1,
      unreadable: 0,
      entries: 1,
      auditIDs: ['32df6f3e-b334-4a3d-9ec5-6f7e2b279248'],
    });
    expect(events).toEqual([
      {
        source: 'envoy-hpa-reaper',
        detailType: 'Envoy Gateway Configuration Changed',
        detail: expect.objectContaining({
          cluster: 'shop',
          auditID: '32df6f3e-b334-4a3d-9ec5-6f7e2b279248',
          objectRef: expect.objectContaining({
            resource: 'envoyproxies',
            namespace: 'autoscaling-removed',
            name: 'proxy',
          }),
          lines: 1,
        }),
        resources: ['arn:aws-cn:eks:cn-north-1:123456789012:cluster/shop'],
        time: new Date('2026-11-23T14:17:47.196Z'),
      },
    ]);
    expect(warnings).toEqual([]);
  });

  test('of all real events together, those that matter and no other', async () => {
    const { outcome, events } = await forward(payload(auditEventNames.map(auditLine)));
    const objects = events.map(({ detail }) => {
      const { objectRef, lines } = changeDetailSchema.parse(detail);
      return `${objectRef.resource} ${objectRef.namespace ?? '-'}/${objectRef.name ?? '*'} ${lines}`;
    });
    expect(objects.sort()).toMatchInlineSnapshot(`
      [
        "configmaps envoy-gateway-system/envoy-gateway-config 2",
        "configmaps gateways/envoy-gateway-config 2",
        "envoyproxies autoscaling-removed/proxy 1",
        "envoyproxies class-proxy-removed/* 1",
        "envoyproxies merged-kept/created-by-apply 1",
        "envoyproxies merged-kept/created-by-ssa 2",
        "envoyproxies shop/proxy 1",
        "gatewayclasses -/gatewayclass-deleted 3",
        "gateways invalid-parameters/web 2",
        "gateways removed-then-restored/web 1",
        "horizontalpodautoscalers envoy-gateway-system/envoy-shop-web-97375646 1",
      ]
    `);
    expect(outcome).toMatchObject({ lines: auditEventNames.length, unreadable: 0, entries: objects.length });
  });

  test('a line that cannot be read is told of by its id and stops no other', async () => {
    const lines = ['secret-token', auditLine('gateway-patch'), '{"kind":"secret-token"}', auditLine('gateway-get')];
    const { outcome, events, warnings } = await forward(payload(lines));
    expect(outcome).toMatchObject({ lines: 4, kept: 1, unreadable: 2, entries: 1 });
    expect(events).toHaveLength(1);
    expect(warnings).toEqual([
      { message: 'unreadable line', cluster: 'shop', logEventId: 'log-event-0', fault: 'not JSON' },
      {
        message: 'unreadable line',
        cluster: 'shop',
        logEventId: 'log-event-2',
        fault: expect.stringMatching(/^not an audit.k8s.io\/v1 Event: kind, apiVersion, auditID, /),
      },
    ]);
    expect(JSON.stringify(warnings)).not.toContain('secret-token');
  });

  test('an audit event without objectRef is dropped, not unreadable', async () => {
    const { objectRef: _, ...event } = auditEvent('envoyproxy-patch');
    const { outcome, events, warnings } = await forward(payload([JSON.stringify(event)]));
    expect(outcome).toMatchObject({ lines: 1, kept: 0, unreadable: 0, entries: 0 });
    expect([events, warnings]).toEqual([[], []]);
  });

  test('a control message carries nothing', async () => {
    const { outcome, events, warnings } = await forward(controlMessage());
    expect(outcome).toEqual({ messageType: 'CONTROL_MESSAGE' });
    expect([events, warnings]).toEqual([[], []]);
  });

  const line = auditLine('envoyproxy-patch');
  test.each([
    ['an unknown messageType', { messageType: 'NEWS' }, /^messageType NEWS is neither/],
    ["another account's owner", { owner: '999999999999' }, /account 999999999999, this function to 123456789012/],
    ['a log group of something else', { logGroup: '/aws/lambda/shop' }, /^log group \/aws\/lambda\/shop is not/],
    ['a log group that goes deeper', { logGroup: '/aws/eks/shop/cluster/x' }, /is not \/aws\/eks\/<cluster>\/cluster/],
    ['a cluster whose name cannot be', { logGroup: '/aws/eks/-shop/cluster' }, /is not \/aws\/eks\/<cluster>\/cluster/],
  ])('%s is refused, with nothing forwarded', async (_, change, message) => {
    const { outcome, events } = await forward(payload([line], change));
    expect(outcome).toBeInstanceOf(MalformedInputError);
    expect((outcome as Error).message).toMatch(message);
    expect(events).toEqual([]);
  });

  test('what the bus throws is thrown on', async () => {
    const fault = new RetryableError('not all of 1 events reached bus');
    expect((await forward(payload([line]), fault)).outcome).toBe(fault);
  });

  test('whatever the lines: an event for each changed object, and for none but the named ones', async () => {
    const lines = fc.array(
      fc.oneof(
        auditEvents.map((event) => JSON.stringify(event)),
        fc.string(),
        fc.json(),
      ),
    );
    await fc.assert(
      fc.asyncProperty(lines, async (written) => {
        const { outcome, events } = await forward(payload(written));
        const details = events.map(({ detail }) => changeDetailSchema.parse(detail));
        const objects = details.map(({ objectRef: { apiVersion: _, ...object } }) => JSON.stringify(object));
        expect(new Set(objects).size).toBe(objects.length);
        for (const { objectRef } of details) {
          expect(objectRef.resource).toMatch(
            /^(envoyproxies|gateways|gatewayclasses|configmaps|horizontalpodautoscalers)$/,
          );
          if (objectRef.resource === 'configmaps') expect(objectRef.name).toBe('envoy-gateway-config');
        }
        expect(outcome).toMatchObject({
          lines: written.length,
          kept: details.reduce((sum, detail) => sum + detail.lines, 0),
          entries: details.length,
        });
      }),
    );
  });
});
