import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import type { SweptHpa } from '../../../functions/domain/report.ts';
import type { EventRecorder, ObjectEvent } from '../../../functions/kubernetes/event-recorder.ts';
import { tellOwners } from '../../../functions/usecases/tell-owners.ts';
import { sweptHpa } from '../../builders/outcomes.ts';

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

const tell = (hpas: readonly SweptHpa[], record: EventRecorder['record']) =>
  tellOwners(hpas, { events: { record }, cluster: 'shop', passId: 'pass-1', log, now });

const deletedOf = (gateway: string, name: string): SweptHpa => {
  const owner = { kind: 'Gateway', namespace: 'shop', name: gateway } as const;
  const restsOn = [{ ...owner, uid: `uid of ${gateway}`, resourceVersion: '7' }];
  return sweptHpa(`shop/${gateway}`, 'Deleted', { name, owner, restsOn });
};

/** What is told of HPAs that were all deleted for one Gateway. */
async function toldOf(hpas: readonly SweptHpa[]): Promise<ObjectEvent[]> {
  const told: ObjectEvent[] = [];
  await tell(hpas, async (event) => {
    told.push(event);
    return 'done';
  });
  return told;
}
const sentence = (name: string) =>
  `Deleted HPA envoy-gateway-system/${name}, which Envoy Gateway left behind (AutoscalingRemoved): ` +
  'Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web.';

test('one Event tells of all that was deleted for a Gateway', async () => {
  expect(await toldOf([deletedOf('web', 'one'), deletedOf('web', 'two')])).toEqual([
    {
      object: {
        ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', namespace: 'shop', name: 'web' },
        uid: 'uid of web',
      },
      ...{ reason: 'StaleHPADeleted', message: `${sentence('one')} ${sentence('two')}`, time: now() },
    },
  ]);
});

test('a message has 1,024 characters at most, and shows where it was cut', async () => {
  const name = 'n'.repeat(1_024 - sentence('').length);
  const [[whole], [cut]] = [await toldOf([deletedOf('web', name)]), await toldOf([deletedOf('web', `${name}n`)])];
  expect(whole?.message).toBe(sentence(name));
  expect(cut?.message).toBe(`${sentence(`${name}n`).slice(0, 1_023)}…`);
});

test('an API server that does not answer is waited for five seconds, and nobody is told behind that', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const gateways = Array.from({ length: 21 }, (_, number) => `web-${number}`);
  const begun: ((reason: Error) => void)[] = [];
  let ended = false;
  const telling = tell(
    gateways.map((gateway) => deletedOf(gateway, 'one')),
    () => new Promise((_, reject) => begun.push(reject)),
  ).then(() => {
    ended = true;
  });
  await vi.advanceTimersByTimeAsync(4_999);
  expect([ended, lines]).toEqual([false, []]);
  await vi.advanceTimersByTimeAsync(1);
  const said = gateways.map((gateway) => [
    'no Event written',
    { cluster: 'shop', passId: 'pass-1', object: `Gateway shop/${gateway}`, why: 'no answer within 5 s' },
  ]);
  expect([ended, lines]).toEqual([true, said]);

  for (const refuse of begun) refuse(new Error('too late'));
  await vi.advanceTimersByTimeAsync(0);
  expect([begun.length, lines]).toEqual([20, said]);
  await telling;
});
