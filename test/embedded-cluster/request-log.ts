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
