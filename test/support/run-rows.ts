import { formatRunId, parseApplicationName, parseSha } from '../../src/core/model/ids.ts';
import type { Logger } from '../../src/ports/logger.ts';
import type { RunRow } from '../../src/ports/store.ts';

export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // tests look at results, not at logs
}

export function makeRunRow(change: Partial<RunRow> = {}): RunRow {
  const application = change.application ?? parseApplicationName('thingy');
  const { number = 1, round = 1 } = change;
  return {
    id: formatRunId({ application, number, round }),
    application,
    number,
    round,
    delivery: 'delivery-1',
    commit: parseSha('a'.repeat(40)),
    ref: 'refs/heads/main',
    message: 'Say hello',
    author: 'Ann',
    status: 'pending',
    code: undefined,
    reason: undefined,
    planDigest: undefined,
    snapshot: undefined,
    warnings: [],
    temporalRunId: undefined,
    cancelRequestedBy: undefined,
    createdAtMs: 1_700_000_000_000,
    startedAtMs: undefined,
    finishedAtMs: undefined,
    ...change,
  };
}

/** Waits for a condition; throws with its name when the deadline has passed. */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
