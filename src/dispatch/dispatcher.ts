// The outbox of the rows (I1): what is written there reaches Temporal, however often either of them, or this process, is away meanwhile.
// Every step may be repeated: the engine's answers are the same, and rows are marked only after them.
import { DomainError } from '../core/errors.ts';
import type { Decision } from '../core/gate/gate.ts';
import { isTerminal } from '../core/model/status.ts';
import type { Logger } from '../ports/logger.ts';
import type { RunEngine } from '../ports/run-engine.ts';
import type { RunRow, Store } from '../ports/store.ts';
import { describeError, startLane } from './lane.ts';
import type { Lane } from './lane.ts';
import { createReconciler } from './reconcile.ts';

export interface DispatcherOptions {
  readonly store: Pick<Store, 'runs' | 'gates'>;
  readonly engine: RunEngine;
  readonly logger: Logger;
  readonly pollMs?: number;
  readonly reconcileMs?: number;
  /** How long a row may stay open after its workflow has closed: the time that a last record takes. */
  readonly graceMs?: number;
  /** So long after a wake another delivery may be on its way: a burst is taken in first, its runs start one after the other meanwhile. */
  readonly burstMs?: number;
}

export interface Dispatcher {
  /** There is something new in the rows. Cheap, never throws. */
  wake(): void;
  /** Resolves when the calls that are under way have ended. */
  stop(): Promise<void>;
}

const batch = 50;
const atOnce = 8;

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { store, engine, logger, pollMs = 1_000, reconcileMs = 10_000, graceMs = 10_000, burstMs = 200 } = options;
  const { runs, gates } = store;
  let wokenAtMs = -Infinity;
  const width = (): number => (performance.now() - wokenAtMs < burstMs ? 1 : atOnce);
  function startOutbox<Row>(
    name: string,
    read: () => Promise<readonly Row[]>,
    handle: (options: DispatcherOptions, row: Row) => Promise<void>,
  ): Lane {
    const work = (signal: AbortSignal): Promise<boolean> =>
      drain(read, { handle: (row) => handle(options, row), width, signal });
    return startLane({ name, pollMs, logger, work });
  }
  // A lane each: a decision that waits for a worker must not hold up a start.
  const outboxes = [
    startOutbox('starts', () => runs.unstarted(batch), startRun),
    startOutbox('decisions', () => gates.undelivered(batch), deliverDecision),
    startOutbox('cancels', () => runs.undeliveredCancels(batch), deliverCancel),
  ];
  const work = createReconciler({ store, engine, logger, graceMs });
  const reconcile = startLane({ name: 'reconcile', pollMs: reconcileMs, logger, work });
  return {
    wake: () => {
      wokenAtMs = performance.now();
      for (const lane of outboxes) lane.wake();
    },
    stop: async () => {
      await Promise.all([...outboxes, reconcile].map((lane) => lane.stop()));
    },
  };
}

async function startRun(options: DispatcherOptions, row: RunRow): Promise<void> {
  const { store, engine, logger } = options;
  if (row.cancelRequestedBy !== undefined && (await endBeforeStart(options, row, row.cancelRequestedBy))) return;
  const answer = await startOrFail(options, row);
  if (answer === undefined) return;
  if (answer.type === 'conflict') {
    const renumbered = await store.runs.renumber(row.id);
    logger.warn({ runId: row.id, renumbered }, 'run renumbered: Temporal knows the number with another delivery');
    await startRun(options, { ...row, ...(await store.runs.get(renumbered)) });
    return;
  }
  await store.runs.markStarted(row.id, answer.temporalRunId);
  logger.info({ runId: row.id, temporalRunId: answer.temporalRunId }, 'run started');
  const now = await store.runs.get(row.id);
  if (now !== undefined && isTerminal(now.status)) await engine.cancelRun(row.id); // ended in its row meanwhile
}

/** A run that Temporal refuses as such would be refused for ever: its row says so (I1). */
async function startOrFail({ store, engine, logger }: DispatcherOptions, row: RunRow) {
  try {
    return await engine.startRun(row);
  } catch (error) {
    if (!(error instanceof DomainError) || error.code !== 'internal') throw error;
    logger.error({ runId: row.id, ...describeError(error) }, 'run cannot be started');
    await store.runs.finish(row.id, { status: 'failed', code: 'internal', reason: error.message });
    return undefined;
  }
}

/** False when its workflow exists after all: a start may have been cut off before it was marked. */
async function endBeforeStart({ store, engine, logger }: DispatcherOptions, row: RunRow, by: string): Promise<boolean> {
  const answer = await engine.cancelRun(row.id);
  if (answer === 'gone') {
    await store.runs.finish(row.id, {
      status: 'cancelled',
      code: undefined,
      reason: `cancelled by ${by} before it began`,
    });
  }
  await store.runs.markCancelDelivered(row.id);
  logger.info({ runId: row.id, by, answer }, 'cancel delivered');
  return answer === 'gone';
}

async function deliverDecision({ store, engine, logger }: DispatcherOptions, decision: Decision): Promise<void> {
  const answer = await engine.deliverDecision(decision);
  await store.gates.markDelivered(decision.id);
  logger.info({ runId: decision.run, gate: decision.gate, answer }, 'decision delivered');
}

/** `gone`: its workflow has closed, and the reconciler reads how. */
async function deliverCancel({ store, engine, logger }: DispatcherOptions, row: RunRow): Promise<void> {
  const answer = await engine.cancelRun(row.id);
  await store.runs.markCancelDelivered(row.id);
  logger.info({ runId: row.id, by: row.cancelRequestedBy, answer }, 'cancel delivered');
}

interface Handling<Row> {
  readonly handle: (row: Row) => Promise<void>;
  /** How many at once, right now. */
  readonly width: () => number;
  readonly signal: AbortSignal;
}

/** Handles all rows, a few at once; true when there may be more. One that fails does not hold up the others: it stays in its row, and the lane looks again. */
async function drain<Row>(
  read: () => Promise<readonly Row[]>,
  { handle, width, signal }: Handling<Row>,
): Promise<boolean> {
  const rows = [...(await read())];
  const isFull = rows.length >= batch;
  const failed: unknown[] = [];
  while (rows.length > 0 && !signal.aborted) {
    const together = rows.splice(0, width());
    await Promise.all(together.map((row) => handle(row).catch((error: unknown) => failed.push(error))));
    // Nobody there: the rest would only wait for the same.
    if (failed.length >= atOnce) break;
  }
  if (failed.length > 0) throw failed[0];
  return isFull;
}
