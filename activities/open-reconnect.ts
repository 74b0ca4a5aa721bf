// A deploy whose trust was withdrawn waits at a gate of its own. What answers it is a trust that works again, not a verdict (I4: it approves nothing).
import { DomainError } from '../src/core/errors.ts';
import type { Decision, Gate } from '../src/core/gate/gate.ts';
import { isWithdrawn, reconnectGate } from '../src/core/gate/reconnect.ts';
import type { DeployStackTask } from '../src/core/graph/graph.ts';
import { cut } from './attempt.ts';
import { readPlan, readRun } from './compiled-plan.ts';
import type { Room } from './dependencies.ts';
import { openingOf } from './open-gate.ts';
import { trustOf } from './release-config.ts';
import { readTrust } from './trust-token.ts';
import type { GateOpening, TaskInput } from './types.ts';

export async function openReconnect(
  room: Room,
  { run, task, attempt, planDigest, reason }: TaskInput<DeployStackTask> & { readonly reason: string },
): Promise<GateOpening> {
  const row = await readRun(room, run);
  const environment = await room.store.environments.get(row.application, task.environment);
  const plan = await readPlan(room, planDigest);
  const name = trustOf(environment, plan, task.environment);
  if (name === undefined)
    throw new DomainError('trust-unknown', `environment ${task.environment} has no trust any more`);
  const opened = await room.store.gates.open({
    run,
    gate: reconnectGate(task.environment),
    environment: task.environment,
    subjects: [],
    preview: {
      application: row.application,
      fromRelease: environment?.liveRelease,
      fromCommit: undefined,
      toCommit: row.commit,
      commits: [],
      moreCommits: false,
      configAdded: [],
      configRemoved: [],
      configChanged: [],
      digest: undefined,
      reconnect: { trust: name, task: task.name, attempt, reason: cut(reason) },
    },
    timeoutMs: room.limits.reconnectMs,
  });
  return openingOf(room, opened.gate, opened.decision ?? (await decideIfMended(room, opened.gate, name)));
}

/** Asked after the gate is there: whoever reconnects from now on finds it, and whoever was faster has changed the trust. */
async function decideIfMended(room: Room, { run, gate, opening }: Gate, trust: string): Promise<Decision | undefined> {
  if (isWithdrawn((await readTrust(room, trust)).state)) return undefined;
  const comment = 'the trust works again already';
  return (await room.store.gates.decide(run, gate, { verdict: 'approved', by: 'loam', comment, opening })).decision;
}
