// Keeps I7: tokens go from the provider into the store and to whoever deploys; never into an error, a log or an answer.
import { DomainError } from '../src/core/errors.ts';
import { isWithdrawal, isWithdrawn, stateOfWithdrawal } from '../src/core/gate/reconnect.ts';
import type { Secret } from '../src/ports/secret.ts';
import type { Trust } from '../src/ports/credential-store.ts';
import type { DrawnToken, TrustProvider } from '../src/ports/trust-provider.ts';
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
 * Replaces the token of `generation` (0: there is none), or finds that somebody was faster. `busy`: another keeper has the lease. Sets the trust's state and
 * throws what the provider threw: `trust-failed`, or what only a person can mend (`isWithdrawal`).
 */
export async function renewToken(
  room: Room,
  name: string,
  generation: number,
  signal: AbortSignal,
): Promise<'renewed' | 'busy'> {
  const owner = `${room.hostId}/${crypto.randomUUID()}`;
  if (!(await room.store.trusts.lease(name, owner, leaseMs))) return 'busy';
  try {
    const present = await room.store.trusts.token(name);
    if (present !== undefined && present.generation > generation) return 'renewed';
    // Read now: a person may have reconnected it meanwhile, which drops its token and keeps its generation.
    const trust = await readTrust(room, name);
    const drawn = await draw(room, trust, signal);
    // Without the lease (a slow provider) the token is dropped: the other one's is as good.
    if (!(await room.store.trusts.saveToken(name, owner, trust.generation, drawn.token, drawn.expiresAtMs)))
      return 'busy';
    return 'renewed';
  } finally {
    await room.store.trusts.unlease(name, owner);
  }
}

async function draw(room: Room, trust: Trust, signal: AbortSignal): Promise<DrawnToken> {
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(drawMs)]);
    const credential = await room.store.trusts.credential(trust.name);
    const drawn = await providerOf(room, trust).draw(trust.settings, limited, credential);
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
    const state = stateOf(known);
    // An outage says nothing new about a trust that was withdrawn.
    if (state !== 'provider-unreachable' || !isWithdrawn(trust.state))
      await room.store.trusts.setState(trust.name, state, known.message);
    throw known;
  }
}

function stateOf({ code }: DomainError): Trust['state'] {
  return isWithdrawal(code) ? stateOfWithdrawal(code) : 'provider-unreachable';
}

export function providerOf(room: Room, { name, provider }: Trust): TrustProvider {
  const found = room.trustProviders.find(({ kind }) => kind === provider);
  if (found !== undefined) return found;
  throw new DomainError('trust-failed', `this worker has no provider ${provider}, which trust ${name} needs`);
}

export async function readTrust(room: Room, name: string): Promise<Trust> {
  const trust = await room.store.trusts.get(name);
  if (trust !== undefined) return trust;
  throw new DomainError('trust-unknown', `there is no trust ${name}; register it with: loam trust put ${name}`);
}

/**
 * The newest token for a deploy; renews by itself when it is missing or short, whoever else keeps the trust. While the provider cannot be reached, a token
 * that is short but valid will do; without one, `trust-failed` after `tokenWaitMs`. A trust that was withdrawn gives none, however long its last token lives:
 * the provider is asked again.
 */
export async function freshToken(room: Room, name: string, signal: AbortSignal): Promise<HeldToken> {
  const deadlineMs = room.clock.nowMs() + room.limits.tokenWaitMs;
  for (;;) {
    const { generation, usable } = await findToken(room, name);
    const nowMs = room.clock.nowMs();
    if (usable !== undefined && !isShort(usable, nowMs)) return usable;
    if (nowMs >= deadlineMs) throw new DomainError('trust-failed', `trust ${name} gave no token in time`);
    const answer = await tryToRenew(room, name, generation, signal);
    if (answer === 'unreachable' && isValid(usable, room.clock.nowMs())) return usable;
    if (answer !== 'renewed') await room.clock.sleep(answer === 'busy' ? pollMs : retryMs, signal);
    signal.throwIfAborted();
  }
}

async function findToken(
  room: Room,
  name: string,
): Promise<{ readonly generation: number; readonly usable: HeldToken | undefined }> {
  const trust = await readTrust(room, name);
  const held = await room.store.trusts.token(name);
  return { generation: held?.generation ?? 0, usable: isWithdrawn(trust.state) ? undefined : held };
}

function isValid(held: HeldToken | undefined, nowMs: number): held is HeldToken {
  return held !== undefined && held.expiresAtMs > nowMs;
}

async function tryToRenew(
  room: Room,
  name: string,
  generation: number,
  signal: AbortSignal,
): Promise<'renewed' | 'busy' | 'unreachable'> {
  try {
    return await renewToken(room, name, generation, signal);
  } catch (error) {
    if (error instanceof DomainError && error.code === 'trust-failed') return 'unreachable';
    throw error;
  }
}

function isShort({ drawnAtMs, expiresAtMs }: HeldToken, nowMs: number): boolean {
  return expiresAtMs - nowMs < (expiresAtMs - drawnAtMs) * shortPart;
}
