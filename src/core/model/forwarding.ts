// What a relay makes of the answers to what it forwards.

/** Asked for again later, as is everything from 500 on; what is refused otherwise would be refused again, and a person decides. */
const laterStatuses: ReadonlySet<number> = new Set([401, 403, 408, 429]);
const firstBackoffMs = 250;
const longestBackoffMs = 15_000;
const longestAskedMs = 600_000;

/** A redirect is no refusal and is not followed: somebody has to set the address right, and the delivery waits for that (I1). */
export function judgeForward(status: number): 'done' | 'dead' | 'retry' {
  if (status >= 200 && status < 300) return 'done';
  return status >= 400 && status < 500 && !laterStatuses.has(status) ? 'dead' : 'retry';
}

/** `Retry-After`: seconds, or an instant. Undefined when it says nothing. */
export function readRetryAfter(text: string | null, nowMs: number): number | undefined {
  if (text === null) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), longestAskedMs);
}

/** Doubles with each failure; half of it by chance (`random` from 0 to 1), so that lanes do not come back all at once. Never sooner than asked for. */
export function retryDelayMs(failures: number, random: number, askedMs = 0): number {
  const whole = Math.min(firstBackoffMs * 2 ** Math.min(failures - 1, 20), longestBackoffMs);
  return Math.max(askedMs, Math.round(whole / 2 + (whole / 2) * random));
}
