// I3, I4, I5, I6 of activities/deploy-stack.ts
import { ActivityCancellationDetails } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeployInput } from '../../../activities/types.ts';
import { lockHolder, parseEnvironmentName, parseTaskName } from '../../../src/core/model/ids.ts';
import type { Digest, RunId } from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import type { Release } from '../../../src/ports/store.ts';
import {
  call,
  dyingAt,
  findTask,
  makeActivityRoom,
  makeEnvironment,
  push,
  resolveRun,
  thingy,
  waitFor,
} from '../../support/activity-room.ts';
import type { ActivityRoom } from '../../support/activity-room.ts';

const staging = parseEnvironmentName('staging');
const build = parseTaskName('build');

function plan(version: string): string {
  return `
version: 1
applications:
  thingy: {start: node server.mjs, port: 8080, health: /health, config: {GREETING: hello ${version}}}
environments:
  staging: {compute: process, config: {PLACE: staging}}
workflow:
  build: {type: build_image}
  template: {type: generate_template, application: thingy, image: {get_output: build.digest}}
  staging: {type: deploy_stack, environment: staging, template: {get_output: template}}
`;
}

let room: ActivityRoom;

beforeEach(async () => {
  room = await makeActivityRoom();
});

afterEach(() => room.close());

/** A run up to its deploy: built, template made, lock granted. */
async function prepareDeploy(version: string): Promise<DeployInput> {
  const run = await push(room, plan(version));
  const ready = await resolveRun(room, run);
  await finishBuild(run, version);
  const base = { run, planDigest: ready.planDigest, attempt: 1 };
  await call(room, 'generate_template', { ...base, task: findTask(ready, 'template', 'generate_template') });
  const task = findTask(ready, 'staging', 'deploy_stack');
  const holder = lockHolder(run, task.name, 1);
  const fence = await call(room, 'takeFence', { application: thingy, environment: staging, holder });
  return { ...base, task, holder, fence };
}

async function finishBuild(run: RunId, version: string): Promise<Digest> {
  const { digest } = await room.blobs.put(`artifact ${version}`);
  const key = { run, task: build, attempt: 1 };
  const begin = await room.store.tasks.begin(key, 'host-1');
  if (begin.type !== 'begun') throw new Error('build has ended');
  const outputs = { '': digest, digest };
  await room.store.tasks.finish(key, begin.owner, { outcome: { status: 'succeeded' }, outputs, log: undefined });
  return digest;
}

async function releases(): Promise<readonly Pick<Release, 'number' | 'status'>[]> {
  const rows = await room.store.releases.list(thingy, staging);
  return rows.map(({ number, status }) => ({ number, status })).sort((one, other) => one.number - other.number);
}

async function serving(): Promise<number | undefined> {
  return (await room.target.live(thingy, staging))?.release;
}

async function recorded(): Promise<number | undefined> {
  return (await room.store.environments.get(thingy, staging))?.liveRelease;
}

function running(): readonly number[] {
  return [...room.target.running.values()].map(({ release }) => release);
}

function logOf(input: DeployInput): string {
  return room.logs.text({ run: input.run, task: input.task.name, attempt: input.attempt });
}

