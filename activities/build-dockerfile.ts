// Keeps I2 (a build that was cut off finds what it made, or goes on from the engine's cache), I5 (known by digest) and I7 (no secret enters an image).
import { DomainError } from '../src/core/errors.ts';
import type { BuildImageTask, ImageSettings } from '../src/core/graph/graph.ts';
import type { Digest } from '../src/core/model/ids.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import type { ImageEnd, ImageSpec } from '../src/ports/image-builder.ts';
import type { RunRow } from '../src/ports/store.ts';
import { attemptKey, cancelled, cut, failed, runAttempt } from './attempt.ts';
import type { Attempt, AttemptEnd } from './attempt.ts';
import { readRun, readSource } from './compiled-plan.ts';
import type { Room } from './dependencies.ts';
import { interruption, whileBeating } from './interruption.ts';
import { resolveValue } from './job-environment.ts';
import { beginNextRange, openJobLog } from './job-log.ts';
import type { TaskInput } from './types.ts';

export interface ImageBuild {
  readonly input: TaskInput<Pick<BuildImageTask, 'name' | 'application' | 'timeoutMs' | 'rerun' | 'network'>>;
  readonly image: ImageSettings;
  /** Ends the task with what was built. */
  readonly onBuilt: (image: { readonly digest: Digest; readonly reference: string | undefined }) => Promise<AttemptEnd>;
}

const minTimeoutMs = 1_000;

export function buildFromDockerfile(room: Room, build: ImageBuild): Promise<TaskOutcome> {
  return runAttempt(room, attemptKey(build.input), { hasLog: true }, (attempt) =>
    whileBeating(room.limits.heartbeatEveryMs, (signal) => buildToEnd(room, build, attempt, signal), {
      runningSince: new Date(attempt.startedAtMs).toISOString(),
    }),
  );
}

async function buildToEnd(room: Room, build: ImageBuild, attempt: Attempt, signal: AbortSignal): Promise<AttemptEnd> {
  const { task } = build.input;
  const spec = await makeSpec(room, build);
  const log = await openJobLog(room, attempt.key, []);
  if (!attempt.first && task.rerun === 'never')
    return failed('job-lost', 'the build was cut off, and may not be begun again by itself');
  if (log.offset > 0) await beginNextRange(room, attempt.key, 'the build was cut off; it is begun again');
  const timeout = AbortSignal.timeout(
    Math.max(minTimeoutMs, attempt.startedAtMs + task.timeoutMs - room.clock.nowMs()),
  );
  const overflow = new AbortController();
  const limits = AbortSignal.any([timeout, overflow.signal]);
  try {
    return await describeEnd(room, build, await follow(room, spec, { signal, limits, overflow }));
  } catch (error) {
    if (interruption() === 'cancel') {
      await room.logs.note(attempt.key, 'loam: cancelled; the build is stopped');
      return cancelled('the run was cancelled');
    }
    if (signal.aborted || !limits.aborted) throw error;
    if (overflow.signal.aborted) return failed('output-limit', 'the build wrote more output than it may');
    return failed('job-timed-out', `the build took longer than ${Math.round(task.timeoutMs / 1000)} s`);
  }
}

async function follow(
  room: Room,
  spec: ImageSpec,
  ends: { readonly signal: AbortSignal; readonly limits: AbortSignal; readonly overflow: AbortController },
): Promise<ImageEnd> {
  const log = await openJobLog(room, spec.key, []);
  let offset = 0;
  const onOutput = async (bytes: Uint8Array): Promise<void> => {
    await log.write({ offset, bytes });
    offset += bytes.byteLength;
    if (offset > room.limits.jobOutputBytes) ends.overflow.abort();
  };
  const signal = AbortSignal.any([ends.signal, ends.limits]);
  try {
    return await room.images.build(spec, { signal, onOutput });
  } finally {
    // Two writers of one log must not meet: what is under way ends first.
    await log.finish();
  }
}

async function describeEnd(room: Room, { input, onBuilt }: ImageBuild, end: ImageEnd): Promise<AttemptEnd> {
  if (end.type === 'failed') {
    if (end.exitCode === undefined) return failed('build-failed', end.reason);
    return { outcome: { status: 'failed', exitCode: end.exitCode, reason: cut(end.reason) } };
  }
  await room.logs.note(attemptKey(input), `loam: image ${end.digest}`);
  return onBuilt(end);
}

async function makeSpec(room: Room, { input, image }: ImageBuild): Promise<ImageSpec> {
  const { task, run } = input;
  const row = await readRun(room, run);
  if (row.snapshot === undefined) throw new DomainError('blob-missing', `run ${run} has no snapshot of its commit`);
  const args: Record<string, string> = {};
  for (const [name, value] of Object.entries(image.args)) {
    if ('secret' in value)
      throw new DomainError('plan-invalid', `the argument ${name} is a secret: it would stand in the image`);
    args[name] = await resolveValue(room, run, value);
  }
  return {
    key: attemptKey(input),
    application: task.application,
    source: await room.blobs.file(row.snapshot),
    dockerfile: image.dockerfile,
    target: image.target,
    args,
    network: task.network,
    labels: await makeLabels(room, row),
  };
}

async function makeLabels(room: Room, row: RunRow): Promise<Readonly<Record<string, string>>> {
  const { git } = await readSource(room, row);
  return {
    'org.opencontainers.image.source': withoutCredentials(git.repositoryUrl),
    'org.opencontainers.image.revision': row.commit,
  };
}

/** I7: an address may hold a password. */
function withoutCredentials(url: string): string {
  return url.replace(/^([a-z+.-]+:\/\/)[^/@\s]*@/i, '$1');
}
