// Keeps I6 and I8 after what no activity could end: a killed worker, a terminated run.
import { parseRunId } from '../src/core/model/ids.ts';
import { isTerminal } from '../src/core/model/status.ts';
import type { RunId } from '../src/core/model/ids.ts';
import type { JobKey } from '../src/ports/executor.ts';
import type { Environment, Release } from '../src/ports/store.ts';
import { findTarget } from './deploy-admission.ts';
import { makeRoom } from './dependencies.ts';
import type { ActivityDependencies, Room } from './dependencies.ts';
import { findReplicas } from './redeploy.ts';
import { isSameRelease, referenceOf } from './release-spec.ts';

export interface Swept {
  readonly sandboxes: number;
  readonly releases: number;
  /** Expired tokens of trusts that were forgotten. */
  readonly tokens: number;
}

/** For the worker's start and every hour. Repeats are fine; one thing that cannot be ended does not keep the rest. */
export async function sweep(dependencies: ActivityDependencies): Promise<Swept> {
  const room = makeRoom(dependencies);
  const sandboxes = await sweepSandboxes(room);
  let releases = 0;
  for (const environment of await room.store.environments.list()) {
    if (!isServed(room, environment)) continue;
    const { application, name } = environment;
    if (await attemptly(room, { application, environment: name }, () => sweepEnvironment(room, environment)))
      releases += 1;
  }
  // Of runs that were cut off: nobody keeps them any more, and nobody may use them.
  const tokens = await room.store.trusts.dropExpired();
  return { sandboxes, releases, tokens };
}

/**
 * Says that this host lives, and ends the sandboxes that it does not own any more: while it was not heard of, another host may have taken over what it ran, or
 * the run may have ended.
 */
export async function beat(dependencies: ActivityDependencies): Promise<void> {
  const room = makeRoom(dependencies);
  await room.store.hosts.beat(room.hostId);
  await sweepSandboxes(room);
}

async function sweepSandboxes(room: Room): Promise<number> {
  let count = 0;
  for (const key of await room.executor.list()) {
    if (await attemptly(room, fieldsOf(key), () => sweepSandbox(room, key))) count += 1;
  }
  return count;
}

/**
 * What the jobs of a run left on this host (I8). Never throws, and waits only so long: an engine that is away must not keep the run from its end. What is left then
 * belongs to no open run, and the host ends it with a later beat.
 */
export async function sweepSandboxesOf(room: Room, run: RunId): Promise<void> {
  const gone = new AbortController();
  const removal = attemptly(room, { runId: run }, () => removeSandboxesOf(room, run)).finally(() => gone.abort());
  await Promise.race([removal, room.clock.sleep(room.limits.sandboxRemovalMs, gone.signal)]);
  if (!gone.signal.aborted) room.logger.warn({ runId: run }, 'the run ends before its sandboxes are gone');
}

async function removeSandboxesOf(room: Room, run: RunId): Promise<boolean> {
  const keys = (await room.executor.list()).filter((key) => key.run === run);
  const removals = keys.map((key) => attemptly(room, fieldsOf(key), () => removeSandbox(room, key)));
  return (await Promise.all(removals)).includes(true);
}

/** The releases that an ended run left half-way, at once: its deploy was cut off together with its worker (I6). */
export async function sweepReleasesOf(room: Room, run: RunId): Promise<void> {
  const { application } = parseRunId(run);
  const releases = await room.store.releases.list(application);
  const left = releases.filter((one) => one.run === run && one.status === 'deploying');
  for (const name of new Set(left.map(({ environment }) => environment))) {
    const environment = await room.store.environments.get(application, name);
    if (environment === undefined || !isServed(room, environment)) continue;
    await attemptly(room, { runId: run, environment: name }, () => sweepEnvironment(room, environment));
  }
}

async function attemptly(room: Room, fields: Record<string, unknown>, work: () => Promise<boolean>): Promise<boolean> {
  try {
    return await work();
  } catch (error) {
    room.logger.warn({ ...fields, reason: error instanceof Error ? error.message : 'unknown' }, 'sweep failed');
    return false;
  }
}

async function sweepSandbox(room: Room, key: JobKey): Promise<boolean> {
  const attempt = await room.store.tasks.attempt(key);
  const isOurs = attempt?.status === 'running' && attempt.host === room.hostId;
  const isOwned = isOurs && (await isRunOpen(room, key.run));
  return isOwned ? false : removeSandbox(room, key);
}

async function removeSandbox(room: Room, key: JobKey): Promise<boolean> {
  await room.executor.remove(key);
  return true;
}

function fieldsOf({ run, task, attempt }: JobKey): Record<string, unknown> {
  return { runId: run, task, attempt };
}

async function isRunOpen(room: Room, run: RunId): Promise<boolean> {
  const row = await room.store.runs.get(run);
  return row !== undefined && !isTerminal(row.status);
}

function isServed({ targets }: Room, { target }: Environment): boolean {
  return targets.some(({ kind }) => kind === target);
}

/** Only where no open run deploys: an activity that is under way ends its own releases. True when something was ended. */
async function sweepEnvironment(room: Room, environment: Environment): Promise<boolean> {
  const { application, name } = environment;
  const releases = await room.store.releases.list(application, name);
  const unfinished = releases.filter(({ status }) => status === 'deploying');
  const live = releases.find(({ status }) => status === 'live');
  for (const { run } of live === undefined ? unfinished : [...unfinished, live]) {
    if (await isRunOpen(room, run)) return false;
  }
  await endUnfinished(room, environment, unfinished);
  const retired = await retireLeftovers(room, environment);
  return retired || unfinished.length > 0;
}

/**
 * A deploy that died between the switch and its row: the release passed its health check and serves, so it goes live if nobody has taken the fence since.
 * All others have failed.
 */
async function endUnfinished(room: Room, environment: Environment, unfinished: readonly Release[]): Promise<void> {
  const serving = await findTarget(room, environment).live(environment.application, environment.name);
  for (const release of unfinished) {
    if (isSameRelease(serving, referenceOf(release)) && release.fence === environment.fence) {
      await room.store.releases.makeLive(release, await findReplicas(room, release));
    } else {
      const isCancelled = (await room.store.runs.get(release.run))?.status === 'cancelled';
      await room.store.releases.fail(release, {
        status: isCancelled ? 'cancelled' : 'failed',
        reason: 'its run ended before the deploy did',
      });
    }
  }
}

async function retireLeftovers(room: Room, environment: Environment): Promise<boolean> {
  const { application, name } = environment;
  const target = findTarget(room, environment);
  const serving = await target.live(application, name);
  let didRetire = false;
  for (const reference of await target.list(application, name)) {
    // Asked anew: a deploy may have begun since, and a release has its row before its processes.
    const row = await room.store.releases.get(application, name, reference.release);
    // A restored database may know the number with another fence: what carries the forgotten one belongs to nobody (I3).
    const isOwned = (row?.status === 'deploying' || row?.status === 'live') && row.fence === reference.fence;
    if (isOwned || isSameRelease(serving, reference)) continue;
    await target.retire(reference, 0);
    didRetire = true;
  }
  return didRetire;
}
