// I2, I8 of activities/job.ts and job-log.ts
import { ActivityCancellationDetails } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TaskInput } from '../../../activities/types.ts';
import type { BuildImageTask, RepoJobTask } from '../../../src/core/graph/graph.ts';
import {
  call,
  dyingRoom,
  findTask,
  makeActivityRoom,
  makeEnvironment,
  push,
  readLog,
  resolveRun,
  waitFor,
} from '../../support/activity-room.ts';
import type { ActivityRoom, Ready } from '../../support/activity-room.ts';
import { FakeExecutor } from '../../support/fake-executor.ts';

const plan = `
version: 1
applications:
  thingy: {start: node server.mjs}
environments:
  staging: {compute: process}
workflow:
  test: {type: repo_job, cmd: npm test, timeout: 60s}
  once: {type: repo_job, cmd: pay, rerun: never}
  build: {type: build_image, cmd: "echo 'it''s built'"}
  template: {type: generate_template, application: thingy, image: {get_output: build.digest}}
  staging: {type: deploy_stack, environment: staging, template: {get_output: template}}
  smoke: {type: repo_job, cmd: node smoke.mjs, env: {URL: {get_output: staging.url}, KEY: {secret: API_KEY}, PLAIN: x}}
`;

let room: ActivityRoom;
let ready: Ready;
let test: TaskInput<RepoJobTask>;

beforeEach(async () => {
  room = await makeActivityRoom();
  const run = await push(room, plan);
  ready = await resolveRun(room, run);
  test = { run, planDigest: ready.planDigest, task: findTask(ready, 'test', 'repo_job'), attempt: 1 };
});

afterEach(() => room.close());

function keyOf(input: TaskInput<RepoJobTask | BuildImageTask>) {
  return { run: input.run, task: input.task.name, attempt: input.attempt };
}

function logOf(input: TaskInput<RepoJobTask | BuildImageTask>): Promise<string> {
  return readLog(room, keyOf(input));
}

async function started(): Promise<void> {
  await waitFor('the job runs', () => room.executor.jobs.size === 1);
}

/** The worker stops: what it ran goes on. */
async function stopWorker(activity: Promise<unknown>, environment: ReturnType<typeof makeEnvironment>): Promise<void> {
  environment.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));
  await expect(activity).rejects.toMatchObject({ type: 'host-lost', nonRetryable: false });
}

