import { expect, onTestFinished, test } from 'vitest';
import type { HorizontalPodAutoscaler } from '../../functions/judgement/kubernetes-objects.ts';
import { isMarked } from '../../functions/judgement/ownership.ts';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { envoyHpa } from '../builders/cluster.ts';
import { connectionTo, type Intervention, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { FAULTS, type FaultName } from './process.ts';

const status = (code: number, message: string): Intervention => ({
  kind: 'respond',
  status: code,
  body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code },
});
const INTERVENTIONS: Partial<Record<FaultName, Intervention>> = {
  timeout: { kind: 'hang' },
  reset: { kind: 'reset' },
  'reset after the server acted': { kind: 'cut', after: 10 },
  401: status(401, 'Unauthorized'),
  403: status(403, 'x is forbidden: User "x" cannot list resource "x"'),
  409: status(409, 'the object has been modified'),
  410: status(410, 'too old resource version'),
  429: status(429, 'too many requests'),
  500: status(500, 'etcdserver: leader changed'),
  refused: status(403, 'admission webhook "x" denied the request'),
};

test.each(Object.keys(INTERVENTIONS) as FaultName[])(
  'makes of the fault %s what the adapter makes of it',
  async (name) => {
    const server = await startEmbeddedCluster();
    const api = clusterApi(connectionTo(server), 300);
    onTestFinished(async () => {
      api.close();
      await server.close();
    });
    server.load({ items: [envoyHpa()] });
    const [hpa] = (await api.hpas.list()) as [HorizontalPodAutoscaler];
    const calls = {
      list: [() => api.hpas.list(), () => api.config.read()],
      read: [() => api.hpas.get(hpa)],
      write: [() => api.hpas.mark(hpa), () => api.hpas.delete(hpa)],
      event: [],
    };
    const { of, answer, acts } = FAULTS[name];
    server.onRequest = () => INTERVENTIONS[name];
    for (const kind of of as readonly (keyof typeof calls)[]) {
      for (const call of calls[kind]) {
        const answered = await call().catch((error: Error) => error);
        const expected = answer();
        if (expected instanceof Error)
          expect([name, kind, (answered as Error).name]).toEqual([name, kind, expected.name]);
        else expect(answered).toMatchObject({ result: expected.result });
      }
    }
    server.onRequest = undefined;
    // The deletion was of the version before the mark.
    if (of.includes('write' as never)) expect((await api.hpas.list()).map(isMarked)).toEqual([acts === true]);
  },
);
