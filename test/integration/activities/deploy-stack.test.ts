// I2, I3, I6 of activities/deploy-stack.ts and deploy-steps.ts
import { ActivityCancellationDetails } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import { logOf, prepareDeploy, recorded, releases, running, serving, staging } from '../../support/activity-deploy.ts';
import { call, dyingRoom, makeActivityRoom, makeEnvironment, thingy, waitFor } from '../../support/activity-room.ts';
import type { ActivityRoom } from '../../support/activity-room.ts';

let room: ActivityRoom;

beforeEach(async () => {
  room = await makeActivityRoom();
});

afterEach(() => room.close());

describe('deploy_stack', () => {
  it('brings a release up beside the old one, switches, and ends the old one (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));

    const second = await prepareDeploy(room, '2');
    const outcome = await call(room, 'deploy_stack', second);

    expect(outcome).toEqual({ status: 'succeeded' });
    expect(room.target.done.slice(-3)).toEqual(['start staging/2-2', 'switch staging/2-2', 'retire staging/1-1']);
    expect(await releases(room)).toEqual([
      { number: 1, status: 'superseded' },
      { number: 2, status: 'live' },
    ]);
    expect(await recorded(room)).toBe(2);
    const url = await room.store.tasks.output(second.run, { task: second.task.name, key: 'url' });
    expect(url).toBe('http://front/staging');
    expect(await logOf(room, second)).toContain('release 2 is live');
  });

  it('answers the stored outcome when it is called again (I2)', async () => {
    const input = await prepareDeploy(room, '1');
    await call(room, 'deploy_stack', input);
    const done = [...room.target.done];

    const again = await call(room, 'deploy_stack', input);

    expect(again).toEqual({ status: 'succeeded' });
    expect(room.target.done).toEqual(done);
  });

  it('leaves the old release in charge when the new one is not healthy, and says so (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    room.target.health = () => ({ type: 'unhealthy', reason: 'GET /health answered 500', output: 'boom\nat line 3\n' });

    const second = await prepareDeploy(room, '2');
    const outcome = await call(room, 'deploy_stack', second);

    expect(outcome).toMatchObject({ status: 'failed', code: 'deploy-unhealthy' });
    expect(outcome.reason).toContain('GET /health answered 500');
    expect(outcome.reason).toContain('release 1 still serves');
    expect(await logOf(room, second)).toContain('| at line 3');
    expect(await serving(room)).toBe(1);
    expect(await recorded(room)).toBe(1);
    expect(running(room)).toEqual([1]);
    expect(await releases(room)).toEqual([
      { number: 1, status: 'live' },
      { number: 2, status: 'failed' },
    ]);
  });

  it('says that nothing serves when the first release is not healthy (I6)', async () => {
    room.target.health = () => ({ type: 'unhealthy', reason: 'it ended', output: '' });

    const outcome = await call(room, 'deploy_stack', await prepareDeploy(room, '1'));

    expect(outcome.reason).toContain('nothing serves in staging');
    expect(running(room)).toEqual([]);
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
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    const input = await prepareDeploy(room, '2');
    const dying = dyingRoom(room, port, method, when);

    await expect(call(dying, 'deploy_stack', input)).rejects.toThrow();
    const outcome = await call(room, 'deploy_stack', input);

    expect(outcome).toEqual({ status: 'succeeded' });
    expect([await serving(room), await recorded(room), running(room)]).toEqual([2, 2, [2]]);
    expect(await releases(room)).toEqual([
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
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    room.target.health = () => ({ type: 'unhealthy', reason: 'it ended', output: '' });
    const input = await prepareDeploy(room, '2');

    await expect(call(dyingRoom(room, port, method, when), 'deploy_stack', input)).rejects.toThrow();
    const outcome = await call(room, 'deploy_stack', input);

    expect(outcome).toMatchObject({ status: 'failed', code: 'deploy-unhealthy' });
    expect(outcome.reason).toContain('release 1 still serves');
    expect([await serving(room), await recorded(room), running(room)]).toEqual([1, 1, [1]]);
    expect(await releases(room)).toEqual([
      { number: 1, status: 'live' },
      { number: 2, status: 'failed' },
    ]);
  });

  it('refuses a holder whose fence is not the newest, before it begins (I3)', async () => {
    const first = await prepareDeploy(room, '1');
    await prepareDeploy(room, '2');

    const outcome = await call(room, 'deploy_stack', first);

    expect(outcome).toMatchObject({ status: 'failed', code: 'fence-stale' });
    expect(room.target.done).toEqual([]);
  });

  it('refuses the newest fence to whom it was not given: the message that brought it may be forged (I3)', async () => {
    const first = await prepareDeploy(room, '1');
    const { fence } = await prepareDeploy(room, '2');

    const outcome = await call(room, 'deploy_stack', { ...first, fence });

    expect(outcome).toMatchObject({ status: 'failed', code: 'fence-stale' });
    expect([room.target.done, await releases(room)]).toEqual([[], []]);
  });

  it('stops a holder that loses the fence between two steps, and leaves nothing of its own (I3)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    const second = await prepareDeploy(room, '2');
    room.target.health = () => 'never';
    const environment = makeEnvironment();
    const late = call(room, 'deploy_stack', second, environment);
    await waitFor('release 2 runs', () => running(room).includes(2));
    await prepareDeploy(room, '3');

    environment.cancel('CANCELLED', new ActivityCancellationDetails({ workerShutdown: true }));
    await expect(late).rejects.toMatchObject({ type: 'host-lost' });
    room.target.health = () => ({ type: 'healthy' });
    const outcome = await call(room, 'deploy_stack', second);

    expect(outcome).toMatchObject({ status: 'failed', code: 'fence-stale' });
    expect([await serving(room), await recorded(room), running(room)]).toEqual([1, 1, [1]]);
  });

  it('does not take for its own what a database has forgotten that was restored from a backup (I3)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    const old = room.target.specs.at(-1);
    if (old === undefined) throw new Error('nothing was started');
    const forgotten = { ...old.reference, release: 2, fence: 2 };
    await room.target.start({ ...old, reference: forgotten }, AbortSignal.timeout(5_000));
    await room.target.switchTo(forgotten);

    const outcome = await call(room, 'deploy_stack', await prepareDeploy(room, '2'));

    expect(outcome.status).toBe('succeeded');
    expect(room.target.specs.at(-1)).toMatchObject({ reference: { fence: 3 }, env: { GREETING: 'hello 2' } });
    expect(await room.target.live(thingy, staging)).toEqual({ ...forgotten, fence: 3 });
  });

  it('says to a holder whose release was ended by the next one, while it waited for health, that its fence is stale (I3)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    const second = await prepareDeploy(room, '2');
    let next: Promise<unknown> | undefined;
    room.target.awaitHealthy = async () => {
      next ??= prepareDeploy(room, '3');
      await next;
      throw new DomainError('internal', 'the release is not on this host');
    };

    const outcome = await call(room, 'deploy_stack', second);

    expect(outcome).toMatchObject({ status: 'failed', code: 'fence-stale' });
    expect([await serving(room), await recorded(room), running(room)]).toEqual([1, 1, [1]]);
  });

  it('ends what a dead deploy with an older fence left, and returns the front to the record first (I3, I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    const second = await prepareDeploy(room, '2');
    await expect(call(dyingRoom(room, 'target', 'switchTo', 'after'), 'deploy_stack', second)).rejects.toThrow();
    expect([await serving(room), await recorded(room)]).toEqual([2, 1]);

    room.target.health = () => ({ type: 'unhealthy', reason: 'it ended', output: '' });
    const outcome = await call(room, 'deploy_stack', await prepareDeploy(room, '3'));

    expect(outcome.reason).toContain('release 1 still serves');
    expect([await serving(room), await recorded(room), running(room)]).toEqual([1, 1, [1]]);
    expect((await releases(room)).map(({ status }) => status)).toEqual(['live', 'failed', 'failed']);
  });

  it('stays on the old release when it is cancelled before the switch (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    room.target.health = () => 'never';
    const environment = makeEnvironment();
    const deploy = call(room, 'deploy_stack', await prepareDeploy(room, '2'), environment);
    await waitFor('release 2 runs', () => running(room).includes(2));

    environment.cancel();
    const outcome = await deploy;

    expect(outcome).toMatchObject({ status: 'cancelled' });
    expect([await serving(room), await recorded(room), running(room)]).toEqual([1, 1, [1]]);
    expect((await releases(room)).map(({ status }) => status)).toEqual(['live', 'cancelled']);
  });

  it('goes live when it is cancelled after the switch (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    const environment = makeEnvironment();
    const cancelling = {
      dependencies: {
        ...room.dependencies,
        targets: [
          new Proxy(room.target, {
            get: (target, name) => {
              if (name !== 'switchTo') return bound(target, name);
              return async (...args: Parameters<typeof target.switchTo>) => {
                const answer = await target.switchTo(...args);
                environment.cancel();
                return answer;
              };
            },
          }),
        ],
      },
    };

    const outcome = await call(cancelling, 'deploy_stack', await prepareDeploy(room, '2'), environment);

    expect(outcome.status).toBe('succeeded');
    expect([await serving(room), await recorded(room), running(room)]).toEqual([2, 2, [2]]);
  });

  it('gives back a release that serves when the rows refuse it (I6)', async () => {
    await call(room, 'deploy_stack', await prepareDeploy(room, '1'));
    const second = await prepareDeploy(room, '2');
    await expect(call(dyingRoom(room, 'target', 'switchTo', 'after'), 'deploy_stack', second)).rejects.toThrow();
    const release = { application: thingy, environment: staging, number: 2 };
    await room.store.releases.fail(release, { status: 'failed', reason: 'swept' });

    const outcome = await call(room, 'deploy_stack', second);

    expect(outcome.status).toBe('failed');
    expect([await serving(room), await recorded(room), running(room)]).toEqual([1, 1, [1]]);
  });
});

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name);
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}
