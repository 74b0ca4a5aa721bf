// I3: the lock of one environment. Its state is a queue; the fence is a row, so that a lost workflow cannot hand out an old one.
import {
  ActivityFailure,
  ApplicationFailure,
  TemporalFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  setCurrentDetails,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { ExternalWorkflowHandle } from '@temporalio/workflow';
import { emptyQueue, enqueue, findSuperseded, grant, positionOf, remove } from '../src/core/lock/queue.ts';
import type { LockPolicy, LockQueue, QueueEntry } from '../src/core/lock/queue.ts';
import { holderWorkflowId } from '../src/core/model/ids.ts';
import { acquire, lockGranted, lockState, lockSuperseded, release } from './messages.ts';
import type { EnvironmentInput, LockAnswer } from './messages.ts';
import { holderCheckMs, idleLockMs, warden } from './options.ts';
import { plainText } from './ui-text.ts';

const shownEntries = 50;
const retryGrantMs = 3_000;

/** Holds the lock queue of one environment, and ends when nobody has asked for long. */
export async function environment(input: EnvironmentInput): Promise<void> {
  const lock = new Lock(input);
  await lock.serve();
}

const maxHolderLength = 500;

/** Whoever reaches Temporal can send these: an error in a handler would hold up the lock for ever, one here refuses the message. */
function admitHolder(request?: { readonly holder?: unknown }): void {
  const holder = request?.holder;
  if (typeof holder === 'string' && holder !== '' && holder.length <= maxHolderLength) return;
  throw ApplicationFailure.create({ type: 'input-invalid', message: 'this names no holder', nonRetryable: true });
}

class Lock {
  readonly #input: EnvironmentInput;
  #queue: LockQueue;
  /** Holders whose fence is being taken. Taking it twice is harmless: the database answers a holder always the same. */
  readonly #granting = new Set<string>();
  /** Signals that have not arrived yet: they would be lost with this workflow. */
  #telling = 0;
  /** Questions so far. */
  #asked = 0;

  constructor(input: EnvironmentInput) {
    this.#input = input;
    this.#queue = input.queue ?? emptyQueue;
    this.#describe();
    setHandler(lockState, () => this.#queue.entries);
    setHandler(acquire, ({ holder }) => this.#acquire(holder), { validator: admitHolder });
    setHandler(
      release,
      ({ holder }) => {
        this.#asked += 1;
        this.#change(remove(this.#queue, holder));
        return undefined;
      },
      { validator: admitHolder },
    );
  }

  async serve(): Promise<void> {
    for (;;) {
      const asked = this.#asked;
      const wasWoken = await this.#pause();
      if (isTooLong()) {
        await condition(() => this.#isQuiet()); // else an Update that is being answered is lost
        await continueAsNew<typeof environment>({ ...this.#input, queue: this.#queue });
      }
      if (this.#hasWork()) await this.#grantNext();
      else if (!wasWoken && this.#queue.entries.length > 0) await this.#dropDeadHolder();
      else if (!wasWoken && asked === this.#asked && this.#isQuiet()) return;
    }
  }

  /** Until there is something to do: true. False: for long nothing was. */
  async #pause(): Promise<boolean> {
    const isWatching = this.#isWatching();
    const isDue = (): boolean => this.#hasWork() || isTooLong() || this.#isWatching() !== isWatching;
    return condition(isDue, isWatching ? holderCheckMs : idleLockMs, {
      summary: isWatching ? 'is the holder still there?' : 'ends when nobody asks any more',
    });
  }

  /** Answers at once, since Temporal allows few questions in flight; a grant that comes later is signalled. */
  async #acquire(holder: string): Promise<LockAnswer> {
    this.#asked += 1;
    this.#change(enqueue(this.#queue, holder));
    const position = positionOf(this.#queue, holder);
    if (position === undefined) return this.#answerLost(holder);
    if (position > 0) {
      const superseded = await this.#supersede(holder);
      return superseded ?? this.#answerWaiting(holder);
    }
    const fence = this.#queue.entries[0]?.fence ?? (await this.#grant(holder));
    return fence === undefined ? this.#answerWaiting(holder) : { type: 'granted', fence };
  }

  #answerWaiting(holder: string): LockAnswer {
    const position = positionOf(this.#queue, holder);
    if (position === undefined) return this.#answerLost(holder);
    // The first one without a fence waits for the database only.
    return { type: 'waiting', position: Math.max(position, 1), holder: this.#queue.entries[0]?.holder ?? holder };
  }

  #answerLost(holder: string): LockAnswer {
    return { type: 'waiting', position: 0, holder: this.#queue.entries[0]?.holder ?? holder };
  }

  /** The next one is granted behind the back of whoever asked, so it hears of it by signal. */
  async #grantNext(): Promise<void> {
    const next = this.#queue.entries[0]?.holder;
    if (next === undefined) return;
    if (!(await this.#isOpen(next))) {
      this.#change(remove(this.#queue, next));
      return;
    }
    const fence = await this.#grant(next);
    if (fence !== undefined) this.#tell(next, (handle) => handle.signal(lockGranted, { holder: next, fence }));
    else if (this.#hasWork() && this.#queue.entries[0]?.holder === next) {
      await sleep(retryGrantMs, { summary: 'the database does not answer' });
    }
  }

  /** Undefined: the database is away, or the holder has left meanwhile. */
  async #grant(holder: string): Promise<number | undefined> {
    const { application, environment: name } = this.#input;
    this.#granting.add(holder);
    try {
      const input = { application, environment: name, holder };
      const fence = await warden.takeFence.executeWithOptions({ summary: `fence for ${holder}` }, [input]);
      this.#change(grant(this.#queue, holder, fence));
      return positionOf(this.#queue, holder) === 0 ? fence : undefined;
    } catch (error) {
      ignoreFailure(error, undefined);
      return;
    } finally {
      this.#granting.delete(holder);
    }
  }

  /** Sends away who has lost the place to a newer run. The asking one among them hears it as its answer. */
  async #supersede(asking: string): Promise<LockAnswer | undefined> {
    const superseded = findSuperseded(this.#queue, await this.#policy());
    for (const { holder, by } of superseded) {
      this.#change(remove(this.#queue, holder));
      if (holder !== asking) this.#tell(holder, (handle) => handle.signal(lockSuperseded, { holder, by }));
    }
    const mine = superseded.find(({ holder }) => holder === asking);
    return mine && { type: 'waiting', position: 0, holder: mine.by };
  }

  async #policy(): Promise<LockPolicy> {
    const { application, environment: name } = this.#input;
    try {
      return await warden.readLockPolicy.executeWithOptions({ summary: 'queue or newest?' }, [
        { application, environment: name },
      ]);
    } catch (error) {
      return ignoreFailure(error, 'queue');
    }
  }

  /** Who cannot be asked counts as open. */
  async #isOpen(holder: string): Promise<boolean> {
    try {
      return await warden.isHolderOpen.executeWithOptions({ summary: `is ${holder} open?` }, [{ holder }]);
    } catch (error) {
      return ignoreFailure(error, true);
    }
  }

  async #dropDeadHolder(): Promise<void> {
    const holder = this.#queue.entries[0]?.holder;
    if (holder !== undefined && !(await this.#isOpen(holder))) this.#change(remove(this.#queue, holder));
  }

  /** Not waited for: a run that has ended must not fail the lock, it only loses its place. */
  #tell(holder: string, signal: (handle: ExternalWorkflowHandle) => Promise<void>): void {
    this.#telling += 1;
    signal(getExternalWorkflowHandle(holderWorkflowId(holder)))
      .catch((error: unknown) => {
        if (!(error instanceof TemporalFailure)) throw error;
        this.#change(remove(this.#queue, holder));
      })
      .finally(() => {
        this.#telling -= 1;
      });
  }

  /** Somebody is first and nobody is about to hand over the lock. */
  #hasWork(): boolean {
    const [first] = this.#queue.entries;
    return first !== undefined && first.fence === undefined && !this.#granting.has(first.holder);
  }

  /** A holder is looked after while somebody waits behind it. */
  #isWatching(): boolean {
    return this.#queue.entries.length > 1;
  }

  #isQuiet(): boolean {
    return allHandlersFinished() && this.#telling === 0;
  }

  #change(queue: LockQueue): void {
    this.#queue = queue;
    this.#describe();
  }

  #describe(): void {
    const lines = this.#queue.entries.slice(0, shownEntries).map(describeEntry);
    setCurrentDetails(lines.length === 0 ? 'free' : lines.join('\n'));
  }
}

function describeEntry({ holder, fence }: QueueEntry): string {
  return `- ${plainText(holder, 160)}: ${fence === undefined ? 'waits' : `holds the lock, fence ${fence}`}`;
}

function isTooLong(): boolean {
  return workflowInfo().continueAsNewSuggested;
}

/** An activity that failed has an answer of its own; anything else is a bug. */
function ignoreFailure<T>(error: unknown, otherwise: T): T {
  if (error instanceof ActivityFailure && !isCancellation(error)) return otherwise;
  throw error;
}
