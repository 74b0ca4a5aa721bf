// I6, I8 of activities/sweep.ts
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { beat, sweep } from '../../../activities/sweep.ts';
import { parseEnvironmentName, parseTaskName } from '../../../src/core/model/ids.ts';
import type { RunId } from '../../../src/core/model/ids.ts';
import { DomainError } from '../../../src/core/errors.ts';
import type { Executor } from '../../../src/ports/executor.ts';
import type { Release } from '../../../src/ports/store.ts';
import type { ReleaseReference, ReleaseSpec } from '../../../src/ports/target.ts';
import { call, dyingRoom, makeActivityRoom, push, shaOf, thingy } from '../../support/activity-room.ts';
import type { ActivityRoom } from '../../support/activity-room.ts';

const staging = parseEnvironmentName('staging');
const task = parseTaskName('staging');
const test = parseTaskName('test');

let room: ActivityRoom;
let run: RunId;
let digest: Awaited<ReturnType<ActivityRoom['blobs']['put']>>['digest'];

beforeEach(async () => {
  room = await makeActivityRoom();
  run = await push(room, undefined);
  ({ digest } = await room.blobs.put('{"version": 1, "graph": {"tasks": []}}'));
  await room.store.runs.setPlan(run, {
    planDigest: digest,
    snapshot: digest,
    warnings: [],
    tasks: [
      { name: test, type: 'repo_job' },
      { name: task, type: 'deploy_stack' },
    ],
  });
  await room.store.environments.put(thingy, staging, { target: 'process' });
});

afterEach(() => room.close());

describe('sweep', () => {
  it('removes sandboxes of closed runs and ended attempts, and no others (I8)', async () => {
    for (const attempt of [1, 2]) {
      await room.store.tasks.begin({ run, task: test, attempt }, 'host-1');
      await start(run, attempt);
    }
    const outcome = { outcome: { status: 'failed' }, outputs: {}, log: undefined } as const;
    await room.store.tasks.finish({ run, task: test, attempt: 1 }, 1, outcome);
    await start('thingy/99' as RunId, 1);

    const first = await sweep(room.dependencies);
    const left = (await room.executor.list()).map(({ attempt }) => attempt);
    await room.store.runs.finish(run, { status: 'failed', code: undefined, reason: undefined });
    const second = await sweep(room.dependencies);

    expect([first.sandboxes, second.sandboxes]).toEqual([2, 1]);
    expect(left).toEqual([2]);
    expect(await room.executor.list()).toEqual([]);
  });

  it('removes sandboxes of attempts that another host has taken over, at the next beat (I8)', async () => {
    for (const attempt of [1, 2]) {
      await room.store.tasks.begin({ run, task: test, attempt }, 'host-1');
      await start(run, attempt);
    }
    await room.store.tasks.begin({ run, task: test, attempt: 1 }, 'host-2');

    await beat(room.dependencies);

    expect((await room.executor.list()).map(({ attempt }) => attempt)).toEqual([2]);
    expect(await room.store.tasks.begin({ run, task: test, attempt: 2 }, 'host-2')).toMatchObject({ type: 'held' });
  });

  it('leaves a deploy of an open run alone', async () => {
    await bringUp(1);

    expect(await sweep(room.dependencies)).toEqual({ sandboxes: 0, releases: 0, tokens: 0 });
    expect(room.target.running.size).toBe(1);
  });

  it('ends what the deploy of a closed run left (I6)', async () => {
    await bringUp(1);
    await room.store.runs.finish(run, { status: 'failed', code: undefined, reason: undefined });

    expect(await sweep(room.dependencies)).toMatchObject({ releases: 1 });
    expect(room.target.running.size).toBe(0);
    expect((await room.store.releases.get(thingy, staging, 1))?.status).toBe('failed');
    expect(await sweep(room.dependencies)).toMatchObject({ releases: 0 });
  });

  it('happens at the end of a run for what its own deploy left (I6)', async () => {
    await bringUp(1);

    await call(room, 'finish', { run, status: 'failed', records: [] });

    expect(room.target.running.size).toBe(0);
    expect((await room.store.releases.get(thingy, staging, 1))?.status).toBe('failed');
  });

  it('happens at the end of a run for its sandboxes, before its row says how it ended (I8)', async () => {
    for (const attempt of [1, 2]) await start(run, attempt);
    await start('thingy/99' as RunId, 1);
    const seen: unknown[] = [];
    const removing = withRemove(room, async (key) => {
      seen.push((await room.store.runs.get(run))?.status);
      await room.executor.remove(key);
    });

    await call(removing, 'finish', { run, status: 'failed', records: [] });

    expect(seen).toEqual(['pending', 'pending']);
    expect((await room.executor.list()).map((key) => key.run)).toEqual(['thingy/99']);
    expect((await room.store.runs.get(run))?.status).toBe('failed');
  });

  it('goes on at the end of a run where a worker died between its sandboxes and its row (I8)', async () => {
    await start(run, 1);

    const died = call(dyingRoom(room, 'runs', 'finish', 'before'), 'finish', { run, status: 'failed', records: [] });
    await expect(died).rejects.toThrow();
    const between = [await room.executor.list(), (await room.store.runs.get(run))?.status];
    await call(room, 'finish', { run, status: 'failed', records: [] });

    expect(between).toEqual([[], 'pending']);
    expect((await room.store.runs.get(run))?.status).toBe('failed');
  });

  it.each([
    ['is away', () => Promise.reject(new DomainError('executor-unavailable', 'the engine does not answer'))],
    ['hangs', () => new Promise<void>(() => undefined)],
  ])('lets a run end whose engine %s, and a later beat removes its sandbox (I8)', async (_, remove) => {
    await start(run, 1);

    await call(withRemove(room, remove), 'finish', { run, status: 'cancelled', records: [] });
    const left = await room.executor.list();
    await beat(room.dependencies);

    expect((await room.store.runs.get(run))?.status).toBe('cancelled');
    expect(left).toHaveLength(1);
    expect(await room.executor.list()).toEqual([]);
  });

  it('ends a release whose number a restored database gave to another one (I3)', async () => {
    const owned = await bringUp(1);
    const forgotten = { ...owned, fence: owned.fence + 1 };
    await room.target.start(specOf(forgotten), AbortSignal.timeout(5_000));
    await room.target.switchTo(owned);
    await room.store.runs.finish(run, { status: 'succeeded', code: undefined, reason: undefined });

    await sweep(room.dependencies);

    expect(await room.target.list(thingy, staging)).toEqual([owned]);
  });

  it('calls the release of a cancelled run cancelled (I6)', async () => {
    await bringUp(1);

    await call(room, 'finish', { run, status: 'cancelled', records: [] });

    expect((await room.store.releases.get(thingy, staging, 1))?.status).toBe('cancelled');
  });

  it('makes live what serves already, if nobody took the fence since (I6)', async () => {
    await room.target.switchTo(await bringUp(1));
    await room.store.runs.finish(run, { status: 'failed', code: undefined, reason: undefined });

    await sweep(room.dependencies);

    expect((await room.store.releases.get(thingy, staging, 1))?.status).toBe('live');
    expect((await room.store.environments.get(thingy, staging))?.liveRelease).toBe(1);
  });

  it('goes on when one thing cannot be ended', async () => {
    await start('thingy/98' as RunId, 1);
    await start('thingy/99' as RunId, 1);
    let calls = 0;
    const broken = withRemove(room, async (key) => {
      calls += 1;
      if (calls === 1) throw new Error('busy');
      await room.executor.remove(key);
    });

    expect(await sweep(broken.dependencies)).toMatchObject({ sandboxes: 1 });
  });
});