describe('deploy_stack', () => {
  it('brings a release up beside the old one, switches, and ends the old one (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy('1'));

    const second = await prepareDeploy('2');
    const outcome = await call(room, 'deploy_stack', second);

    expect(outcome).toEqual({ status: 'succeeded' });
    expect(room.target.done.slice(-3)).toEqual(['start staging/2-2', 'switch staging/2-2', 'retire staging/1-1']);
    expect(await releases()).toEqual([
      { number: 1, status: 'superseded' },
      { number: 2, status: 'live' },
    ]);
    expect(await recorded()).toBe(2);
    const url = await room.store.tasks.output(second.run, { task: second.task.name, key: 'url' });
    expect(url).toBe('http://front/staging');
    expect(logOf(second)).toContain('release 2 is live');
  });

  it('gives the release the config of template, plan and environment, the narrower place last, and secrets by name (I5, I7)', async () => {
    await push(room, plan('0')).then((run) => resolveRun(room, run));
    await room.store.environments.put(thingy, staging, {
      config: { PLACE: 'registered', EXTRA: 'secret:looks like one' },
    });

    await call(room, 'deploy_stack', await prepareDeploy('1'));

    const spec = room.target.specs.at(-1);
    expect(spec?.env).toMatchObject({ GREETING: 'hello 1', PLACE: 'registered', EXTRA: 'secret:looks like one' });
    expect(spec).toMatchObject({ start: 'node server.mjs', health: '/health', replicas: 1 });
    const image = (await room.store.releases.get(thingy, staging, 1))?.image;
    expect(spec?.artifact).toBe(`/blobs/${String(image)}`);
  });

  it('answers the stored outcome when it is called again (I2)', async () => {
    const input = await prepareDeploy('1');
    await call(room, 'deploy_stack', input);
    const done = [...room.target.done];

    const again = await call(room, 'deploy_stack', input);

    expect(again).toEqual({ status: 'succeeded' });
    expect(room.target.done).toEqual(done);
  });

  it('leaves the old release in charge when the new one is not healthy, and says so (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy('1'));
    room.target.health = () => ({ type: 'unhealthy', reason: 'GET /health answered 500', output: 'boom\nat line 3\n' });

    const second = await prepareDeploy('2');
    const outcome = await call(room, 'deploy_stack', second);

    expect(outcome).toMatchObject({ status: 'failed', code: 'deploy-unhealthy' });
    expect(outcome.reason).toContain('GET /health answered 500');
    expect(outcome.reason).toContain('release 1 still serves');
    expect(logOf(second)).toContain('| at line 3');
    expect(await serving()).toBe(1);
    expect(await recorded()).toBe(1);
    expect(running()).toEqual([1]);
    expect(await releases()).toEqual([
      { number: 1, status: 'live' },
      { number: 2, status: 'failed' },
    ]);
  });

  it('says that nothing serves when the first release is not healthy (I6)', async () => {
    room.target.health = () => ({ type: 'unhealthy', reason: 'it ended', output: '' });

    const outcome = await call(room, 'deploy_stack', await prepareDeploy('1'));

    expect(outcome.reason).toContain('nothing serves in staging');
    expect(running()).toEqual([]);
  });

  const deaths = [
    ['tasks', 'begin', 'after'],
    ['releases', 'begin', 'before'],
    ['releases', 'begin', 'after'],
    ['target', 'start', 'before'],
    ['target', 'start', 'after'],
    ['target', 'awaitHealthy', 'after'],
    ['target', 'switchTo', 'before'],
    ['target', 'switchTo', 'after'],
    ['releases', 'makeLive', 'before'],
    ['releases', 'makeLive', 'after'],
    ['target', 'retire', 'before'],
    ['target', 'retire', 'after'],
    ['tasks', 'finish', 'before'],
    ['tasks', 'finish', 'after'],
  ] as const;

  it.each(deaths)('ends on the new release after a death: %s.%s %s (I6)', async (port, method, when) => {
    await call(room, 'deploy_stack', await prepareDeploy('1'));
    const input = await prepareDeploy('2');
    const dying = dyingRoom(port, method, when);

    await expect(call(dying, 'deploy_stack', input)).rejects.toThrow();
    const outcome = await call(room, 'deploy_stack', input);

    expect(outcome).toEqual({ status: 'succeeded' });
    expect([await serving(), await recorded(), running()]).toEqual([2, 2, [2]]);
    expect(await releases()).toEqual([
      { number: 1, status: 'superseded' },
      { number: 2, status: 'live' },
    ]);
    expect(room.target.done.filter((step) => step === 'start staging/2-2')).toHaveLength(1);
  });

  it.each([
    ['releases', 'fail', 'before'],
    ['releases', 'fail', 'after'],
    ['target', 'retire', 'after'],
  ] as const)('ends on the old release after a death in the way back: %s.%s %s (I6)', async (port, method, when) => {
    await call(room, 'deploy_stack', await prepareDeploy('1'));
    room.target.health = () => ({ type: 'unhealthy', reason: 'it ended', output: '' });
    const input = await prepareDeploy('2');

    await expect(call(dyingRoom(port, method, when), 'deploy_stack', input)).rejects.toThrow();
    const outcome = await call(room, 'deploy_stack', input);

    expect(outcome.status).toBe('failed');
    expect(outcome.reason).toContain('release 1 still serves');
    expect([await serving(), await recorded(), running()]).toEqual([1, 1, [1]]);
    expect(await releases()).toEqual([
      { number: 1, status: 'live' },
      { number: 2, status: 'failed' },
    ]);
  });

  it('refuses a holder whose fence is not the newest, before it begins (I3)', async () => {
    const first = await prepareDeploy('1');
    await prepareDeploy('2');

    const outcome = await call(room, 'deploy_stack', first);

    expect(outcome).toMatchObject({ status: 'failed', code: 'fence-stale' });
    expect(room.target.done).toEqual([]);
  });

  it('stops a holder that loses the fence between two steps, and leaves nothing of its own (I3)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy('1'));
    const second = await prepareDeploy('2');
    room.target.health = () => 'never';
    const environment = makeEnvironment();
    const late = call(room, 'deploy_stack', second, environment);
    await waitFor('release 2 runs', () => running().includes(2));
    await prepareDeploy('3');

    environment.cancel('CANCELLED', new ActivityCancellationDetails({ workerShutdown: true }));
    await expect(late).rejects.toMatchObject({ type: 'host-lost' });
    room.target.health = () => ({ type: 'healthy' });
    const outcome = await call(room, 'deploy_stack', second);

    expect(outcome).toMatchObject({ status: 'failed', code: 'fence-stale' });
    expect([await serving(), await recorded(), running()]).toEqual([1, 1, [1]]);
  });

  it('ends what a dead deploy with an older fence left, and returns the front to the record first (I3, I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy('1'));
    const second = await prepareDeploy('2');
    await expect(call(dyingRoom('target', 'switchTo', 'after'), 'deploy_stack', second)).rejects.toThrow();
    expect([await serving(), await recorded()]).toEqual([2, 1]);

    room.target.health = () => ({ type: 'unhealthy', reason: 'it ended', output: '' });
    const outcome = await call(room, 'deploy_stack', await prepareDeploy('3'));

    expect(outcome.reason).toContain('release 1 still serves');
    expect([await serving(), await recorded(), running()]).toEqual([1, 1, [1]]);
    expect((await releases()).map(({ status }) => status)).toEqual(['live', 'failed', 'failed']);
  });

  it('stays on the old release when it is cancelled before the switch (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy('1'));
    room.target.health = () => 'never';
    const environment = makeEnvironment();
    const deploy = call(room, 'deploy_stack', await prepareDeploy('2'), environment);
    await waitFor('release 2 runs', () => running().includes(2));

    environment.cancel();
    const outcome = await deploy;

    expect(outcome).toMatchObject({ status: 'cancelled' });
    expect([await serving(), await recorded(), running()]).toEqual([1, 1, [1]]);
    expect((await releases()).map(({ status }) => status)).toEqual(['live', 'cancelled']);
  });

  it('goes live when it is cancelled after the switch (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy('1'));
    const environment = makeEnvironment();
    const cancelling = {
      dependencies: {
        ...room.dependencies,
        target: new Proxy(room.target, {
          get: (target, name) => {
            if (name !== 'switchTo') return bound(target, name);
            return async (...args: Parameters<typeof target.switchTo>) => {
              const answer = await target.switchTo(...args);
              environment.cancel();
              return answer;
            };
          },
        }),
      },
    };

    const outcome = await call(cancelling, 'deploy_stack', await prepareDeploy('2'), environment);

    expect(outcome.status).toBe('succeeded');
    expect([await serving(), await recorded(), running()]).toEqual([2, 2, [2]]);
  });

  it('gives back a release that serves when the rows refuse it (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy('1'));
    const second = await prepareDeploy('2');
    await expect(call(dyingRoom('target', 'switchTo', 'after'), 'deploy_stack', second)).rejects.toThrow();
    await room.store.releases.fail({ application: thingy, environment: staging, number: 2 }, 'failed', 'swept');

    const outcome = await call(room, 'deploy_stack', second);

    expect(outcome.status).toBe('failed');
    expect([await serving(), await recorded(), running()]).toEqual([1, 1, [1]]);
  });
});

