// I5: an environment stays locked until those who read its deploy's outputs have ended; never across a gate, and never two at once (I3: no deadlock).
import type { TaskName } from '../model/ids.ts';
import type { PlanProblem } from '../plan/problem-kinds.ts';
import { problem } from '../plan/problem-kinds.ts';
import { quote } from './nearest-name.ts';
import type { Scope } from './scope.ts';

export interface Locks {
  /** Who keeps the lock of a deploy held, by the deploy's name; a deploy that nobody reads is not in it. */
  readonly readers: ReadonlyMap<TaskName, ReadonlySet<TaskName>>;
  readonly problems: readonly PlanProblem[];
}

interface Reading {
  readonly deploy: TaskName;
  readonly reader: TaskName;
  readonly pointer: string;
}

function findReadings({ draft, deploys }: Scope): readonly Reading[] {
  const names = new Set(deploys.map(({ task }) => task.name));
  return draft.tasks.flatMap(({ task, outputs }) =>
    outputs
      .filter((one) => names.has(one.task))
      .map((one) => ({ deploy: one.task, reader: task.name, pointer: one.pointer })),
  );
}

/** The approval between a deploy and its reader. */
function findGate({ approvals, ancestry }: Scope, { deploy, reader }: Reading): TaskName | undefined {
  return approvals.find(({ name }) => ancestry.isBefore(deploy, name) && ancestry.isBefore(name, reader))?.name;
}

function warnOfGate({ deploy, reader, pointer }: Reading, gate: TaskName): PlanProblem {
  const message = `${quote(reader)} reads ${quote(deploy)} after the approval ${quote(gate)}: another run may have deployed there by then`;
  return problem('reader-behind-gate', pointer, message, 'Let it run before the approval.');
}

/** A deploy that the reader waits for, and that is not over when the lock is taken. */
function findNested({ deploys, ancestry }: Scope, { deploy, reader }: Reading): TaskName | undefined {
  return deploys.find(
    ({ task: { name } }) => name !== deploy && ancestry.isBefore(name, reader) && !ancestry.isBefore(name, deploy),
  )?.task.name;
}

function refuseNested({ deploy, reader, pointer }: Reading, nested: TaskName): PlanProblem {
  const message = `${quote(nested)} would deploy while the environment of ${quote(deploy)} is locked for ${quote(reader)}`;
  const remedy = `Let ${nested} come before ${deploy}, or let ${reader} not wait for it.`;
  return problem('lock-nested', pointer, message, remedy);
}

export function findLocks(scope: Scope): Locks {
  const readers = new Map<TaskName, Set<TaskName>>();
  const problems: PlanProblem[] = [];
  for (const reading of findReadings(scope)) {
    const gate = findGate(scope, reading);
    if (gate !== undefined) {
      problems.push(warnOfGate(reading, gate));
      continue;
    }
    const nested = findNested(scope, reading);
    if (nested !== undefined) problems.push(refuseNested(reading, nested));
    readers.set(reading.deploy, (readers.get(reading.deploy) ?? new Set()).add(reading.reader));
  }
  return { readers, problems };
}
