// I4: nothing in a message is believed. The run reads the decision from the database, the first one counts, and it counts for one opening only.
import { ActivityFailure, ApplicationFailure, CancellationScope, condition, setHandler } from '@temporalio/workflow';
import type { GateOpening } from '../activities/types.ts';
import type { ErrorCode } from '../src/core/errors.ts';
import type { Decision, Verdict } from '../src/core/gate/gate.ts';
import type { ApprovalTask } from '../src/core/graph/graph.ts';
import type { Digest, RunId, TaskName } from '../src/core/model/ids.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import { platformFailure } from './failure.ts';
import { decide } from './messages.ts';
import { opener, reader } from './options.ts';

type KnownDecision = Pick<Decision, 'id' | 'verdict' | 'by'>;

interface Gate {
  /** A person may be faster than the answer of `open_gate`: until then any opening is possible. */
  opening?: number;
  decision?: KnownDecision & { readonly opening: number };
  isClosed: boolean;
}

export interface GateEnd {
  readonly outcome: TaskOutcome;
  /** What is to be recorded about the gate; undefined: it was never opened. */
  readonly closed: { readonly opening: number; readonly status: 'decided' | 'expired' | 'cancelled' } | undefined;
}

export interface GateRequest {
  readonly planDigest: Digest;
  readonly task: ApprovalTask;
  readonly attempt: number;
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
    const gate: Gate = { isClosed: false };
    this.#gates.set(request.task.name, gate);
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
    for (let look = 1; ; look += 1) {
      const opened = await this.#open(request, look);
      const { opening, remainingMs } = opened;
      gate.opening = opening;
      if (gate.decision?.opening !== opening) delete gate.decision; // it came early, and was about another opening
      const decision = opened.decision ?? decisionFor(gate, opening);
      if (decision !== undefined) return decided(decision, opening, gate);
      if (remainingMs <= 0 && look > 1) return expired(opening);
      if (look === 1) request.onOpen();
      await condition(() => decisionFor(gate, opening) !== undefined, Math.max(remainingMs, minimumWaitMs), {
        summary: `${request.task.name}: the gate for ${request.task.environment} closes`,
      });
      const answer = decisionFor(gate, opening);
      if (answer !== undefined) return decided(answer, opening, gate);
      // The deadline. A decision that was made in time may still be on its way to us: the row knows.
    }
  }

  async #open({ planDigest, task, attempt }: GateRequest, look: number): Promise<GateOpening> {
    const id = `${task.name}#${attempt}`;
    return opener.open_gate.executeWithOptions(
      look === 1
        ? { activityId: id, summary: `${task.name} #${attempt}: open the gate for ${task.environment}` }
        : {
            activityId: `${id}/deadline/${look}`,
            summary: `${task.name} #${attempt}: look for a decision at the deadline`,
          },
      [{ run: this.#run, planDigest, task, attempt }],
    );
  }

  #admit(name: TaskName, decisionId: string): void {
    const gate = this.#gates.get(name);
    if (gate?.isClosed === false || gate?.decision?.id === decisionId) return; // the same decision again is welcome
    throw refusal('gate-closed', `gate ${name} is not open`);
  }

  async #decide(name: TaskName, decisionId: string): Promise<{ readonly verdict: Verdict }> {
    const known = this.#gates.get(name)?.decision;
    if (known !== undefined) return { verdict: known.verdict };
    const decision = await this.#read(name, decisionId);
    const gate = this.#gates.get(name);
    // Two may be read at the same time: the first one counts.
    if (gate?.decision !== undefined) return { verdict: gate.decision.verdict };
    if (gate === undefined || gate.isClosed || (gate.opening ?? decision.opening) !== decision.opening) {
      throw refusal('gate-closed', `gate ${name} is not open for this decision`);
    }
    gate.decision = decision;
    return { verdict: decision.verdict };
  }

  async #read(gate: TaskName, decisionId: string): Promise<NonNullable<Gate['decision']>> {
    try {
      return await CancellationScope.nonCancellable(() =>
        reader.readDecision.executeWithOptions({ summary: `${gate}: read the decision` }, [
          { run: this.#run, gate, decisionId },
        ]),
      );
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error;
      const { code, reason } = platformFailure(error) ?? { code: 'internal' as const, reason: error.message };
      throw refusal(code, reason); // the client branches on the code, and does not see the activity
    }
  }
}

function decisionFor(gate: Gate, opening: number): Gate['decision'] {
  return gate.decision?.opening === opening ? gate.decision : undefined;
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
