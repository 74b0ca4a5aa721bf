// Keeps I2 (a cut-off job is attached to again, else it follows `rerun`) and I8 (the sandbox is gone when the attempt has ended).
import type { JobEnd, JobKey, JobSpec } from '../src/ports/executor.ts';
import { DomainError } from '../src/core/errors.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import { attemptKey, cancelled, ensureOwner, failed, runAttempt } from './attempt.ts';
import type { Attempt, AttemptEnd } from './attempt.ts';
import { readRun, readSource } from './compiled-plan.ts';
import type { Room } from './dependencies.ts';
import { interruption, whileBeating } from './interruption.ts';
import { makeJobEnvironment } from './job-environment.ts';
import type { JobTask } from './job-environment.ts';
import { beginNextRange, openJobLog } from './job-log.ts';
import type { TaskInput } from './types.ts';

export interface JobWork {
  readonly cmd: string;
  /** After exit code 0, while the sandbox still has its files. */
  readonly onSuccess: (attempt: Attempt, signal: AbortSignal) => Promise<AttemptEnd>;
}

/** Sandboxes that one attempt may lose: a job that kills its own again and again must end. */
const maxLost = 5;
const minTimeoutMs = 1_000;

/** Runs a task's commands in a sandbox: the shared body of `repo_job` and `build_image`. */
export async function runJob(room: Room, input: TaskInput<JobTask>, work: JobWork): Promise<TaskOutcome> {
  const key = attemptKey(input);
  const before = await room.store.tasks.attempt(key);
  const isMoved = before !== undefined && before.host !== room.hostId;
  const outcome = await runAttempt(room, key, { hasLog: true }, (attempt) =>
    whileBeating(room.limits.heartbeatEveryMs, (signal) => runToEnd(room, input, { work, attempt, isMoved, signal }), {
      runningSince: new Date(attempt.startedAtMs).toISOString(),
    }),
  );
  await removeSandbox(room, key);
  return outcome;
}

interface Running extends Pick<Sandbox, 'attempt' | 'isMoved' | 'signal'> {
  readonly work: JobWork;
}

async function runToEnd(
  room: Room,
  input: TaskInput<JobTask>,
  { work, attempt, isMoved, signal }: Running,
): Promise<AttemptEnd> {
  try {
    const spec = await makeSpec(room, input, { cmd: work.cmd, startedAtMs: attempt.startedAtMs });
    const end = await untilEnded(room, { input, attempt, spec, isMoved, signal });
    if (end.type === 'exited' && end.exitCode === 0) return await work.onSuccess(attempt, signal);
    return describeEnd(end, input.task);
  } catch (error) {
    if (interruption() !== 'cancel') throw error;
    await room.executor.stop(attempt.key, room.limits.stopGraceMs);
    return describeEnd({ type: 'stopped' }, input.task);
  }
}

async function makeSpec(
  room: Room,
  input: TaskInput<JobTask>,
  { cmd, startedAtMs }: { readonly cmd: string; readonly startedAtMs: number },
): Promise<JobSpec> {
  const row = await readRun(room, input.run);
  const { local } = await readSource(room, row);
  const environment = await makeJobEnvironment(room, input, row);
  return {
    ...environment,
    key: attemptKey(input),
    source: row.snapshot === undefined ? undefined : await room.blobs.file(row.snapshot),
    cmd,
    network: input.task.network,
    local,
    // Counted from the row: a sandbox that replaces a lost one gets what is left.
    timeoutMs: Math.max(minTimeoutMs, startedAtMs + input.task.timeoutMs - room.clock.nowMs()),
    outputLimitBytes: room.limits.jobOutputBytes,
  };
}

interface Sandbox {
  readonly input: TaskInput<JobTask>;
  readonly attempt: Attempt;
  readonly spec: JobSpec;
  readonly isMoved: boolean;
  readonly signal: AbortSignal;
}