describe('deploy_stack of a protected environment', () => {
  beforeEach(async () => {
    await room.store.environments.put(thingy, staging, { target: 'process', protected: true });
  });

  it('demands an approval, whatever the graph says, and names the remedy (I4)', async () => {
    const outcome = await call(room, 'deploy_stack', await prepareDeploy('1'));

    expect(outcome).toMatchObject({ status: 'failed', code: 'approval-required' });
    expect(outcome.reason).toContain('type: approval');
    expect(room.target.done).toEqual([]);
  });

  it('takes an approval of exactly these digests, and no other (I4)', async () => {
    const first = await prepareDeploy('1');
    await approve(first, first);
    const outcome = await call(room, 'deploy_stack', first);
    const second = await prepareDeploy('2');
    await approve(second, first);

    const refused = await call(room, 'deploy_stack', second);

    expect(outcome.status).toBe('succeeded');
    expect(refused).toMatchObject({ status: 'failed', code: 'approval-required' });
  });

  async function approve(input: DeployInput, of: DeployInput): Promise<void> {
    const gate = parseTaskName('approve');
    const template = (await room.store.tasks.output(of.run, { task: parseTaskName('template'), key: '' })) as Digest;
    const image = (await room.store.tasks.output(of.run, { task: build, key: 'digest' })) as Digest;
    await room.store.gates.open({
      run: input.run,
      gate,
      environment: staging,
      subjects: [{ task: input.task.name, template, image }],
      preview: {
        application: 'thingy',
        fromRelease: undefined,
        fromCommit: undefined,
        toCommit: '',
        commits: [],
        moreCommits: false,
        configAdded: [],
        configRemoved: [],
        configChanged: [],
        digest: image,
      },
      timeoutMs: 60_000,
    });
    await room.store.gates.decide(input.run, gate, { verdict: 'approved', by: 'ann', comment: '' });
  }
});

