import type { Intervention, ReceivedRequest } from '../embedded-cluster/embedded-cluster.ts';

/** The answer of an overloaded API server. */
export function tooManyRequests(retryAfterSeconds: number): Intervention {
  return {
    kind: 'respond',
    status: 429,
    headers: { 'Retry-After': String(retryAfterSeconds), 'Content-Type': 'text/plain; charset=utf-8' },
    body: 'Too many requests, please try again later.\n',
  };
}

/**
 * The requests in waves: one is of a later wave than every request that was finished before it started. Give the
 * server a `latency`, so that the requests of a wave arrive before the first of them is answered.
 */
export function waves(requests: readonly ReceivedRequest[]): ReceivedRequest[][] {
  const grouped: ReceivedRequest[][] = [];
  const waveOf = new Map<ReceivedRequest, number>();
  for (const request of requests) {
    const earlier = requests.filter(({ finished }) => finished !== undefined && finished < request.started);
    const wave = 1 + Math.max(-1, ...earlier.map((one) => waveOf.get(one) ?? 0));
    waveOf.set(request, wave);
    grouped[wave] = [...(grouped[wave] ?? []), request];
  }
  return grouped;
}
