// I3: one holder at a time, first come first served or newest wins; a holder that was released never comes back.
import { holderWorkflowId } from '../model/ids.ts';

/** One task attempt that holds or wants the lock of an environment. */
export interface QueueEntry {
  readonly holder: string;
  /** Set once it was granted. Only the first entry has one. */
  readonly fence?: number;
}

export interface LockQueue {
  /** First the holder, or who is next; then those that wait, in the order in which they asked. */
  readonly entries: readonly QueueEntry[];
  /** Holders that have given the lock back or lost their place, newest last: an `acquire` that was on its way then must not bring them back. */
  readonly gone: readonly string[];
}

export type LockPolicy = 'queue' | 'newest';

/** Holders are used once, and a late question comes within minutes. */
const goneLimit = 100;

export const emptyQueue: LockQueue = { entries: [], gone: [] };

export function isGone(queue: LockQueue, holder: string): boolean {
  return queue.gone.includes(holder);
}

/** Appends who is not there yet. */
export function enqueue(queue: LockQueue, holder: string): LockQueue {
  if (isGone(queue, holder) || queue.entries.some((entry) => entry.holder === holder)) return queue;
  return { ...queue, entries: [...queue.entries, { holder }] };
}

/** Gives the lock to the first entry; any other holder changes nothing. */
export function grant(queue: LockQueue, holder: string, fence: number): LockQueue {
  const [first, ...others] = queue.entries;
  if (first?.holder !== holder) return queue;
  return { ...queue, entries: [{ holder, fence }, ...others] };
}

export function remove(queue: LockQueue, holder: string): LockQueue {
  return {
    entries: queue.entries.filter((entry) => entry.holder !== holder),
    gone: isGone(queue, holder) ? queue.gone : [...queue.gone, holder].slice(-goneLimit),
  };
}

/** 0 for the first. Undefined: not in the queue. */
export function positionOf(queue: LockQueue, holder: string): number | undefined {
  const position = queue.entries.findIndex((entry) => entry.holder === holder);
  return position === -1 ? undefined : position;
}

export interface Superseded {
  readonly holder: string;
  readonly by: string;
}

/**
 * Who must leave because a newer run stands in the queue. The one that has the lock is never thrown out, but an older run that comes after it is: its commit
 * would replace a newer one.
 */
export function findSuperseded(queue: LockQueue, policy: LockPolicy): readonly Superseded[] {
  if (policy === 'queue') return [];
  return queue.entries.flatMap(({ holder, fence }) => {
    const newer = queue.entries.find((other) => isNewer(other.holder, holder));
    return fence === undefined && newer !== undefined ? [{ holder, by: newer.holder }] : [];
  });
}

function isNewer(holder: string, other: string): boolean {
  const [number, round] = age(holder);
  const [otherNumber, otherRound] = age(other);
  return number > otherNumber || (number === otherNumber && round > otherRound);
}

/** Number and round of `run/<application>/<number>[/<round>]/<task>#<attempt>`. */
function age(holder: string): readonly [number, number] {
  const [, , number, round] = holderWorkflowId(holder).split('/');
  return [Number(number ?? 0), Number(round ?? 1)];
}
