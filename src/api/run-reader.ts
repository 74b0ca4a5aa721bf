// Reads runs for the doors. Several readers of one run at the same moment share one look into the database.
import { DomainError } from '../core/errors.ts';
import type { CompiledPlan } from '../core/plan/plan.ts';
import type { ApplicationName, Digest, RunId, TaskName } from '../core/model/ids.ts';
import { formatRunId } from '../core/model/ids.ts';
import type { BlobStore } from '../ports/blob-store.ts';
import type { RunRow, Store } from '../ports/store.ts';
import type { AttemptRow } from '../ports/task-store.ts';
import type { GateView, RunDetail, RunView, TaskView } from './schema.ts';
import { viewAttempt, viewGate, viewRun, viewTask } from './view.ts';
import type { Links } from './view.ts';

export interface RunAddress {
  readonly application: ApplicationName;
  readonly number: number;
  /** Undefined: the newest. */
  readonly round: number | undefined;
}

export interface RunSnapshot {
  readonly run: RunView;
  readonly tasks: readonly TaskView[];
  readonly gates: readonly GateView[];
}

export interface RunReader {
  /** Throws `run-unknown`. */
  require(address: RunAddress): Promise<RunRow>;
  /** With the attempts of this round. */
  detail(run: RunId): Promise<RunDetail>;
  /** At most `snapshotAgeMs` old. */
  snapshot(run: RunId): Promise<RunSnapshot>;
  /** The plan that the run was compiled from; undefined before `resolve`. */
  plan(row: RunRow): Promise<CompiledPlan | undefined>;
  /** The attempt whose log is meant: of this round, or of the earlier one that a kept task ran in. `attempt` undefined: the last. */
  attempt(row: RunRow, task: TaskName, attempt: number | undefined): Promise<AttemptRow | undefined>;
}

const snapshotAgeMs = 40;
const maxPlans = 50;

export function createRunReader(store: Store, blobs: Pick<BlobStore, 'read'>, links: Links): RunReader {
  const snapshots = new Map<RunId, Promise<RunSnapshot>>();

  async function readRow(run: RunId): Promise<RunRow> {
    const row = await store.runs.get(run);
    if (row === undefined) throw unknownRun(run);
    return row;
  }

  async function readGates(run: RunId): Promise<GateView[]> {
    const gates = await store.gates.list({ run });
    const decisions = gates.length === 0 ? [] : await store.gates.decisions(run);
    return gates.map((gate) => viewGate(gate, decisions));
  }

  async function readSnapshot(run: RunId): Promise<RunSnapshot> {
    const [row, tasks, gates] = await Promise.all([readRow(run), store.tasks.list(run), readGates(run)]);
    return { run: viewRun(links, row), tasks: tasks.map(viewTask), gates };
  }

  return {
    require: async ({ application, number, round }) => {
      const row =
        round === undefined
          ? await store.runs.newest(application, number)
          : await store.runs.get(formatRunId({ application, number, round }));
      if (row === undefined) throw unknownRun(`${application}/${number}${round === undefined ? '' : `/${round}`}`);
      return row;
    },
    detail: async (run) => {
      const [row, tasks, attempts, gates] = await Promise.all([
        readRow(run),
        store.tasks.list(run),
        store.tasks.attempts(run),
        readGates(run),
      ]);
      return {
        ...viewRun(links, row),
        warnings: [...row.warnings],
        tasks: tasks.map((task) => ({
          ...viewTask(task),
          attempts: attempts.filter((one) => one.task === task.name).map(viewAttempt),
        })),
        gates,
      };
    },
    snapshot: (run) => {
      const recent = snapshots.get(run);
      if (recent !== undefined) return recent;
      const fresh = readSnapshot(run);
      snapshots.set(run, fresh);
      setTimeout(() => snapshots.delete(run), snapshotAgeMs).unref();
      return fresh;
    },
    plan: createPlanReader(blobs),
    attempt: (row, task, attempt) => findAttempt(store, row, task, attempt),
  };
}

function createPlanReader(blobs: Pick<BlobStore, 'read'>): RunReader['plan'] {
  const plans = new Map<Digest, CompiledPlan>();
  return async ({ planDigest }) => {
    if (planDigest === undefined) return undefined;
    const known = plans.get(planDigest);
    if (known !== undefined) return known;
    // Written by `resolve` under its digest: it is what it was then.
    const plan = JSON.parse(new TextDecoder().decode(await blobs.read(planDigest))) as CompiledPlan;
    const [oldest] = plans.keys();
    if (plans.size >= maxPlans && oldest !== undefined) plans.delete(oldest);
    plans.set(planDigest, plan);
    return plan;
  };
}

async function findAttempt(
  store: Store,
  row: RunRow,
  task: TaskName,
  attempt: number | undefined,
): Promise<AttemptRow | undefined> {
  for (let round = row.round; round >= 1; round -= 1) {
    const run = formatRunId({ ...row, round });
    const attempts = (await store.tasks.attempts(run)).filter((one) => one.task === task);
    const found = attempt === undefined ? attempts.at(-1) : attempts.find((one) => one.attempt === attempt);
    if (found !== undefined) return found;
    if (attempt === undefined && !(await isKept(store, run, task))) return undefined;
  }
  return undefined;
}

async function isKept(store: Store, run: RunId, task: TaskName): Promise<boolean> {
  return (await store.tasks.list(run)).some((one) => one.name === task && one.kept);
}

function unknownRun(run: string): DomainError {
  return new DomainError('run-unknown', `There is no run "${run}"`);
}
