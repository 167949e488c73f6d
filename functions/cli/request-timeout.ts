/** Milliseconds that one request to a cluster may take: a person waits, and may be far away. */
export const REQUEST_TIMEOUT = 30_000;
