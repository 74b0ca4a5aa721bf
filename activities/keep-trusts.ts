// Keeps trusts alive while a run lasts; what it heartbeats says which token there is, never the token (I7).
import { Context } from '@temporalio/activity';
import { DomainError } from '../src/core/errors.ts';
import type { RunId } from '../src/core/model/ids.ts';
import { isTerminal } from '../src/core/model/status.ts';
import { finalError } from './attempt.ts';
import type { Room } from './dependencies.ts';
import { readTrust, renewToken } from './trust-token.ts';
import type { HeldToken } from './trust-token.ts';
import type { TrustActivities } from './types.ts';

/** How often a keeper looks whether another one has renewed. */
const watchMs = 5_000;
const minWatchMs = 100;
const firstBackoffMs = 1_000;
const maxBackoffMs = 30_000;
/** Renewal at half the lifetime, give or take: keepers of many runs do not all ask at one moment. */
const renewAt = 0.5;
const jitter = 0.1;

interface Kept {
  readonly trust: string;
  readonly generation: number;
  readonly expiresAt: string;
}

/** Runs until it is cancelled. Ends by itself only when a person must act: the trust was withdrawn, or is not registered. */
export async function keepTrusts(room: Room, input: Parameters<TrustActivities['keepTrusts']>[0]): Promise<void> {
  const context = Context.current();
  const ended = new AbortController();
  const signal = AbortSignal.any([context.cancellationSignal, ended.signal]);
  const kept = new Map<string, Kept>();
  const beat = () => context.heartbeat([...kept.values()]);
  beat();
  const timer = setInterval(beat, room.limits.heartbeatEveryMs);
  try {
    await Promise.all(
      input.trusts.map((name) =>
        keepTrust(room, { run: input.run, name }, signal, (now) => {
          kept.set(name, now);
          beat();
        }),
      ),
    );
  } finally {
    clearInterval(timer);
    // One trust that ends for good ends the keeper: the others must not go on without their activity.
    ended.abort();
  }
  context.cancellationSignal.throwIfAborted();
}

async function keepTrust(
  room: Room,
  { run, name }: { readonly run: RunId; readonly name: string },
  signal: AbortSignal,
  onToken: (kept: Kept) => void,
): Promise<void> {
  await readTrust(room, name);
  let seen = -1;
  let dueAtMs = 0;
  let failures = 0;
  while (!signal.aborted) {
    // What an earlier attempt heartbeat is not believed: the store knows.
    const held = await room.store.trusts.token(name);
    if (held !== undefined && held.generation !== seen) {
      seen = held.generation;
      failures = 0;
      dueAtMs = renewalAtMs(held, room.clock.random());
      onToken({ trust: name, generation: held.generation, expiresAt: new Date(held.expiresAtMs).toISOString() });
    }
    const waitMs = dueAtMs - room.clock.nowMs();
    if (waitMs > 0) {
      await room.clock.sleep(Math.min(waitMs, watchMs), signal);
      continue;
    }
    // The end of the run is heard of with the answer to a heartbeat, seconds late: nothing is drawn for a run that is over.
    if (await hasEnded(room, run)) return;
    if (!(await tryToRenew(room, name, held, signal))) {
      failures += 1;
      await room.clock.sleep(backoffMs(failures, held, room), signal);
    }
  }
}

async function hasEnded(room: Room, run: RunId): Promise<boolean> {
  const row = await room.store.runs.get(run);
  return row !== undefined && isTerminal(row.status);
}

function renewalAtMs({ drawnAtMs, expiresAtMs }: HeldToken, random: number): number {
  return drawnAtMs + (expiresAtMs - drawnAtMs) * (renewAt + jitter * (random - 0.5));
}

/** False: not now; try again later. Throws what only a person can mend. */
async function tryToRenew(
  room: Room,
  name: string,
  held: HeldToken | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await renewToken(room, name, held?.generation ?? 0, signal)) === 'renewed';
  } catch (error) {
    if (signal.aborted) return true;
    if (finalError(error) !== undefined) throw error;
    const reason = error instanceof DomainError ? error.message : 'the store or the provider failed';
    room.logger.warn({ trust: name, reason }, 'trust was not renewed');
    return false;
  }
}

/** Grows, but never so far that a token expires in one pause. */
function backoffMs(failures: number, held: HeldToken | undefined, room: Room): number {
  const grown = Math.min(firstBackoffMs * 2 ** (failures - 1), maxBackoffMs);
  if (held === undefined) return grown;
  const leftMs = held.expiresAtMs - room.clock.nowMs();
  return leftMs > 0 ? Math.max(minWatchMs, Math.min(grown, leftMs / 4)) : grown;
}
