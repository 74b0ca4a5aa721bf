// I2, I5, I6, I7 of the activities over the real git, executor, stores and target: examples/thingy from its commit to two live releases.
import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ActivityCancellationDetails } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ActivityDependencies } from '../../../activities/dependencies.ts';
import { createFolderBlobStore } from '../../../src/adapters/blob/folder/folder-blob-store.ts';
import { createProcessExecutor } from '../../../src/adapters/executor/process/process-executor.ts';
import { createGit } from '../../../src/adapters/git/git.ts';
import { createFolderLogStore } from '../../../src/adapters/log/folder/folder-log-store.ts';
import { createSecretBox } from '../../../src/adapters/secret/secret-box.ts';
import { createStore } from '../../../src/adapters/store/store.ts';
import { createProcessTarget } from '../../../src/adapters/target/process/process-target.ts';
import type { ProcessTarget } from '../../../src/adapters/target/process/process-target.ts';
import { createRunEngine } from '../../../src/adapters/temporal/engine.ts';
import type { OpenRunEngine } from '../../../src/adapters/temporal/engine.ts';
import { freePort } from '../../../src/adapters/temporal/port.ts';
import { lockHolder, parseDigest, parseEnvironmentName, parseSha, parseTaskName } from '../../../src/core/model/ids.ts';
import type { RunId } from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import type { Store } from '../../../src/ports/store.ts';
import { call, findTask, makeEnvironment, thingy, waitFor } from '../../support/activity-room.ts';
import type { Ready } from '../../support/activity-room.ts';
import { FakeImageBuilder } from '../../support/fake-image-builder.ts';
import { FakeTrustProvider } from '../../support/fake-trust-provider.ts';
import { findBubblewrap } from '../contracts/process-target-subject.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const staging = parseEnvironmentName('staging');
const ignore = () => undefined;
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

let folder: string;
let repository: string;
let store: Store;
let target: ProcessTarget;
let engine: OpenRunEngine;
let room: { readonly dependencies: ActivityDependencies };

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'loam-real-'));
  repository = path.join(folder, 'work');
  const data = path.join(folder, 'data');
  const bwrapPath = await findBubblewrap();
  const secretBox = createSecretBox({ key: new Uint8Array(32).fill(7) });
  await cp(path.join(root, 'examples/thingy'), repository, { recursive: true });
  git('init', '-q', '-b', 'main');
  target = createProcessTarget({
    dataFolder: data,
    bwrapPath,
    secretBox,
    nodePath: process.execPath,
    mainFolder: path.join(root, 'src/main'),
    logger,
  });
  const executor = await createProcessExecutor({
    jobsFolder: path.join(data, 'jobs'),
    bwrapPath,
    slirp4netnsPath: undefined,
    toolPath: process.env['PATH'] ?? '',
    hostId: 'host-1',
    logger,
  });
  store = await createStore({ file: path.join(data, 'loam.db'), secretBox, pickFrontPort: freePort });
  engine = createRunEngine({ address: '127.0.0.1:1', namespace: 'loam' }); // nothing here asks it
  const blobs = createFolderBlobStore({ folder: path.join(data, 'blobs') });
  const dependencies: ActivityDependencies = {
    store,
    blobs,
    logs: createFolderLogStore({ folder: path.join(data, 'logs'), positions: store.logs, blobs }),
    git: createGit({ mirrorsFolder: path.join(data, 'mirrors'), logger }),
    executor,
    targets: [target],
    images: new FakeImageBuilder(),
    trustProviders: [new FakeTrustProvider()],
    engine,
    logger,
    hostId: 'host-1',
    openFile: (file) => createReadStream(file),
    limits: { heartbeatEveryMs: 100, healthTimeoutMs: 15_000, stopGraceMs: 2_000, drainMs: 500 },
  };
  room = { dependencies };
  const application = { name: thingy, repositoryUrl: repository, local: true, branches: [], trigger: 'trigger-1' };
  await store.applications.add(application, new Secret('trigger-secret'));
});