async function untilEnded(room: Room, sandbox: Sandbox): Promise<JobEnd> {
  const { attempt, spec } = sandbox;
  // What this host has left from before another one took the attempt over is of no use: its output has no place in the log any more.
  if (sandbox.isMoved) await room.executor.remove(spec.key);
  if (!attempt.first && (sandbox.isMoved || !(await isThere(room, spec.key)))) {
    if (!(await mayStartAnew(room, sandbox))) return { type: 'lost' };
  }
  for (let noted = !attempt.first; ; noted = true) {
    // The log is opened while the sandbox starts; its output is read only after both.
    await Promise.all([room.executor.start(spec), noted ? undefined : noteLimits(room, spec.key)]);
    const end = await follow(room, sandbox);
    if (end.type !== 'lost') return end;
    await ensureOwner(room, attempt);
    await room.executor.remove(spec.key);
    if (!(await mayStartAnew(room, sandbox))) return end;
  }
}

/** `rerun` when the sandbox is gone: by default the job starts anew in the same attempt, its log goes on. */
async function mayStartAnew(room: Room, { spec, input }: Sandbox): Promise<boolean> {
  if (input.task.rerun === 'never') return false;
  const log = await openJobLog(room, spec.key, []);
  if (log.lost >= maxLost) return false;
  // Nothing of it was stored: the worker died before it started one, or before its first output.
  if (log.offset > 0) await beginNextRange(room, spec.key, 'the sandbox of the job is gone; the job is started again');
  return true;
}

async function isThere(room: Room, key: JobKey): Promise<boolean> {
  const keys = await room.executor.list();
  return keys.some((one) => one.run === key.run && one.task === key.task && one.attempt === key.attempt);
}

async function noteLimits(room: Room, key: JobKey): Promise<void> {
  for (const limit of room.executor.limits) await room.logs.note(key, `loam: ${limit}`);
}

async function follow(room: Room, { spec, signal }: Sandbox): Promise<JobEnd> {
  const log = await openJobLog(room, spec.key, Object.values(spec.secrets));
  const onOutput = log.write.bind(log);
  try {
    const end = await room.executor.attach(spec.key, { fromOffset: log.offset, signal, onOutput });
    await log.finish();
    return end;
  } catch (error) {
    // Two writers of one log must not meet: what is under way ends first.
    await log.settle().catch(() => undefined);
    if (error instanceof DomainError && error.code === 'not-found') return { type: 'lost' };
    if (interruption() !== 'cancel') throw error;
    return stop(room, spec);
  }
}

async function stop(room: Room, spec: JobSpec): Promise<JobEnd> {
  await room.logs.note(spec.key, 'loam: cancelled; the job is stopped');
  await room.executor.stop(spec.key, room.limits.stopGraceMs);
  const log = await openJobLog(room, spec.key, Object.values(spec.secrets));
  const signal = AbortSignal.timeout(room.limits.stopGraceMs);
  const onOutput = log.write.bind(log);
  try {
    await room.executor.attach(spec.key, { fromOffset: log.offset, signal, onOutput });
    await log.finish();
  } catch (error) {
    room.logger.warn(
      { runId: spec.key.run, task: spec.key.task, reason: String(error) },
      'last output of a stopped job is lost',
    );
  }
  return { type: 'stopped' };
}

function describeEnd(end: JobEnd, task: JobTask): AttemptEnd {
  switch (end.type) {
    case 'exited':
      return { outcome: { status: 'failed', exitCode: end.exitCode, reason: `exit code ${end.exitCode}` } };
    case 'timed-out':
      return failed('job-timed-out', `the job took longer than ${Math.round(task.timeoutMs / 1000)} s`);
    case 'output-limit':
      return failed('output-limit', 'the job wrote more output than it may');
    case 'out-of-memory':
      return failed(
        'job-out-of-memory',
        'the job used more memory than it may; LOAM_DOCKER_MEMORY_MB says how much that is',
      );
    case 'stopped':
      return cancelled('the run was cancelled');
    case 'lost':
      return failed('job-lost', 'the sandbox of the job is gone, and the task may not be run again by itself');
  }
}

/** The attempt's row is written: what fails here is the sweeper's to repeat. */
async function removeSandbox(room: Room, key: JobKey): Promise<void> {
  try {
    await room.executor.remove(key);
  } catch (error) {
    room.logger.warn(
      { runId: key.run, task: key.task, attempt: key.attempt, reason: String(error) },
      'sandbox was not removed',
    );
  }
}
