// I2: one activity per task attempt, and none for a task that an earlier round has done. I7: what is written here is history: ids, digests, words.
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  allHandlersFinished,
  condition,
  isCancellation,
  setHandler,
} from '@temporalio/workflow';
import type { ResolveResult } from '../activities/types.ts';
import type { RunId } from '../src/core/model/ids.ts';
import type { RunEnd } from '../src/core/scheduler/events.ts';
import { Board } from './board.ts';
import { platformFailure } from './failure.ts';
import { Gates } from './gates.ts';
import { Locks } from './locks.ts';
import { runView } from './messages.ts';
import type { RunInput, RunResult } from './messages.ts';
import { closer, keeper, resolver } from './options.ts';
import { Recorder } from './records.ts';
import { Walk } from './walk.ts';

type ReadyPlan = Extract<ResolveResult, { type: 'ready' }>;

/** Takes one commit through its plan. Fails when the run fails, and is cancelled when a person cancels it: Temporal's own lists show how it ended. */
export async function run({ run: id, application }: RunInput): Promise<RunResult> {
  const root = CancellationScope.current();
  const board = new Board(id);
  setHandler(runView, () => board.view());
  const recorder = new Recorder(id);
  const parts = { run: id, application, board, recorder, locks: new Locks(id, application), gates: new Gates(id) };

  const resolved = await resolve(id);
  const end = await CancellationScope.nonCancellable(async () => {
    const reached = resolved.type === 'ready' ? await walk(parts, resolved, root) : resolved;
    await finish(parts, reached);
    return reached;
  });
  return conclude(end, root.consideredCancelled);
}

async function resolve(run: RunId): Promise<ReadyPlan | (RunEnd & { readonly type?: never })> {
  try {
    const resolved = await resolver.resolve.executeWithOptions(
      { activityId: 'resolve', summary: 'fetch the commit, read its plan' },
      [{ run }],
    );
    switch (resolved.type) {
      case 'ready':
        return resolved;
      case 'skipped':
        return { status: 'skipped', reason: resolved.reason };
      case 'failed':
        return { status: 'failed', code: resolved.code, reason: resolved.reason };
    }
  } catch (error) {
    if (isCancellation(error)) return { status: 'cancelled', reason: 'the run was cancelled' };
    const failure = platformFailure(error);
    if (failure === undefined) throw error;
    return { status: 'failed', ...failure };
  }
}

type Parts = Pick<
  ConstructorParameters<typeof Walk>[0],
  'run' | 'application' | 'board' | 'recorder' | 'locks' | 'gates'
>;

async function walk(
  parts: Parts,
  { planDigest, graph, seeded, trusts }: ReadyPlan,
  root: CancellationScope,
): Promise<RunEnd> {
  parts.board.open(graph);
  // A keeper that begins again after a reconnect outlives the task that asked for it.
  const parent = CancellationScope.current();
  let keeping = trusts.length === 0 ? undefined : keepTrusts(parts, trusts, parent);
  const onReconnected = () => {
    if (keeping?.hasEnded() === true) keeping = keepTrusts(parts, trusts, parent);
  };
  const end = await new Walk({ ...parts, planDigest, graph, seeded, onReconnected }).run(root);
  keeping?.cancel();
  return end;
}

interface Keeping {
  readonly cancel: () => void;
  readonly hasEnded: () => boolean;
}

/** Keeps tokens fresh as long as the run lasts. When that ends early the run goes on: a deploy that needs the trust waits for a person then. */
function keepTrusts({ run, board, recorder }: Parts, trusts: readonly string[], parent: CancellationScope): Keeping {
  const scope = new CancellationScope({ cancellable: true, parent });
  let hasEnded = false;
  const options = { activityId: 'keepTrusts', summary: `keep ${trusts.join(', ')}` };
  void scope
    .run(() => keeper.keepTrusts.executeWithOptions(options, [{ run, trusts }]))
    .catch(async (error: unknown) => {
      hasEnded = true;
      if (isCancellation(error)) return;
      const failure = platformFailure(error);
      if (failure === undefined) throw error;
      const warning = `${failure.code}: the trusts ${trusts.join(', ')} are no longer kept: ${failure.reason}`;
      board.note(warning);
      recorder.add({ warnings: [warning] });
      await recorder.flush();
    });
  return { cancel: () => scope.cancel(), hasEnded: () => hasEnded };
}

async function finish({ run, board, recorder }: Parts, { status, code, reason }: RunEnd): Promise<void> {
  const records = await recorder.drain();
  board.end(status, reason);
  const end = { status, ...(code !== undefined && { code }), ...(reason !== undefined && { reason }) };
  try {
    await closer.finish.executeWithOptions({ summary: `run is ${status}` }, [{ run, ...end, records }]);
  } catch (error) {
    // Refused for good: the reconciler sees a closed workflow beside an open row.
    if (!(error instanceof ActivityFailure)) throw error;
  }
  await condition(allHandlersFinished); // an approver's Update would be lost
}

function conclude({ status, code, reason = '' }: RunEnd, wasCancelled: boolean): RunResult {
  const result: RunResult = { status, ...(reason !== '' && { reason }) };
  if (status === 'cancelled' && wasCancelled) throw new CancelledFailure(reason);
  if (status !== 'failed') return result;
  const type = code ?? 'task-failed';
  const details = [result];
  const failure = ApplicationFailure.create({ message: reason, type, nonRetryable: true, details, category: 'BENIGN' });
  failure.stack = ''; // whoever reads the result wants the reason, not our files
  throw failure;
}
