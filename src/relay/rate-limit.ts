// I10: who sends without end gets 429 before the body is read.

const maxSources = 10_000;

/** A bucket of two seconds for each source. Returns whether one more may pass now. */
export function createRateLimit(perSecond: number): (source: string, nowMs: number) => boolean {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  const capacity = 2 * perSecond;
  return (source, nowMs) => {
    const { tokens, atMs } = buckets.get(source) ?? { tokens: capacity, atMs: nowMs };
    const filled = Math.min(capacity, tokens + ((nowMs - atMs) * perSecond) / 1_000);
    buckets.delete(source); // the newest is the last
    buckets.set(source, { tokens: filled >= 1 ? filled - 1 : filled, atMs: nowMs });
    if (buckets.size > maxSources) for (const oldest of buckets.keys()) return buckets.delete(oldest) && filled >= 1;
    return filled >= 1;
  };
}