describe('repo_job', () => {
  it('gives the exit code and the whole log, and removes the sandbox (I8)', async () => {
    const job = call(room, 'repo_job', test);
    await started();
    room.executor.write(keyOf(test), 'one\ntwo\n');
    room.executor.end(keyOf(test), { type: 'exited', exitCode: 0 });

    expect(await job).toEqual({ status: 'succeeded', exitCode: 0 });
    expect(await logOf(test)).toBe('one\ntwo\n');
    expect(room.executor.jobs.size).toBe(0);
    expect((await room.logs.read(keyOf(test), 0, 100)).ended).toBe(true);
  });

  it.each([
    [
      { type: 'exited', exitCode: 3 },
      { status: 'failed', exitCode: 3 },
    ],
    [{ type: 'timed-out' }, { status: 'failed', code: 'job-timed-out' }],
    [{ type: 'output-limit' }, { status: 'failed', code: 'output-limit' }],
  ] as const)('answers an outcome for a job that ended so: %o', async (end, outcome) => {
    room.executor.onStart = (job) => void (job.end = end);

    expect(await call(room, 'repo_job', test)).toMatchObject(outcome);
  });

  it('answers the stored outcome when it is called again, and starts nothing (I2)', async () => {
    room.executor.onStart = (job) => void (job.end = { type: 'exited', exitCode: 3 });
    await call(room, 'repo_job', test);

    const again = await call(room, 'repo_job', test);

    expect(again).toMatchObject({ status: 'failed', exitCode: 3 });
    expect(room.executor.startCalls).toBe(1);
  });

  it('gives the job the commit as environment, and no word of it in the script (I8)', async () => {
    room.executor.onStart = (job) => void (job.end = { type: 'exited', exitCode: 0 });
    const seen = watchSpec();

    await call(room, 'repo_job', test);

    expect(seen()?.cmd).toBe('npm test');
    expect(seen()?.env).toMatchObject({
      CI: 'true',
      LOAM_RUN: 'thingy/1',
      LOAM_BRANCH: 'main',
      LOAM_TASK: 'test',
      LOAM_ATTEMPT: '1',
      LOAM_AUTHOR: 'A. Author',
    });
    expect(seen()?.env['LOAM_MESSAGE']).toContain('$(touch');
    expect(seen()).toMatchObject({ local: true, network: 'egress', sockets: [] });
  });

  it('is attached to again after its worker has stopped: no gap and no double line (I2)', async () => {
    const environment = makeEnvironment();
    const first = call(room, 'repo_job', test, environment);
    await started();
    room.executor.write(keyOf(test), 'one\ntw');
    await waitFor('the first output is stored', async () => (await logOf(test)) !== '');
    await stopWorker(first, environment);
    room.executor.write(keyOf(test), 'o\nthree\n');
    room.executor.end(keyOf(test), { type: 'exited', exitCode: 0 });

    const outcome = await call(room, 'repo_job', test);

    expect(outcome).toEqual({ status: 'succeeded', exitCode: 0 });
    expect(await logOf(test)).toBe('one\ntwo\nthree\n');
    expect(await room.store.tasks.attempt(keyOf(test))).toMatchObject({ owner: 2, status: 'succeeded' });
  });

  it.each([
    ['executor', 'start', 'before'],
    ['executor', 'start', 'after'],
    ['executor', 'attach', 'after'],
    ['logs', 'append', 'before'],
    ['logs', 'append', 'after'],
    ['logs', 'seal', 'after'],
    ['tasks', 'finish', 'before'],
    ['tasks', 'finish', 'after'],
  ] as const)('runs once over a death: %s.%s %s (I2)', async (port, method, when) => {
    room.executor.onStart = (job) => {
      job.output = new TextEncoder().encode('one\ntwo\n');
      job.end = { type: 'exited', exitCode: 0 };
    };
    let made = 0;
    const original = room.executor.onStart;
    room.executor.onStart = (job) => {
      made += 1;
      original(job);
    };

    await expect(call(dyingRoom(room, port, method, when), 'repo_job', test)).rejects.toThrow();
    const outcome = await call(room, 'repo_job', test);

    expect(outcome).toEqual({ status: 'succeeded', exitCode: 0 });
    expect(made).toBe(1);
    expect(await logOf(test)).toBe('one\ntwo\n');
  });

  it('gives the log to the worker that took it over, and drops what a stale one still says (I2)', async () => {
    const stale = call(room, 'repo_job', test);
    await started();
    room.executor.write(keyOf(test), 'one\n');
    await waitFor('the output is stored', async () => (await logOf(test)) === 'one\n');
    const logs = room.openLogs();
    const text = new TextEncoder().encode('two\n');
    await logs.append(keyOf(test), { from: 4, nextSource: 8, text });

    room.executor.write(keyOf(test), 'two\n');
    room.executor.end(keyOf(test), { type: 'exited', exitCode: 0 });

    await expect(stale).rejects.toMatchObject({ type: 'host-lost', nonRetryable: false });
    const other = { dependencies: { ...room.dependencies, logs } };
    expect(await call(other, 'repo_job', test)).toMatchObject({ status: 'succeeded' });
    expect(await logOf(test)).toBe('one\ntwo\n');
  });

  it('starts a lost job again in the same attempt, and its log goes on (I2)', async () => {
    const job = call(room, 'repo_job', test);
    await started();
    room.executor.write(keyOf(test), 'one\n');
    await waitFor('the output is stored', async () => (await logOf(test)) === 'one\n');
    room.executor.onStart = (second) => {
      second.output = new TextEncoder().encode('one\ntwo\n');
      second.end = { type: 'exited', exitCode: 0 };
    };
    room.executor.end(keyOf(test), { type: 'lost' });

    expect(await job).toMatchObject({ status: 'succeeded' });
    expect(await logOf(test)).toBe('one\nloam: the sandbox of the job is gone; the job is started again\none\ntwo\n');
  });

  it('goes on in the output of the second sandbox when the worker dies once more (I2)', async () => {
    const environment = makeEnvironment();
    const first = call(room, 'repo_job', test, environment);
    await started();
    room.executor.write(keyOf(test), 'one\n');
    await waitFor('the output is stored', async () => (await logOf(test)) === 'one\n');
    await stopWorker(first, environment);
    await room.executor.remove(keyOf(test));
    const again = makeEnvironment();
    const second = call(room, 'repo_job', test, again);
    await started();
    room.executor.write(keyOf(test), 'ONE\n');
    await waitFor('the output is stored', async () => (await logOf(test)).endsWith('ONE\n'));
    await stopWorker(second, again);
    room.executor.write(keyOf(test), 'TWO\n');
    room.executor.end(keyOf(test), { type: 'exited', exitCode: 0 });

    expect(await call(room, 'repo_job', test)).toMatchObject({ status: 'succeeded' });
    expect(await logOf(test)).toMatch(/^one\nloam: .*\nONE\nTWO\n$/);
  });

  it('gives up a job that loses its sandbox again and again', async () => {
    room.executor.onStart = (job) => {
      job.output = new TextEncoder().encode('one\n');
      job.end = { type: 'lost' };
    };

    expect(await call(room, 'repo_job', test)).toMatchObject({ status: 'failed', code: 'job-lost' });
    expect(room.executor.startCalls).toBe(6);
  });

  it('never runs a task again that says rerun: never (I2)', async () => {
    const once = { ...test, task: { ...findTask(ready, 'test', 'repo_job'), rerun: 'never' as const } };
    const environment = makeEnvironment();
    const first = call(room, 'repo_job', once, environment);
    await started();
    await stopWorker(first, environment);
    await room.executor.remove(keyOf(once));

    expect(await call(room, 'repo_job', once)).toMatchObject({ status: 'failed', code: 'job-lost' });
    expect(room.executor.startCalls).toBe(1);
  });

  it('stops the job when it is cancelled, and keeps its last words', async () => {
    const environment = makeEnvironment();
    const job = call(room, 'repo_job', test, environment);
    await started();
    room.executor.write(keyOf(test), 'one\n');

    environment.cancel();

    expect(await job).toMatchObject({ status: 'cancelled' });
    expect(room.executor.stopped).toEqual([keyOf(test)]);
    expect(await logOf(test)).toContain('one\n');
    expect(room.executor.jobs.size).toBe(0);
  });

  it('says what the sandbox of this host does not do, once', async () => {
    const executor = new FakeExecutor(["egress uses the host's network"]);
    executor.onStart = (job) => void (job.end = { type: 'exited', exitCode: 0 });
    const weak = { dependencies: { ...room.dependencies, executor } };

    await call(weak, 'repo_job', test);

    expect(await logOf(test)).toBe("loam: egress uses the host's network\n");
  });

  it('heartbeats at once and goes on beating', async () => {
    const environment = makeEnvironment();
    let beats = 0;
    environment.on('heartbeat', () => (beats += 1));
    const job = call(room, 'repo_job', test, environment);

    await waitFor('beats', () => beats > 3);
    room.executor.end(keyOf(test), { type: 'exited', exitCode: 0 });

    expect(await job).toMatchObject({ status: 'succeeded' });
  });
});

function watchSpec() {
  let spec: Parameters<FakeExecutor['start']>[0] | undefined;
  const { onStart } = room.executor;
  room.executor.onStart = (job) => {
    spec = job.spec;
    onStart(job);
  };
  return () => spec;
}
