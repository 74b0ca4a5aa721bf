// I4: which decision holds beyond the gate that it was made at: in a later round, and for a deploy.
import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type { GateSubject } from '../../core/gate/gate.ts';
import type { EnvironmentName, RunId } from '../../core/model/ids.ts';
import type { NewGate } from '../../ports/store.ts';
import type { DecisionTable, GateTable, RunTable, Tables } from './tables.ts';
import { fromJson } from './values.ts';

/** An approval of an earlier round for the same subjects holds; a rejection does not: who retries wants to ask again. */
export async function findEarlierApproval(
  db: Transaction<Tables>,
  run: RunTable,
  gate: NewGate,
  subjects: string,
): Promise<DecisionTable | undefined> {
  if (gate.preview.reconnect !== undefined) return undefined;
  const newest = await selectDecisions(db)
    .where('runs.application', '=', run.application)
    .where('runs.number', '=', run.number)
    .where('runs.round', '<', run.round)
    .where('gates.gate', '=', gate.gate)
    .where('gates.environment', '=', gate.environment)
    .where('gates.subjects', '=', subjects)
    .orderBy('runs.round', 'desc')
    .orderBy('decisions.opening', 'desc')
    .limit(1)
    .executeTakeFirst();
  return newest?.verdict === 'approved' ? newest : undefined;
}

/** The same person's word at the same time, as a row of this round: the workflow finds the decision of its own gate, and needs no message about it. */
export function carryOver(approval: DecisionTable, { run, opening }: GateTable): DecisionTable {
  return { ...approval, id: randomUUID(), run, opening, delivered: 1 };
}

/** The approval of any round of this run for exactly this deploy. */
export async function findApprovalFor(
  db: Kysely<Tables>,
  run: RunId,
  environment: EnvironmentName,
  subject: GateSubject,
): Promise<DecisionTable | undefined> {
  const rows = await selectDecisions(db)
    .innerJoin('runs as asking', (join) =>
      join.onRef('asking.application', '=', 'runs.application').onRef('asking.number', '=', 'runs.number'),
    )
    .select('gates.subjects')
    .where('asking.id', '=', run)
    .where('gates.environment', '=', environment)
    .orderBy('runs.round', 'desc')
    .orderBy('decisions.atMs', 'desc')
    .execute();
  // The newest word on exactly this deploy counts: a later rejection takes an approval back.
  const newest = rows.find(({ subjects }) =>
    (fromJson(subjects) as readonly GateSubject[]).some((one) => isSameSubject(one, subject)),
  );
  return newest?.verdict === 'approved' ? newest : undefined;
}

/** Each with its run, and the gate that it was made at. */
function selectDecisions(db: Kysely<Tables>) {
  return db
    .selectFrom('decisions')
    .innerJoin('runs', 'runs.id', 'decisions.run')
    .innerJoin('gates', (join) =>
      join
        .onRef('gates.run', '=', 'decisions.run')
        .onRef('gates.gate', '=', 'decisions.gate')
        .onRef('gates.opening', '=', 'decisions.opening'),
    )
    .selectAll('decisions');
}

function isSameSubject(one: GateSubject, other: GateSubject): boolean {
  return one.task === other.task && one.template === other.template && one.image === other.image;
}
