import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { SweptHpa } from '../../../functions/events/report.ts';
import type { MissingHpa } from '../../../functions/judgement/missing.ts';
import type { ClusterApi, ObjectEvent } from '../../../functions/kubernetes/cluster-api.ts';
import { recordOwnerEvents } from '../../../functions/sweep/owner-events.ts';
import { missingHpa, sweptHpa } from '../../builders/outcomes.ts';

// Vitest's clock does not reach this module.
vi.mock('node:timers/promises', () => ({
  setTimeout: (delay: number) => new Promise((resolve) => setTimeout(resolve, delay)),
}));

const now = () => new Date('2026-11-25T01:00:00Z');
const lines: unknown[][] = [];
const log = {
  info: (...line: unknown[]) => void lines.push(line),
  warn: expect.unreachable,
  error: expect.unreachable,
};
beforeEach(() => void lines.splice(0));

const recordAll = (hpas: readonly SweptHpa[], record: ClusterApi['recordEvent'], missing: readonly MissingHpa[] = []) =>
  recordOwnerEvents(hpas, missing, { api: { recordEvent: record }, cluster: 'shop', sweepId: 'sweep-1', log, now });

/** Rests on a Gateway and an EnvoyProxy of the same name. */
const sweptFor = (gateway: string, name: string, outcome: SweptHpa['outcome']): SweptHpa => {
  const owner = { namespace: 'shop', name: gateway, kind: 'Gateway' };
  const proxy = { ...owner, kind: 'EnvoyProxy', uid: `uid of the EnvoyProxy ${gateway}` };
  return sweptHpa(`shop/${gateway}`, outcome, {
    name,
    owner,
    restsOn: [proxy, { ...owner, name: 'another', uid: 'another' }, { ...owner, uid: `uid of ${gateway}` }],
  });
};
const deletedFor = (gateway: string, name: string) => sweptFor(gateway, name, 'Deleted');

async function eventsOf(hpas: readonly SweptHpa[], missing: readonly MissingHpa[] = []): Promise<ObjectEvent[]> {
  const record = vi.fn(async (_: ObjectEvent) => 'done' as const);
  await recordAll(hpas, record, missing);
  return record.mock.calls.flat();
}
const sentence = (name: string) =>
  `Deleted HPA envoy-gateway-system/${name}, which Envoy Gateway left behind (AutoscalingRemoved): ` +
  'Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web.';

test('one Event lists everything that was deleted for a Gateway, and nothing else', async () => {
  const refused = [sweptFor('web', 'three', 'DeleteRefused'), sweptFor('api', 'four', 'MarkRefused')];
  expect(await eventsOf([deletedFor('web', 'one'), deletedFor('web', 'two'), ...refused])).toEqual([
    {
      object: {
        ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', namespace: 'shop', name: 'web' },
        uid: 'uid of web',
      },
      ...{ type: 'Normal', reason: 'StaleHPADeleted', message: `${sentence('one')} ${sentence('two')}`, time: now() },
    },
  ]);
});

describe('the owner of a missing HPA', () => {
  const { reason, ...missing } = missingHpa('shop/web');
  const message = `${missing.explanation} ${missing.remedy}`;
  const warned = { type: 'Warning', reason: 'WantedHPAMissing', message, time: now() };

  test.each<[MissingHpa['owner'], string]>([
    [{ kind: 'Gateway', namespace: 'shop', name: 'web' }, 'gateway.networking.k8s.io/v1'],
    [{ kind: 'GatewayClass', name: 'eg' }, 'gateway.networking.k8s.io/v1'],
    [{ kind: 'ConfigMap', namespace: 'envoy-gateway-system', name: 'envoy-gateway-config' }, 'v1'],
  ])('gets a Warning: %j', async (owner, apiVersion) => {
    const object = { apiVersion, ...owner, uid: 'its uid' };
    expect(await eventsOf([], [{ ...missing, reason, owner, ownerUid: 'its uid' }])).toEqual([{ object, ...warned }]);
  });

  test('gets a Warning beside the Event on what was deleted for the same owner', async () => {
    const owner = { kind: 'Gateway' as const, namespace: 'shop', name: 'web' };
    const wanted = { ...missing, reason, owner, ownerUid: 'uid of web' };
    const recorded = await eventsOf([deletedFor('web', 'one')], [wanted]);
    expect(recorded.map(({ object, type }) => [object.uid, type])).toEqual([
      ['uid of web', 'Normal'],
      ['uid of web', 'Warning'],
    ]);
  });

  test('gets no Warning where its uid is not known', async () => {
    const owner = { kind: 'GatewayClass' as const, name: 'eg' };
    expect(await eventsOf([], [{ ...missing, reason, owner, ownerUid: undefined }])).toEqual([]);
  });
});

test('says why an Event was not written, and needs none without an owner that exists', async () => {
  await recordAll([deletedFor('web', 'one')], async () => 'conflict');
  const why = { cluster: 'shop', sweepId: 'sweep-1', object: 'Gateway shop/web', why: 'conflict' };
  expect(lines).toEqual([['no Event written', why]]);
  const without = [{ restsOn: [] }, { owner: undefined }].map((over) => ({ ...deletedFor('web', 'one'), ...over }));
  expect(await eventsOf(without)).toEqual([]);
});

test('a message has 1,024 characters at most, and shows where it was cut', async () => {
  const name = 'n'.repeat(1_024 - sentence('').length);
  const [[whole], [cut]] = [await eventsOf([deletedFor('web', name)]), await eventsOf([deletedFor('web', `${name}n`)])];
  expect(whole?.message).toBe(sentence(name));
  expect(cut?.message).toBe(`${sentence(`${name}n`).slice(0, 1_023)}…`);
});

test('waits five seconds for an API server that does not respond, and records nothing after that', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const gateways = Array.from({ length: 21 }, (_, number) => `web-${number}`);
  const begun: PromiseWithResolvers<'conflict'>[] = [];
  const record = () => {
    const answer = Promise.withResolvers<'conflict'>();
    begun.push(answer);
    return answer.promise;
  };
  const ended = vi.fn();
  const deleted = gateways.map((gateway) => deletedFor(gateway, 'one'));
  const recording = recordAll(deleted, record).then(ended);
  await vi.advanceTimersByTimeAsync(4_999);
  expect([ended.mock.calls.length, lines]).toEqual([0, []]);
  await vi.advanceTimersByTimeAsync(1);
  const said = gateways.map((gateway) => [
    'no Event written',
    { cluster: 'shop', sweepId: 'sweep-1', object: `Gateway shop/${gateway}`, why: 'no answer within 5 s' },
  ]);
  expect([ended.mock.calls.length, lines]).toEqual([1, said]);

  const [first, ...others] = begun;
  first?.reject(new Error('too late'));
  for (const { resolve } of others) resolve('conflict');
  await vi.advanceTimersByTimeAsync(0);
  expect([begun.length, lines]).toEqual([20, said]);
  await recording;
});
