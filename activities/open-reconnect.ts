// A deploy whose trust was withdrawn waits at a gate of its own. What answers it is a trust that works again, not a verdict (I4: it approves nothing).
import { DomainError } from '../src/core/errors.ts';
import { isWithdrawn, reconnectGate } from '../src/core/gate/reconnect.ts';
import type { DeployStackTask } from '../src/core/graph/graph.ts';
import { cut } from './attempt.ts';
import { readPlan, readRun } from './compiled-plan.ts';
import type { Room } from './dependencies.ts';
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
  const gate = reconnectGate(task.environment);
  const opened = await room.store.gates.open({
    run,
    gate,
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
  const { opening, deadlineAtMs } = opened.gate;
  // Read after the gate is there: whoever reconnects from now on finds it, and whoever was faster has changed the trust.
  const { state } = await readTrust(room, name);
  const decision =
    opened.decision ??
    (isWithdrawn(state)
      ? undefined
      : (
          await room.store.gates.decide(run, gate, {
            verdict: 'approved',
            by: 'loam',
            comment: 'the trust works again already',
            opening,
          })
        ).decision);
  return {
    opening,
    remainingMs: Math.max(0, deadlineAtMs - room.clock.nowMs()),
    decision: decision === undefined ? undefined : { id: decision.id, verdict: decision.verdict, by: decision.by },
  };
}