afterAll(async () => {
  await target.down();
  await engine.close();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

function git(...args: readonly string[]): string {
  const identity = ['-c', 'user.name=A. Author', '-c', 'user.email=a@x.me'];
  return execFileSync('git', [...identity, ...args], { cwd: repository, encoding: 'utf8' }).trim();
}

async function push(message: string): Promise<{ readonly run: RunId; readonly ready: Ready }> {
  git('add', '-A');
  git('commit', '-q', '--allow-empty', '-m', message);
  const after = parseSha(git('rev-parse', 'HEAD'));
  await store.deliveries.receive({
    application: thingy,
    source: 'manual',
    deliveryId: randomUUID(),
    bodyDigest: parseDigest(`sha256:${createHash('sha256').update(after).digest('hex')}`),
    push: { ref: 'refs/heads/main', before: undefined, after, pushedAtMs: Date.now(), message, author: 'A. Author' },
    ignored: undefined,
  });
  const [row] = await store.runs.list({ application: thingy, limit: 1 });
  if (row === undefined) throw new Error('no run');
  const ready = await call(room, 'resolve', { run: row.id });
  if (ready.type !== 'ready') throw new Error(JSON.stringify(ready));
  return { run: row.id, ready };
}

async function readLog(run: RunId, task: string, attempt = 1): Promise<string> {
  const { bytes } = await room.dependencies.logs.read({ run, task: parseTaskName(task), attempt }, 0, 1_000_000);
  return new TextDecoder().decode(bytes);
}

async function deploy(run: RunId, ready: Ready): Promise<string> {
  const base = { run, planDigest: ready.planDigest, attempt: 1 };
  expect(await call(room, 'build_image', { ...base, task: findTask(ready, 'build', 'build_image') })).toEqual({
    status: 'succeeded',
    exitCode: 0,
  });
  await call(room, 'generate_template', { ...base, task: findTask(ready, 'template', 'generate_template') });
  const task = findTask(ready, 'staging', 'deploy_stack');
  const holder = lockHolder(run, task.name, 1);
  const fence = await call(room, 'takeFence', { application: thingy, environment: staging, holder });
  const outcome = await call(room, 'deploy_stack', { ...base, task, holder, fence });
  return outcome.status === 'succeeded' ? 'succeeded' : `${outcome.code ?? ''}: ${outcome.reason ?? ''}`;
}

async function output(run: RunId, task: string, key: string): Promise<string> {
  const value = await store.tasks.output(run, { task: parseTaskName(task), key });
  if (value === undefined) throw new Error(`no output ${task}.${key}`);
  return value;
}

describe('the activities on this machine', () => {
  it('test, build, deploy and smoke-test a commit, and build the same digest again (I5)', async () => {
    const { run, ready } = await push('first');
    const base = { run, planDigest: ready.planDigest, attempt: 1 };

    const tested = await call(room, 'repo_job', { ...base, task: findTask(ready, 'test', 'repo_job') });
    const deployed = await deploy(run, ready);
    const smoke = await call(room, 'repo_job', { ...base, task: findTask(ready, 'smoke', 'repo_job') });

    expect(tested, await readLog(run, 'test')).toEqual({ status: 'succeeded', exitCode: 0 });
    expect(deployed, await readLog(run, 'staging')).toBe('succeeded');
    expect(smoke, await readLog(run, 'smoke')).toEqual({ status: 'succeeded', exitCode: 0 });
    const answer = await fetch(`${await output(run, 'staging', 'url')}/health`, { signal: AbortSignal.timeout(5_000) });
    expect(answer.status).toBe(200);
    await call(room, 'build_image', { ...base, attempt: 2, task: findTask(ready, 'build', 'build_image') });
    const attempts = (await store.tasks.attempts(run)).filter(({ task }) => task === 'build');
    expect(new Set(attempts.map(({ outputs }) => outputs['digest'])).size).toBe(1);
    expect(await room.dependencies.executor.list()).toEqual([]);
  });

  it('leaves the first release serving when the next one is not healthy (I6)', async () => {
    const server = path.join(repository, 'server.mjs');
    const healthy = await readFile(server, 'utf8');
    await writeFile(server, "console.log('cannot start'); process.exit(3);\n");
    const { run, ready } = await push('broken');
    await writeFile(server, healthy);

    const deployed = await deploy(run, ready);

    expect(deployed).toContain('deploy-unhealthy');
    expect(deployed).toContain('release 1 still serves');
    expect(await readLog(run, 'staging')).toContain('| cannot start');
    expect((await target.live(thingy, staging))?.release).toBe(1);
    expect((await target.list(thingy, staging)).map(({ release }) => release)).toEqual([1]);
  });

  it('attaches again to a job whose worker has stopped, and a job runs once (I2)', async () => {
    const { run, ready } = await push('slow');
    const cmd = 'echo begin $LOAM_TASK; while [ ! -e "$LOAM_OUT/go" ]; do sleep 0.05; echo tick; done; echo end';
    const input = {
      run,
      planDigest: ready.planDigest,
      attempt: 1,
      task: { ...findTask(ready, 'test', 'repo_job'), cmd },
    };
    const environment = makeEnvironment();
    const first = call(room, 'repo_job', input, environment);
    await waitFor('output is stored', async () => (await readLog(run, 'test')).includes('tick'));
    environment.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));
    await expect(first).rejects.toMatchObject({ type: 'host-lost' });

    const second = call(room, 'repo_job', input);
    const ticks = (await readLog(run, 'test')).length;
    await waitFor('more output is stored', async () => (await readLog(run, 'test')).length > ticks);
    await writeGo();

    expect(await second).toEqual({ status: 'succeeded', exitCode: 0 });
    const log = await readLog(run, 'test');
    expect(log.match(/begin test/g)).toHaveLength(1);
    expect(log).toMatch(/(?:tick\n)+end\n$/);

    async function writeGo(): Promise<void> {
      const [key] = await room.dependencies.executor.list();
      if (key === undefined) throw new Error('no job');
      const jobs = path.join(folder, 'data/jobs');
      const out = execFileSync('find', [jobs, '-type', 'd', '-name', 'out'], { encoding: 'utf8' }).trim();
      await writeFile(path.join(out, 'go'), '');
    }
  });

  it('stops a cancelled job with all its processes, and keeps what it said', async () => {
    const { run, ready } = await push('endless');
    const task = {
      ...findTask(ready, 'test', 'repo_job'),
      cmd: "trap 'echo got TERM; exit 0' TERM; echo begin; while :; do sleep 0.05; done",
    };
    const environment = makeEnvironment();
    const job = call(room, 'repo_job', { run, planDigest: ready.planDigest, attempt: 1, task }, environment);
    await waitFor('the job runs', async () => (await readLog(run, 'test')).includes('begin'));

    environment.cancel();

    expect(await job).toMatchObject({ status: 'cancelled' });
    expect(await readLog(run, 'test')).toContain('loam: cancelled; the job is stopped');
    expect(await room.dependencies.executor.list()).toEqual([]);
  });
});
