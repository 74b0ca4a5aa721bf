// I4: nothing in a message is believed. The run reads the decision from the database, the first one counts, and it counts for one opening only.
import { ApplicationFailure, CancellationScope, condition, setHandler } from '@temporalio/workflow';
import type { GateOpening } from '../activities/types.ts';
import type { ErrorCode } from '../src/core/errors.ts';
import type { Decision, Verdict } from '../src/core/gate/gate.ts';
import type { RunId, TaskName } from '../src/core/model/ids.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import { platformFailure } from './failure.ts';
import { decide } from './messages.ts';
import { reader } from './options.ts';

type KnownDecision = Pick<Decision, 'id' | 'verdict' | 'by'>;

interface Gate {
  /** A person may be faster than the answer of `open_gate`: until then any opening is possible. */
  opening?: number;
  decision?: KnownDecision & { readonly opening: number };
  isClosed: boolean;
  /** Looks at the row: how many were begun, and the number of the last that was answered. */
  begun: number;
  answered: number;
  /** A decision could not be read: the row is to be looked at again. */
  isDoubtful: boolean;
}

export interface GateEnd {
  readonly outcome: TaskOutcome;
  /** What is to be recorded about the gate; undefined: it was never opened. */
  readonly closed: { readonly opening: number; readonly status: 'decided' | 'expired' | 'cancelled' } | undefined;
}

export interface GateRequest {
  readonly name: TaskName;
  /** For the timer's line in Temporal's UI. */
  readonly waitsFor: string;
  /** Opens the gate, and looks at it again; `look` counts from 1. */
  readonly look: (look: number) => Promise<GateOpening>;
  /** Hears that the gate is open and undecided. */
  readonly onOpen: () => void;
}

/** A deadline is looked at again at the earliest after this, however little time is left. */
const minimumWaitMs = 1_000;

export class Gates {
  readonly #run: RunId;
  readonly #gates = new Map<string, Gate>();

  constructor(run: RunId) {
    this.#run = run;
    setHandler(decide, (gate, decisionId) => this.#decide(gate, decisionId), {
      // Synchronous and read-only: an async one is not waited for and would fail the workflow task for ever.
      validator: (gate: TaskName, decisionId: string): void => {
        this.#admit(gate, decisionId);
      },
    });
  }

  /** From opening to decision or deadline. Cancelled with its scope. */
  async ask(request: GateRequest): Promise<GateEnd> {
    const gate: Gate = { isClosed: false, begun: 0, answered: 0, isDoubtful: false };
    this.#gates.set(request.name, gate);
    try {
      return await this.#wait(request, gate);
    } catch (error) {
      const opening = gate.opening;
      if (opening === undefined || !CancellationScope.current().consideredCancelled) throw error;
      return { outcome: { status: 'cancelled' }, closed: { opening, status: 'cancelled' } };
    } finally {
      gate.isClosed = true;
    }
  }

  async #wait(request: GateRequest, gate: Gate): Promise<GateEnd> {
    for (;;) {
      const { opening, remainingMs, decision: stored } = await this.#look(request, gate);
      gate.opening = opening;
      if (gate.decision?.opening !== opening) delete gate.decision; // it came early, and was about another opening
      const decision = stored ?? gate.decision;
      if (decision !== undefined) return decided(decision, opening, gate);
      if (remainingMs <= 0 && gate.begun > 1) return expired(opening);
      if (gate.begun === 1) request.onOpen();
      await condition(() => gate.decision !== undefined || gate.isDoubtful, Math.max(remainingMs, minimumWaitMs), {
        summary: `${request.name}: waits for a person to ${request.waitsFor}`,
      });
      if (gate.decision !== undefined) return decided(gate.decision, opening, gate);
      // The deadline, or doubt. A decision that was made in time may still be on its way to us: the row knows.
    }
  }

  async #look(request: GateRequest, gate: Gate): Promise<GateOpening> {
    gate.begun += 1;
    gate.isDoubtful = false;
    const look = gate.begun;
    const opened = await request.look(look);
    gate.answered = look;
    return opened;
  }

  #admit(name: TaskName, decisionId: string): void {
    const gate = this.#gates.get(name);
    if (gate?.isClosed === false || gate?.decision?.id === decisionId) return; // the same decision again is welcome
    throw refusal('gate-closed', `gate ${name} is not open`);
  }

  async #decide(name: TaskName, decisionId: string): Promise<{ readonly verdict: Verdict }> {
    const gate = this.#gates.get(name);
    if (gate === undefined) throw refusal('gate-closed', `gate ${name} is not open`);
    if (gate.decision !== undefined) return { verdict: gate.decision.verdict };
    const decision = await this.#read(name, decisionId);
    if (decision === undefined) await lookAgain(gate);
    const chosen = choose(gate, decision);
    if (chosen === undefined) throw refusal('gate-closed', `gate ${name} is not open for this decision`);
    gate.decision = chosen;
    return { verdict: chosen.verdict };
  }

  /** Undefined: the database did not answer in time. */
  async #read(gate: TaskName, decisionId: string): Promise<Gate['decision']> {
    try {
      return await CancellationScope.nonCancellable(() =>
        reader.readDecision.executeWithOptions({ summary: `${gate}: read the decision` }, [
          { run: this.#run, gate, decisionId },
        ]),
      );
    } catch (error) {
      const failure = platformFailure(error);
      if (failure === undefined) throw error;
      // The client branches on the code, and does not see the activity.
      if (failure.code === 'gate-unknown') throw refusal(failure.code, failure.reason);
      return undefined;
    }
  }
}

/**
 * Waits until the gate's row has been looked at. Failing instead would be remembered: Temporal answers the same decision, sent again, with its first answer.
 */
async function lookAgain(gate: Gate): Promise<void> {
  const look = gate.begun + 1;
  gate.isDoubtful = true;
  await condition(() => gate.isClosed || gate.answered >= look);
}

/** Two may be read at the same time: the first one counts. */
function choose(gate: Gate, decision: Gate['decision']): Gate['decision'] {
  if (gate.decision !== undefined) return gate.decision;
  const isFor = (gate.opening ?? decision?.opening) === decision?.opening;
  return isFor && !gate.isClosed ? decision : undefined;
}

function decided({ id, verdict, by }: KnownDecision, opening: number, gate: Gate): GateEnd {
  gate.decision = { id, verdict, by, opening };
  const outcome: TaskOutcome =
    verdict === 'approved'
      ? { status: 'succeeded' }
      : { status: 'failed', code: 'rejected', reason: `rejected by ${by}`.slice(0, 500) };
  return { outcome, closed: { opening, status: 'decided' } };
}

function expired(opening: number): GateEnd {
  const outcome = { status: 'failed', code: 'gate-expired', reason: 'nobody decided before the deadline' } as const;
  return { outcome, closed: { opening, status: 'expired' } };
}

function refusal(code: ErrorCode, message: string): ApplicationFailure {
  return ApplicationFailure.create({ type: code, message, nonRetryable: true, category: 'BENIGN' });
}
