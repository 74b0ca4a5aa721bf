// Tells forges how runs and gates stand. An outbox like the others: a run never waits for it, and it never fails one. At least once, and the newest last.
import { DomainError } from '../core/errors.ts';
import type { TaskName } from '../core/model/ids.ts';
import type { CommitStatus, DueStatus, StatusSender } from '../ports/commit-status.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import { describeError, startLane } from './lane.ts';
import type { Lane } from './lane.ts';

export interface StatusOptions {
  readonly store: Pick<Store, 'statuses'>;
  readonly sender: StatusSender;
  readonly logger: Logger;
  readonly runUrl: (status: DueStatus) => string;
  readonly pollMs?: number;
  /** How long one that was not taken waits for its next try. */
  readonly retryMs?: number;
}

const batch = 50;
const atOnce = 4;
const sendTimeoutMs = 10_000;
/** Of a sender that died. Far above the timeout: who has lost its claim must not have a request under way. */
const claimMs = 30_000;
/** Wrong token, unknown repository: somebody has to change something. Meanwhile it is tried now and then. */
const refusedMs = 3_600_000;

export function reportStatuses(options: StatusOptions): Lane {
  const { store, logger, pollMs = 2_000 } = options;
  return startLane({
    name: 'statuses',
    pollMs,
    logger,
    work: async (signal) => {
      const due = [...(await store.statuses.due(batch))];
      const isFull = due.length >= batch;
      while (due.length > 0 && !signal.aborted)
        await Promise.all(due.splice(0, atOnce).map((one) => tell(options, one, signal)));
      return isFull;
    },
  });
}

async function tell(options: StatusOptions, due: DueStatus, signal: AbortSignal): Promise<void> {
  const { store, sender, logger, retryMs = 15_000 } = options;
  const { run, gate, application } = due;
  const [place, token] = await Promise.all([store.statuses.place(application), store.statuses.token(application)]);
  if (place === undefined || token === undefined || !(await store.statuses.claim(due, claimMs))) return;
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(sendTimeoutMs)]);
    await sender.send({ ...place, token }, describe(due, options.runUrl(due)), limit);
    await store.statuses.markTold(due);
    logger.debug({ runId: run, gate, state: due.state }, 'commit status told');
  } catch (error) {
    if (signal.aborted) {
      await store.statuses.putOff(due, 0);
      return;
    }
    logger.warn({ runId: run, gate, ...describeError(error) }, 'commit status not told');
    const isRefused = error instanceof DomainError && error.code === 'status-refused';
    await (isRefused ? store.statuses.putOff(due, refusedMs, error.message) : store.statuses.putOff(due, retryMs));
  }
}

function describe(due: DueStatus, url: string): CommitStatus {
  const { application, gate, commit } = due;
  const context = gate === undefined ? `loam/${application}` : `loam/${application}/${gate}`;
  return { commit, context, url, ...(gate === undefined ? describeRun(due) : describeGate(due, gate)) };
}

type Told = Pick<CommitStatus, 'state' | 'description'>;

const runStates: Readonly<Record<string, CommitStatus['state']>> = {
  succeeded: 'success',
  skipped: 'success',
  failed: 'failure',
  cancelled: 'error',
};

function describeRun({ run, state, reason }: DueStatus): Told {
  return {
    state: runStates[state] ?? 'pending',
    description: reason === undefined ? `${run} ${state}` : `${run} ${state}: ${reason}`,
  };
}

/** Its state is opening, status and verdict. */
function describeGate({ run, state, reason = 'a person' }: DueStatus, gate: TaskName): Told {
  const [, status, verdict] = state.split('/');
  if (status === 'open') return { state: 'pending', description: `waits for a person: loam approve ${run} ${gate}` };
  if (status !== 'decided')
    return { state: status === 'expired' ? 'failure' : 'error', description: `${gate} ${status ?? ''}` };
  return { state: verdict === 'approved' ? 'success' : 'failure', description: `${verdict ?? ''} by ${reason}` };
}
