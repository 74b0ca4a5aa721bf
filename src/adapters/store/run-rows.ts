import type { Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { RunId } from '../../core/model/ids.ts';
import type { RunRow } from '../../ports/store.ts';
import type { RunTable, Tables } from './tables.ts';
import { cutText, fromJson, present, toJson } from './values.ts';

const maxWarnings = 200;

export function toRunRow(row: RunTable): RunRow {
  return {
    id: row.id,
    application: row.application,
    number: row.number,
    round: row.round,
    delivery: row.delivery,
    commit: row.commit,
    ref: row.ref,
    message: row.message,
    author: row.author,
    status: row.status,
    code: present(row.code),
    reason: present(row.reason),
    planDigest: present(row.planDigest),
    snapshot: present(row.snapshot),
    warnings: fromJson(row.warnings) as readonly string[],
    temporalRunId: present(row.temporalRunId),
    cancelRequestedBy: present(row.cancelRequestedBy),
    createdAtMs: row.createdAtMs,
    startedAtMs: present(row.startedAtMs),
    finishedAtMs: present(row.finishedAtMs),
  };
}

export function unknownRun(run: RunId): DomainError {
  return new DomainError('run-unknown', `there is no run ${run}; "loam runs" lists those that are`);
}

/** Locks the row until the transaction ends, also on PostgreSQL. */
export async function lockRun(db: Transaction<Tables>, run: RunId): Promise<RunTable> {
  const row = await db.updateTable('runs').set({ id: run }).where('id', '=', run).returningAll().executeTakeFirst();
  if (row === undefined) throw unknownRun(run);
  return row;
}

/** Each warning once: an activity that runs again says the same again. */
export function addWarnings(row: RunTable, more: readonly string[]): string {
  const all = new Set([...(fromJson(row.warnings) as readonly string[]), ...more.map((one) => cutText(one, 500))]);
  return toJson([...all].slice(0, maxWarnings));
}
