// Steps of a deploy that look at what others left (I3, I6).
import { DomainError } from '../src/core/errors.ts';
import type { Environment, Release } from '../src/ports/store.ts';
import type { AttemptKey } from '../src/ports/task-store.ts';
import type { ReleaseReference, Target } from '../src/ports/target.ts';
import type { Room } from './dependencies.ts';
import { isSameRelease } from './release-spec.ts';

/** One attempt to bring one release into one environment. */
export interface Rollout {
  readonly room: Room;
  readonly key: AttemptKey;
  readonly environment: Environment;
  readonly release: Release;
  readonly reference: ReleaseReference;
  readonly target: Target;
  readonly startedAtMs: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export function note({ room, key }: Rollout, line: string): Promise<void> {
  return room.logs.note(key, `loam: ${line}`);
}

/** I3: before each step that changes the world. A holder that lost the lock without noticing stops here. */
export async function guardFence({ room, release, environment }: Rollout, step: string): Promise<void> {
  const { application, number, fence } = release;
  if (await room.store.environments.checkFence(application, environment.name, fence, `release ${number}: ${step}`))
    return;
  throw new DomainError(
    'fence-stale',
    `another deploy holds environment ${environment.name}; release ${number} stops before the step "${step}"`,
  );
}

/**
 * A deploy that died between the switch and its row left the front on a release that no row calls live. When its place is taken by another deploy, the
 * environment first goes back to what the rows say, so that a failure from here on leaves the last good release.
 */
export async function returnToRecord(rollout: Rollout): Promise<void> {
  const { room, target, release, environment } = rollout;
  const { application, name } = environment;
  const serving = await target.live(application, name);
  const recorded = (await room.store.environments.get(application, name))?.liveRelease;
  if (serving === undefined || recorded === undefined || serving.release === recorded) return;
  if (serving.fence > release.fence) return;
  const good = (await target.list(application, name)).find((one) => one.release === recorded);
  if (good === undefined) return;
  await guardFence(rollout, 'return');
  await target.switchTo(good);
  await note(
    rollout,
    `the front was on release ${serving.release}, which never went live; release ${recorded} serves again`,
  );
}

/** Ends what carries an older fence and does not serve. */
export async function clearLeftovers(rollout: Rollout): Promise<void> {
  const { room, target, environment, reference } = rollout;
  const { application, name } = environment;
  await endOlderReleases(rollout);
  const serving = await target.live(application, name);
  const recorded = (await room.store.environments.get(application, name))?.liveRelease;
  for (const other of await target.list(application, name)) {
    const isKept = other.fence >= reference.fence || other.release === recorded || isSameRelease(serving, other);
    if (isKept) continue;
    await guardFence(rollout, 'clear');
    await target.retire(other, 0);
    await note(rollout, `release ${other.release}, left by an earlier deploy, has ended`);
  }
}

/** Rows of older holders that are still deploying: their fence can never go live again. One that serves is left until something else does. */
export async function endOlderReleases({ room, target, environment, release }: Rollout): Promise<void> {
  const { application, name } = environment;
  const serving = await target.live(application, name);
  for (const other of await room.store.releases.list(application, name)) {
    if (other.status !== 'deploying' || other.fence >= release.fence || other.number === serving?.release) continue;
    const reason = `its deploy was cut off; release ${release.number} took its place`;
    await room.store.releases.fail(other, { status: 'failed', code: 'fence-stale', reason });
  }
}

/** I6: which release is in charge after a deploy that did not succeed. */
export async function describeServing({ target, environment, reference }: Rollout): Promise<string> {
  const { application, name } = environment;
  const serving = await target.live(application, name);
  if (serving === undefined) return `nothing serves in ${name}`;
  if (isSameRelease(serving, reference))
    return `release ${serving.release} could not be taken back and serves in ${name}`;
  return `release ${serving.release} still serves in ${name}`;
}
