import { DomainError } from '../core/errors.ts';
import type { Logger } from '../ports/logger.ts';

export interface Lane {
  /** Looks now; several calls while it works become one further look. */
  wake(): void;
  /** Resolves when the look that is under way has ended. */
  stop(): Promise<void>;
}

export interface LaneOptions {
  readonly name: string;
  readonly pollMs: number;
  readonly logger: Logger;
  /** One look; true when there may be more to do right now. Throws to be asked again later. */
  readonly work: (signal: AbortSignal) => Promise<boolean>;
}

const firstBackoffMs = 200;
const maxBackoffMs = 10_000;

/** A loop that works when woken and at least every `pollMs`. After a failure it waits longer each time, and never gives up (I1). */
export function startLane({ name, pollMs, logger, work }: LaneOptions): Lane {
  const stopping = new AbortController();
  let failures = 0;
  let awake = Promise.withResolvers<undefined>();
  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      awake = Promise.withResolvers();
      const waitMs = await look();
      const timer = setTimeout(() => awake.resolve(undefined), waitMs);
      await awake.promise;
      clearTimeout(timer);
    }
  }
  async function look(): Promise<number> {
    try {
      const hasMore = await work(stopping.signal);
      if (failures > 0) logger.info({ lane: name, failures }, 'dispatch works again');
      failures = 0;
      return hasMore ? 0 : pollMs;
    } catch (error) {
      failures += 1;
      if (failures === 1 || failures % 60 === 0)
        logger.warn({ lane: name, failures, ...describeError(error) }, 'dispatch waits');
      return Math.min(firstBackoffMs * 2 ** Math.min(failures - 1, 10), maxBackoffMs);
    }
  }
  const ended = loop();
  return {
    wake: () => awake.resolve(undefined),
    stop: async () => {
      stopping.abort();
      awake.resolve(undefined);
      await ended;
    },
  };
}

export function describeError(error: unknown): { readonly code: string; readonly reason: string } {
  if (error instanceof DomainError) return { code: error.code, reason: error.message };
  return { code: 'internal', reason: error instanceof Error ? error.message : String(error) };
}
