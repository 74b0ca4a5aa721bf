// I5, I7, I8 of activities/job-environment.ts and build-image.ts
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TaskInput } from '../../../activities/types.ts';
import type { BuildImageTask, RepoJobTask } from '../../../src/core/graph/graph.ts';
import { parseEnvironmentName, parseTaskName } from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import { call, findTask, makeActivityRoom, push, readLog, resolveRun, thingy } from '../../support/activity-room.ts';
import type { ActivityRoom, Ready } from '../../support/activity-room.ts';
import type { FakeExecutor } from '../../support/fake-executor.ts';

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

describe('repo_job that reads outputs and secrets', () => {
  let smoke: TaskInput<RepoJobTask>;

  beforeEach(() => {
    smoke = { ...test, task: findTask(ready, 'smoke', 'repo_job') };
    room.executor.onStart = (job) => {
      job.output = new TextEncoder().encode('key is canary-secret!\n');
      job.end = { type: 'exited', exitCode: 0 };
    };
  });

  it('names task and key of an output that does not exist', async () => {
    await room.store.secrets.put(thingy, undefined, 'API_KEY', new Secret('canary-secret'));

    const outcome = await call(room, 'repo_job', smoke);

    expect(outcome).toMatchObject({ status: 'failed', code: 'output-missing' });
    expect(outcome.reason).toContain('"url" of task staging');
    expect(room.executor.startCalls).toBe(0);
  });

  it('gets the value, a socket to the front, and its secret apart from the rest and masked in the log (I7)', async () => {
    await leaveUrl();
    await room.store.secrets.put(thingy, undefined, 'API_KEY', new Secret('canary-secret'));
    const seen = watchSpec();

    await call(room, 'repo_job', smoke);

    const staging = await room.store.environments.get(thingy, parseEnvironmentName('staging'));
    const port = staging?.frontPort ?? 0;
    expect(seen()?.env).toMatchObject({ URL: 'http://front/staging', PLAIN: 'x' });
    expect(seen()?.env['KEY']).toBeUndefined();
    expect(seen()?.secrets['KEY']?.reveal()).toBe('canary-secret');
    expect(seen()?.sockets).toEqual([{ port, path: `/front/${port}.sock` }]);
    expect(await logOf(smoke)).toMatch(/^key is .*!\n$/);
    expect((await logOf(smoke)) + room.workerLog.join('')).not.toContain('canary');
  });

  it('sees no secret that belongs to one environment (I8)', async () => {
    await leaveUrl();
    await room.store.secrets.put(thingy, parseEnvironmentName('staging'), 'API_KEY', new Secret('canary-secret'));

    expect(await call(room, 'repo_job', smoke)).toMatchObject({ status: 'failed', code: 'secret-missing' });
  });

  async function leaveUrl(): Promise<void> {
    const key = { run: test.run, task: parseTaskName('staging'), attempt: 1 };
    const begin = await room.store.tasks.begin(key, 'host-1');
    if (begin.type !== 'begun') throw new Error('staging has ended');
    const end = { outcome: { status: 'succeeded' }, outputs: { url: 'http://front/staging' }, log: undefined } as const;
    await room.store.tasks.finish(key, begin.owner, end);
  }
});

describe('build_image', () => {
  let build: TaskInput<BuildImageTask>;

  beforeEach(() => {
    build = { ...test, task: findTask(ready, 'build', 'build_image') };
  });

  it('stores the archive under its digest, and gives the digest as output (I5)', async () => {
    room.executor.onStart = (job) => {
      job.files.set('artifact.tar', 'the archive');
      job.end = { type: 'exited', exitCode: 0 };
    };
    const seen = watchSpec();

    const outcome = await call(room, 'build_image', build);

    const { digest } = await room.blobs.put('the archive');
    expect(outcome).toEqual({ status: 'succeeded', exitCode: 0 });
    expect(await room.store.tasks.output(build.run, { task: build.task.name, key: 'digest' })).toBe(digest);
    expect(await room.store.tasks.output(build.run, { task: build.task.name, key: '' })).toBe(digest);
    expect(await logOf(build)).toContain(`artifact ${digest} (11 bytes)`);
    expect(seen()?.cmd).toMatch(/^sh -c '.*' \|\| exit \$\?\nLC_ALL=C exec tar /);
  });

  it('fails when the build leaves no archive, and when it is too large', async () => {
    room.executor.onStart = (job) => void (job.end = { type: 'exited', exitCode: 0 });
    const none = await call(room, 'build_image', build);
    room.executor.onStart = (job) => {
      job.files.set('artifact.tar', 'x'.repeat(100));
      job.end = { type: 'exited', exitCode: 0 };
    };
    const tight = {
      dependencies: { ...room.dependencies, limits: { ...room.dependencies.limits, artifactBytes: 99 } },
    };

    const large = await call(tight, 'build_image', { ...build, attempt: 2 });

    expect(none).toMatchObject({ status: 'failed', code: 'artifact-invalid' });
    expect(large).toMatchObject({ status: 'failed', code: 'input-too-large' });
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
