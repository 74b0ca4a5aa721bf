// Keeps I3 (each step asks the fence first), I4 (see deploy-admission.ts), I5 and I6: whatever dies at whatever step, the environment ends on the new
// release or on the last good one, and the rows say which. Each step may have been done already: rows and the front say so.
import { DomainError } from '../src/core/errors.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import type { Environment, Release, RunRow } from '../src/ports/store.ts';
import { attemptKey, cancelled, describeError, failed, finalError, runAttempt, succeeded } from './attempt.ts';
import type { AttemptEnd } from './attempt.ts';
import { readPlan, readRun } from './compiled-plan.ts';
import { admitDeploy, findTarget, findTemplate, guardServices } from './deploy-admission.ts';
import { clearLeftovers, describeServing, endOlderReleases, guardFence, note, returnToRecord } from './deploy-steps.ts';
import type { Rollout } from './deploy-steps.ts';
import type { Room } from './dependencies.ts';
import { interruption, whileBeating } from './interruption.ts';
import { describeRedeploy, findReleaseConfig, findReplicas, guardScale } from './redeploy.ts';
import { trustOf } from './release-config.ts';
import { isSameRelease, makeReleaseSpec, referenceOf } from './release-spec.ts';
import { awaitHealth } from './release-health.ts';
import { freshToken } from './trust-token.ts';
import type { DeployInput } from './types.ts';

export function deployStack(room: Room, input: DeployInput): Promise<TaskOutcome> {
  return runAttempt(room, attemptKey(input), { hasLog: true }, ({ startedAtMs }) =>
    whileBeating(room.limits.heartbeatEveryMs, (signal) => deploy(room, input, startedAtMs, signal), {
      runningSince: new Date(startedAtMs).toISOString(),
    }),
  );
}

async function deploy(room: Room, input: DeployInput, startedAtMs: number, signal: AbortSignal): Promise<AttemptEnd> {
  const row = await readRun(room, input.run);
  const environment = await readEnvironment(room, row, input);
  const begun = await findRelease(room, row, input);
  if (begun === undefined && interruption() === 'cancel')
    return cancelled('the run was cancelled before the deploy began');
  const release = begun ?? (await beginRelease(room, input, row, environment));
  const rollout: Rollout = {
    room,
    key: attemptKey(input),
    environment,
    release,
    reference: referenceOf(release),
    target: findTarget(room, environment),
    startedAtMs,
    timeoutMs: input.task.timeoutMs,
    signal,
  };
  if (begun !== undefined) await note(rollout, `going on with release ${release.number}`);
  return rollOut(rollout);
}

/** Goes on from wherever rows and front say that the release is. */
async function rollOut(rollout: Rollout): Promise<AttemptEnd> {
  const { target, release, reference } = rollout;
  const { application, environment, status } = release;
  if (status === 'failed' || status === 'cancelled') return ended(rollout, status);
  try {
    const isServing = isSameRelease(await target.live(application, environment), reference);
    // It went live, and a later deploy has replaced it since.
    if (!isServing && status !== 'deploying') return succeeded(outputsOf(rollout, undefined));
    if (!isServing) await bringUp(rollout);
    return await goLive(rollout);
  } catch (error) {
    return abandon(rollout, error);
  }
}

async function readEnvironment(room: Room, row: RunRow, { task }: DeployInput): Promise<Environment> {
  const environment = await room.store.environments.get(row.application, task.environment);
  if (environment !== undefined) return environment;
  throw new DomainError(
    'environment-unregistered',
    `environment ${task.environment} is not registered; register it with: loam env put ${row.application} ${task.environment}`,
  );
}

async function findRelease(
  room: Room,
  { application }: RunRow,
  { run, task, attempt }: DeployInput,
): Promise<Release | undefined> {
  const releases = await room.store.releases.list(application, task.environment);
  return releases.find((one) => one.run === run && one.task === task.name && one.attempt === attempt);
}

async function beginRelease(room: Room, input: DeployInput, row: RunRow, environment: Environment): Promise<Release> {
  const { run, task, attempt, planDigest, fence } = input;
  await guardHolder(room, input, environment);
  const found = await findTemplate(room, run, task.template);
  const { image } = await admitDeploy(room, { row, environment, task: task.name, found });
  guardScale(environment, task);
  const plan = await readPlan(room, planDigest);
  const config = await findReleaseConfig(room, { deploy: task, template: found.template, plan, environment });
  guardServices(environment, found.template, config);
  const release = await room.store.releases.begin({
    application: row.application,
    environment: environment.name,
    fence,
    run,
    task: task.name,
    attempt,
    commit: row.commit,
    image,
    template: found.digest,
    planDigest,
    config,
  });
  await room.logs.note(
    attemptKey(input),
    `loam: release ${release.number} of ${environment.name} (fence ${fence}), ${describeRedeploy(task)}artifact ${image}`,
  );
  return release;
}

/** I3: the fence came by a message, and messages are not believed: the newest fence may be another holder's. */
async function guardHolder(room: Room, { holder, fence }: DeployInput, environment: Environment): Promise<void> {
  const { application, name } = environment;
  if (await room.store.environments.isFenceOf(application, name, holder, fence)) return;
  throw new DomainError('fence-stale', `fence ${fence} of environment ${name} was not given to ${holder}`);
}

