// Keeps I7: tokens go from the provider into the store and to whoever deploys; never into an error, a log or an answer.
import { DomainError } from '../src/core/errors.ts';
import type { Secret } from '../src/ports/secret.ts';
import type { Trust } from '../src/ports/store.ts';
import type { Room } from './dependencies.ts';

export interface HeldToken {
  readonly token: Secret;
  readonly generation: number;
  readonly drawnAtMs: number;
  readonly expiresAtMs: number;
}

/** Longer than a draw may take, so two never draw at once; short enough that a dead holder costs no 60 s token. */
const leaseMs = 30_000;
const drawMs = 20_000;
/** Part of its lifetime that a token must have left for a deploy. */
const shortPart = 0.25;
const pollMs = 200;
const retryMs = 1_000;

/**
 * Replaces the token of `generation`, or finds that somebody was faster. `busy`: another keeper has the lease. Sets the trust's state and throws what the
 * provider threw: `trust-failed`, `trust-revoked`, `trust-expired`.
 */
export async function renewToken(
  room: Room,
  trust: Trust,
  generation: number,
  signal: AbortSignal,
): Promise<'renewed' | 'busy'> {
  const owner = `${room.hostId}/${crypto.randomUUID()}`;
  if (!(await room.store.trusts.lease(trust.name, owner, leaseMs))) return 'busy';
  try {
    const present = await room.store.trusts.token(trust.name);
    if (present !== undefined && present.generation > generation) return 'renewed';
    const drawn = await draw(room, trust, signal);
    // Without the lease (a slow provider) the token is dropped: the other one's is as good.
    if (!(await room.store.trusts.saveToken(trust.name, owner, generation, drawn.token, drawn.expiresAtMs)))
      return 'busy';
    return 'renewed';
  } finally {
    await room.store.trusts.unlease(trust.name, owner);
  }
}

async function draw(room: Room, trust: Trust, signal: AbortSignal): ReturnType<Room['trustProvider']['draw']> {
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(drawMs)]);
    const drawn = await room.trustProvider.draw(trust.settings, limited);
    if (drawn.expiresAtMs > room.clock.nowMs()) return drawn;
    throw new DomainError('trust-failed', `the provider of trust ${trust.name} gave a token that has expired already`);
  } catch (error) {
    signal.throwIfAborted();
    const known =
      error instanceof DomainError
        ? error
        : new DomainError('trust-failed', `the provider of trust ${trust.name} gave no token in time`, {
            cause: error,
          });
    await room.store.trusts.setState(trust.name, stateOf(known), known.message);
    throw known;
  }
}

function stateOf(error: DomainError): Trust['state'] {
  if (error.code === 'trust-revoked') return 'revoked';
  return error.code === 'trust-expired' ? 'expired' : 'provider-unreachable';
}

export async function readTrust(room: Room, name: string): Promise<Trust> {
  const trust = await room.store.trusts.get(name);
  if (trust !== undefined) return trust;
  throw new DomainError('trust-unknown', `there is no trust ${name}; register it with: loam trust put ${name}`);
}

/**
 * The newest token for a deploy; renews by itself when it is missing or short, whoever else keeps the trust. While the provider cannot be reached, a token
 * that is short but valid will do; without one, `trust-failed` after `tokenWaitMs`.
 */
export async function freshToken(room: Room, name: string, signal: AbortSignal): Promise<HeldToken> {
  const trust = await readTrust(room, name);
  const deadlineMs = room.clock.nowMs() + room.limits.tokenWaitMs;
  for (;;) {
    const held = await room.store.trusts.token(name);
    const nowMs = room.clock.nowMs();
    if (held !== undefined && !isShort(held, nowMs)) return held;
    if (nowMs >= deadlineMs) throw new DomainError('trust-failed', `trust ${name} gave no token in time`);
    const answer = await tryToRenew(room, trust, held, signal);
    if (answer === 'unreachable' && held !== undefined && held.expiresAtMs > room.clock.nowMs()) return held;
    if (answer !== 'renewed') await room.clock.sleep(answer === 'busy' ? pollMs : retryMs, signal);
    signal.throwIfAborted();
  }
}

async function tryToRenew(
  room: Room,
  trust: Trust,
  held: HeldToken | undefined,
  signal: AbortSignal,
): Promise<'renewed' | 'busy' | 'unreachable'> {
  try {
    return await renewToken(room, trust, held?.generation ?? 0, signal);
  } catch (error) {
    if (error instanceof DomainError && error.code === 'trust-failed') return 'unreachable';
    throw error;
  }
}

function isShort({ drawnAtMs, expiresAtMs }: HeldToken, nowMs: number): boolean {
  return expiresAtMs - nowMs < (expiresAtMs - drawnAtMs) * shortPart;
}
