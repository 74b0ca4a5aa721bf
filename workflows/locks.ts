// I3: a deploy begins only with a fence, and what the lock says late or twice changes nothing.
import { condition, setHandler } from '@temporalio/workflow';
import { errorKinds } from '../src/core/errors.ts';
import type { DeployStackTask } from '../src/core/graph/graph.ts';
import { holderWorkflowId, lockHolder } from '../src/core/model/ids.ts';
import type { ApplicationName, RunId } from '../src/core/model/ids.ts';
import { platformFailure } from './failure.ts';
import { lockGranted, lockSuperseded } from './messages.ts';
import type { LockAnswer } from './messages.ts';
import { askAgainMs, asker } from './options.ts';

interface Claim {
  fence?: number | undefined;
  supersededBy?: string;
}

export type LockOutcome =
  | { readonly type: 'granted'; readonly holder: string; readonly fence: number }
  | { readonly type: 'lost'; readonly reason: string };

export interface LockRequest {
  readonly task: DeployStackTask;
  readonly attempt: number;
  /** Hears why it has to wait, each time that this changes. */
  readonly onWaiting: (reason: string) => void;
}

/** The run's side of the environments' locks. */
export class Locks {
  readonly #run: RunId;
  readonly #application: ApplicationName;
  readonly #claims = new Map<string, Claim>();

  constructor(run: RunId, application: ApplicationName) {
    this.#run = run;
    this.#application = application;
    // Whoever reaches Temporal can send these: what does not look like one is dropped, for an error here would hold up the workflow for ever. That the
    // fence is this holder's is asked of its row before anything is deployed.
    setHandler(lockGranted, (grant?: Partial<{ holder: string; fence: number }>) => {
      const claim = this.#claims.get(grant?.holder ?? '');
      if (claim !== undefined && Number.isSafeInteger(grant?.fence)) claim.fence = grant?.fence;
    });
    setHandler(lockSuperseded, (notice?: Partial<{ holder: string; by: string }>) => {
      const claim = this.#claims.get(notice?.holder ?? '');
      if (claim !== undefined && typeof notice?.by === 'string') claim.supersededBy = notice.by;
    });
  }

  /** Waits for the lock; cancelled with its scope. Whoever called gives it back with `releaseLock`, also after a failure: the question may have arrived. */
  async acquire(request: LockRequest): Promise<LockOutcome> {
    const holder = lockHolder(this.#run, request.task.name, request.attempt);
    const claim: Claim = {};
    this.#claims.set(holder, claim);
    try {
      return await this.#wait(request, holder, claim);
    } finally {
      this.#claims.delete(holder);
    }
  }

  async #wait({ task, attempt, onWaiting }: LockRequest, holder: string, claim: Claim): Promise<LockOutcome> {
    for (let ask = 1; ; ask += 1) {
      const answer = await this.#ask(task, attempt, holder, ask);
      if (answer.type === 'granted') return { ...answer, holder };
      if (answer.type === 'waiting' && answer.position === 0) return lost(answer.holder, task);
      if (!isSettled(claim)) onWaiting(answer.type === 'waiting' ? describe(answer, task) : answer.reason);
      await condition(() => isSettled(claim), askAgainMs(ask), {
        summary: `${task.name} #${attempt}: waits for ${task.environment}, then asks again`,
      });
      if (claim.supersededBy !== undefined) return lost(claim.supersededBy, task);
      if (claim.fence !== undefined) return { type: 'granted', holder, fence: claim.fence };
    }
  }

  async #ask(
    { name, environment }: DeployStackTask,
    attempt: number,
    holder: string,
    ask: number,
  ): Promise<LockAnswer | { readonly type: 'unreachable'; readonly reason: string }> {
    const options = {
      activityId: `${name}#${attempt}/lock/${ask}`,
      summary: `${name} #${attempt}: lock of ${environment}`,
    };
    const input = { application: this.#application, environment, holder, ask };
    try {
      return await asker.acquireLock.executeWithOptions(options, [input]);
    } catch (error) {
      const failure = platformFailure(error);
      if (failure === undefined || !errorKinds[failure.code].retryable) throw error;
      return { type: 'unreachable', reason: `the lock of ${environment} cannot be reached: ${failure.reason}` };
    }
  }
}

function isSettled({ fence, supersededBy }: Claim): boolean {
  return fence !== undefined || supersededBy !== undefined;
}

function lost(by: string, { environment }: DeployStackTask): LockOutcome {
  return { type: 'lost', reason: `${runOf(by)} took its place in the queue of ${environment}` };
}

function describe(
  { position, holder }: { position: number; holder: string },
  { environment }: DeployStackTask,
): string {
  const place = position === 1 ? 'next' : `number ${position}`;
  return `waits for ${environment}, held by ${runOf(holder)}; ${place} in the queue`;
}

/** `thingy/12` for people. */
function runOf(holder: string): string {
  return holderWorkflowId(holder).replace(/^run\//, '') || holder;
}