/** Up to the moment before the switch: the new release runs and is healthy, the old one serves. */
async function bringUp(rollout: Rollout): Promise<void> {
  const { room, target, release, environment, signal } = rollout;
  await returnToRecord(rollout);
  await clearLeftovers(rollout);
  const plan = await readPlan(room, release.planDigest);
  const trust = trustOf(environment, plan, environment.name);
  const held = trust === undefined ? undefined : await freshToken(room, trust, signal);
  const spec = await makeReleaseSpec(room, release, held?.token);
  signal.throwIfAborted();
  await guardFence(rollout, 'start');
  await target.start(spec, signal);
  await note(rollout, `release ${release.number} is started`);
  await awaitHealth(rollout, spec);
  // The last moment at which a cancel can leave the old release as it is.
  signal.throwIfAborted();
}

/** From here on nothing asks for a cancel: the traffic is on its way. Every step may be repeated. */
async function goLive(rollout: Rollout): Promise<AttemptEnd> {
  const { room, target, release, reference } = rollout;
  await guardFence(rollout, 'switch');
  const { url } = await target.switchTo(reference);
  await note(rollout, `${url} leads to release ${release.number}`);
  await guardFence(rollout, 'live');
  await room.store.releases.makeLive(release, await findReplicas(room, release));
  await retireOthers(rollout);
  await note(rollout, `release ${release.number} is live`);
  return succeeded(outputsOf(rollout, url));
}

function outputsOf({ environment, release }: Rollout, url: string | undefined): Record<string, string> {
  return { url: url ?? `http://127.0.0.1:${environment.frontPort}`, release: String(release.number) };
}

/** The deploy has succeeded already: what cannot be ended now is ended by the next deploy or the sweeper. */
async function retireOthers(rollout: Rollout): Promise<void> {
  const { room, target, release, reference } = rollout;
  try {
    await endOlderReleases(rollout);
    for (const other of await target.list(release.application, release.environment)) {
      if (other.fence >= reference.fence || isSameRelease(reference, other)) continue;
      await target.retire(other, room.limits.drainMs);
      await note(rollout, `release ${other.release} has ended`);
    }
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    room.logger.warn(
      { runId: release.run, task: release.task, code: error.code, reason: error.message },
      'old release was not retired',
    );
    await note(rollout, `an old release was not ended: ${error.message}`);
  }
}

/** Back to the last good release, in the world and in the rows. Throws on what a further attempt can mend. */
async function abandon(rollout: Rollout, caught: unknown): Promise<AttemptEnd> {
  const { room, target, release, reference } = rollout;
  const why = interruption();
  if (why === 'leave') throw caught;
  const error = why === 'cancel' ? caught : await findCause(rollout, caught);
  const final = endingError(error);
  const isServing = isSameRelease(await target.live(release.application, release.environment), reference);
  if (final !== undefined) {
    room.logger.info({ runId: release.run, task: release.task, ...describeError(error) }, 'deploy is given up');
    return fall(rollout, final, isServing);
  }
  if (why !== 'cancel') throw error;
  return isServing ? goLive(rollout) : giveUp(rollout, cancelled('the run was cancelled'));
}

/** A holder that has lost the lock may meet that in any step: the next one ends its release while it waits for health. */
async function findCause(rollout: Rollout, error: unknown): Promise<unknown> {
  try {
    await guardFence(rollout, 'give up');
    return error;
  } catch (stale) {
    return stale;
  }
}

/** A deploy waits no longer for a trust than `freshToken` did: it would hold the environment's lock all the while. */
function endingError(error: unknown): DomainError | undefined {
  return error instanceof DomainError && error.code === 'trust-failed' ? error : finalError(error);
}

async function fall(rollout: Rollout, error: DomainError, isServing: boolean): Promise<AttemptEnd> {
  const end = failed(error.code, error.message);
  if (error.code !== 'fence-stale') {
    if (isServing) await returnToRecord(rollout);
    return giveUp(rollout, end);
  }
  // The environment is another deploy's now, which finds and ends what this one left: only our own release is ours to end.
  await record(rollout, end);
  await removeOwn(rollout);
  return end;
}

/** The row first: a death in between leaves a release that is known to have failed, and `ended` removes it. */
async function giveUp(rollout: Rollout, end: AttemptEnd): Promise<AttemptEnd> {
  const { outcome } = end;
  const reason = `${outcome.reason ?? 'the deploy failed'}; ${await describeServing(rollout)}`;
  const told = await record(
    rollout,
    outcome.status === 'cancelled' ? cancelled(reason) : failed(outcome.code ?? 'internal', reason),
  );
  await removeOwn(rollout);
  return told;
}

async function record(rollout: Rollout, end: AttemptEnd): Promise<AttemptEnd> {
  const { code } = end.outcome;
  const status = end.outcome.status === 'cancelled' ? 'cancelled' : 'failed';
  const reason = end.outcome.reason ?? status;
  await rollout.room.store.releases.fail(rollout.release, { status, reason, ...(code !== undefined && { code }) });
  await note(rollout, reason);
  return end;
}

/** An earlier attempt of this activity, or the sweeper, wrote the release's end; the attempt's own is still to be written. */
async function ended(rollout: Rollout, status: 'failed' | 'cancelled'): Promise<AttemptEnd> {
  const { target, release, reference } = rollout;
  const serving = await target.live(release.application, release.environment);
  if (isSameRelease(serving, reference)) await returnToRecord(rollout);
  await removeOwn(rollout);
  const { code, reason = 'the deploy failed' } = release;
  return { outcome: { status, reason, ...(code !== undefined && { code }) } };
}

async function removeOwn({ target, release, reference }: Rollout): Promise<void> {
  const serving = await target.live(release.application, release.environment);
  if (!isSameRelease(serving, reference)) await target.retire(reference, 0);
}
