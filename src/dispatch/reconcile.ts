// Compares open rows with Temporal and repairs what a crash or a hand in the Temporal UI left behind (I1, I6: the row says how it ended).
import type { RunId } from '../core/model/ids.ts';
import type { TerminalStatus } from '../core/model/status.ts';
import type { Logger } from '../ports/logger.ts';
import type { RunEngine } from '../ports/run-engine.ts';
import type { RunRow, Store } from '../ports/store.ts';

export interface ReconcilerOptions {
  readonly store: Pick<Store, 'runs'>;
  readonly engine: RunEngine;
  readonly logger: Logger;
  readonly graceMs: number;
}

interface End {
  readonly status: TerminalStatus;
  readonly code: 'internal' | undefined;
  readonly reason: string;
}

/** One look at all open rows. A row is ended only when its workflow was seen closed twice, `graceMs` apart: the last record may be on its way. */
export function createReconciler({
  store,
  engine,
  logger,
  graceMs,
}: ReconcilerOptions): (signal: AbortSignal) => Promise<boolean> {
  const seenClosed = new Map<RunId, number>();
  return async (signal) => {
    const rows = (await store.runs.open()).filter((row) => row.temporalRunId !== undefined);
    const open = new Set(rows.map((row) => row.id));
    for (const run of seenClosed.keys()) if (!open.has(run)) seenClosed.delete(run);
    for (const row of rows) {
      if (signal.aborted) break;
      await look(row);
    }
    return false;
  };

  async function look(row: RunRow): Promise<void> {
    const closedAs = await engine.closedStatus(row.id);
    if (closedAs === undefined && (await engine.isOpen(`run/${row.id}`))) {
      seenClosed.delete(row.id);
      return;
    }
    const sinceMs = seenClosed.get(row.id);
    if (sinceMs === undefined) seenClosed.set(row.id, performance.now());
    if (sinceMs === undefined || performance.now() - sinceMs < graceMs) return;
    const end = endOf(closedAs, row);
    await store.runs.finish(row.id, end);
    seenClosed.delete(row.id);
    logger.warn({ runId: row.id, closedAs: closedAs ?? 'unknown', ...end }, 'run ended by the reconciler');
  }
}

function endOf(closedAs: Awaited<ReturnType<RunEngine['closedStatus']>>, row: RunRow): End {
  const again = `"loam retry ${row.application}/${row.number}" runs what is left`;
  switch (closedAs) {
    case 'cancelled':
      return {
        status: 'cancelled',
        code: undefined,
        reason: row.cancelRequestedBy === undefined ? 'cancelled in Temporal' : `cancelled by ${row.cancelRequestedBy}`,
      };
    case 'terminated':
      return { status: 'cancelled', code: undefined, reason: `terminated in Temporal; ${again}` };
    case 'completed':
    case 'failed':
    case 'timed-out':
      return {
        status: 'failed',
        code: 'internal',
        reason: `its workflow ended as ${closedAs} without a last record; ${again}`,
      };
    case undefined:
      return { status: 'failed', code: 'internal', reason: `Temporal does not know its workflow any more; ${again}` };
  }
}