/** The same room with an executor that removes in this way, and half a second for it. */
function withRemove({ dependencies }: ActivityRoom, remove: Executor['remove']): Pick<ActivityRoom, 'dependencies'> {
  const { executor } = dependencies;
  const changed = Object.assign(Object.create(executor) as Executor, { remove, list: () => executor.list() });
  const limits = { ...dependencies.limits, sandboxRemovalMs: 500 };
  return { dependencies: { ...dependencies, executor: changed, limits } };
}

/** A release that runs and has not been switched to. */
async function bringUp(attempt: number): Promise<ReleaseReference> {
  const fence = await room.store.environments.takeFence(thingy, staging, `holder-${attempt}`, 0);
  const release: Release = await room.store.releases.begin({
    application: thingy,
    environment: staging,
    fence,
    run,
    task,
    attempt,
    commit: shaOf('x'),
    image: digest,
    template: digest,
    planDigest: digest,
    config: {},
  });
  const reference = { application: thingy, environment: staging, release: release.number, fence };
  await room.target.start(specOf(reference), AbortSignal.timeout(5_000));
  return reference;
}

function specOf(reference: ReleaseReference): ReleaseSpec {
  return {
    reference,
    artifact: '/a',
    start: 'x',
    health: '/',
    replicas: 1,
    memoryMb: undefined,
    cpus: undefined,
    env: {},
    secrets: {},
    trustToken: undefined,
    port: undefined,
    frontPort: 1,
  };
}

async function start(of: RunId, attempt: number): Promise<void> {
  await room.executor.start({
    key: { run: of, task: test, attempt },
    source: undefined,
    cmd: 'true',
    env: {},
    secrets: {},
    network: 'none',
    local: true,
    timeoutMs: 1_000,
    outputLimitBytes: 1_000,
    sockets: [],
  });
}