describe('deploy_stack refuses', () => {
  it('a branch that the environment does not take', async () => {
    const input = await prepareDeploy('1');
    await room.store.environments.put(thingy, staging, { branches: ['release/*'] });

    const outcome = await call(room, 'deploy_stack', input);

    expect(outcome).toMatchObject({ status: 'failed', code: 'deploy-refused' });
    expect(outcome.reason).toContain('release/*');
  });

  it('an environment of another target', async () => {
    const input = await prepareDeploy('1');
    await room.store.environments.put(thingy, staging, { target: 'docker' });

    expect(await call(room, 'deploy_stack', input)).toMatchObject({ status: 'failed', code: 'deploy-refused' });
  });

  it('an artifact that is gone', async () => {
    const input = await prepareDeploy('1');
    const image = await room.store.tasks.output(input.run, { task: build, key: 'digest' });
    room.blobs.blobs.delete(image as Digest);

    expect(await call(room, 'deploy_stack', input)).toMatchObject({ status: 'failed', code: 'blob-missing' });
  });
});

describe('deploy_stack with a trust', () => {
  beforeEach(async () => {
    await room.store.trusts.put({ name: 'demo', provider: 'exec', settings: {} });
    await room.store.environments.put(thingy, staging, { target: 'process', trust: 'demo' });
  });

  it('draws a token by itself when there is none, and gives it to the release alone (I7)', async () => {
    const input = await prepareDeploy('1');

    await call(room, 'deploy_stack', input);

    expect(room.target.specs[0]?.trustToken?.reveal()).toBe('canary-token-1');
    expect(JSON.stringify(room.target.specs)).not.toContain('canary');
    expect(logOf(input) + room.workerLog.join('\n')).not.toContain('canary');
  });

  it('fails with the code of the trust, and leaves the old release', async () => {
    room.trustProvider.failure = 'trust-revoked';

    const outcome = await call(room, 'deploy_stack', await prepareDeploy('1'));

    expect(outcome).toMatchObject({ status: 'failed', code: 'trust-revoked' });
    expect(await room.store.trusts.get('demo')).toMatchObject({ state: 'revoked' });
    expect((await releases()).map(({ status }) => status)).toEqual(['failed']);
  });

  it('masks secrets in what an unhealthy application wrote (I7)', async () => {
    await room.store.secrets.put(thingy, staging, 'PASSWORD', new Secret('canary-secret'));
    room.target.health = () => ({ type: 'unhealthy', reason: 'said canary-token-1', output: 'token canary-token-1\n' });
    const input = await prepareDeploy('1');

    const outcome = await call(room, 'deploy_stack', input);

    expect(logOf(input) + JSON.stringify(outcome)).not.toContain('canary');
  });
});

function dyingRoom(port: 'target' | 'tasks' | 'releases', method: string, when: 'before' | 'after') {
  const { dependencies } = room;
  if (port === 'target') {
    return { dependencies: { ...dependencies, target: dyingAt(room.target, method as 'start', when) } };
  }
  const dying = { [port]: dyingAt<object>(dependencies.store[port], method as never, when) };
  return { dependencies: { ...dependencies, store: { ...dependencies.store, ...dying } } };
}

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name);
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}
