/** A request as the server received it; `finished` is absent while it is under way. */
export interface ReceivedRequest {
  method: string;
  /** Without the query. */
  path: string;
  query: URLSearchParams;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  username?: string;
  status?: number;
  /** Places in the order of all starts and finishes. */
  started: number;
  finished?: number;
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
