import { expect, it } from 'vitest';
import type { TaskName } from '../../src/core/model/ids.ts';
import type { TaskOutcome } from '../../src/core/model/status.ts';
import { runView } from '../../workflows/messages.ts';
import { describeRuns } from '../support/describe-runs.ts';
import { Held, failure } from '../support/fake-activities.ts';
import { makeDeploy, makeGraph, makeJob, makeNewcomerGraph } from '../support/graphs.ts';
import { until } from '../support/run-bed.ts';

const failed: TaskOutcome = { status: 'failed', exitCode: 1 };

describeRuns('run', (bed) => {
  it('walks the plan of a newcomer to production', async () => {
    const { start, approve, world } = bed();
    const started = await start({ graph: makeNewcomerGraph(), trusts: ['cloud'] });
    await until(() => world.statusOf(started.id) === 'paused', 'the gate is open');
    await approve(started, 'approve');

    await expect(started.handle.result()).resolves.toEqual({ status: 'succeeded' });

    const order = ['test#1', 'build#1', 'template#1', 'staging#1', 'smoke#1', 'approve#1', 'production#1'];
    expect(world.startedOf(started.id)).toEqual(order);
    expect(world.finishOf(started.id)).toEqual({ run: started.id, status: 'succeeded', records: [] });
    const locks = [`run/${started.id}/staging#1`, `run/${started.id}/production#1`];
    expect(world.released.filter((holder) => holder.startsWith(`run/${started.id}/`))).toEqual(locks);
  });

  it('stops at a red test, and Temporal shows the run as failed', async () => {
    const { start, world } = bed();
    const { id, handle } = await start({ graph: makeNewcomerGraph(), behaviours: { test: failed } });

    await expect(handle.result()).rejects.toMatchObject({
      cause: { type: 'task-failed', message: '"test" failed: exit code 1' },
    });

    expect(world.startedOf(id)).toEqual(['test#1']);
    expect(world.recordsOf(id)).toMatchObject({
      build: 'skipped: it needs "test", which failed',
      production: /skipped/,
    });
    expect(world.finishOf(id)).toMatchObject({ status: 'failed', reason: '"test" failed: exit code 1' });
    const { status } = await handle.describe();
    expect(status.name).toBe('FAILED');
  });

  it('fail-fast cancels what runs', async () => {
    const { start, world } = bed();
    const held = new Held();
    const graph = makeGraph([makeJob('a'), makeJob('b'), makeJob('c', ['b'])]);
    const { id, handle } = await start({ graph, behaviours: { a: failed, b: held.behaviour } });

    await expect(handle.result()).rejects.toThrow();

    expect(world.recordsOf(id)).toEqual({
      b: 'cancelled: cancelled, since "a" failed',
      c: 'skipped: not started, since "a" failed',
    });
  });

  it('continue ends what does not need the failed task', async () => {
    const { start, world } = bed();
    const graph = makeGraph([makeJob('a'), makeJob('b'), makeJob('c', ['a']), makeJob('d', ['b'])], 'continue');
    const { id, handle } = await start({ graph, behaviours: { a: failed } });

    await expect(handle.result()).rejects.toThrow();

    expect([...world.startedOf(id)].sort()).toEqual(['a#1', 'b#1', 'd#1']);
    expect(world.recordsOf(id)).toEqual({ c: 'skipped: it needs "a", which failed' });
  });

  it('tries again after the delay of the plan, as an attempt of its own', async () => {
    const { start, world } = bed();
    const graph = makeGraph([makeJob('a', [], { maxAttempts: 3, retryDelayMs: 3_600_000 })]);
    const plan = { graph, behaviours: { 'a#1': failed, 'a#2': failed } };
    const { id, handle } = await start(plan, { skipTime: true });

    await expect(handle.result()).resolves.toEqual({ status: 'succeeded' });

    expect(world.startedOf(id)).toEqual(['a#1', 'a#2', 'a#3']);
    expect(world.recordsOf(id)['a']).toBe('pending: attempt 2 failed: exit code 1; the next one follows in 3600 s');
  });

  it('goes on from what an earlier round has done (I2)', async () => {
    const { start, world } = bed();
    const seeded = [
      { task: 'test' as TaskName, succeeded: true, attempts: 1 },
      { task: 'build' as TaskName, succeeded: false, attempts: 2 },
    ];
    const graph = makeGraph([makeJob('test'), makeJob('build', ['test'])]);
    const { id, handle } = await start({ graph, seeded }, { round: 2 });

    await expect(handle.result()).resolves.toEqual({ status: 'succeeded' });

    expect(world.startedOf(id)).toEqual(['build#3']);
  });

  it('repeats an activity whose platform failed, and counts it as one attempt', async () => {
    const { start, world } = bed();
    const graph = makeGraph([makeJob('a')]);
    const a = ({ delivery }: { delivery: number }): Promise<TaskOutcome> => {
      if (delivery === 1) throw failure('executor-unavailable', 'no sandbox');
      return Promise.resolve({ status: 'succeeded' });
    };
    const { id, handle } = await start({ graph, behaviours: { a } });

    await expect(handle.result()).resolves.toEqual({ status: 'succeeded' });

    expect(world.startedOf(id)).toEqual(['a#1', 'a#1']);
  });

  it('records what an activity could not: the platform failed for good', async () => {
    const { start, world } = bed();
    const a = (): Promise<TaskOutcome> => {
      throw failure('output-missing', 'task build has no output digest');
    };
    const { id, handle } = await start({ graph: makeGraph([makeJob('a')]), behaviours: { a } });

    await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'output-missing' } });

    expect(world.finishOf(id)).toMatchObject({
      code: 'output-missing',
      records: [
        { task: 'a', attempt: 1, status: 'failed', code: 'output-missing', reason: 'task build has no output digest' },
      ],
    });
  });

  it('ends as skipped when the plan is not for this branch', async () => {
    const { start, world } = bed();
    const resolve = () => Promise.resolve({ type: 'skipped', reason: 'the plan is for main' } as const);
    const { id, handle } = await start({ graph: makeGraph([]), resolve });

    await expect(handle.result()).resolves.toEqual({ status: 'skipped', reason: 'the plan is for main' });

    expect(world.finishOf(id)).toMatchObject({ status: 'skipped', reason: 'the plan is for main' });
  });

  it('fails with the code of what was wrong with the commit', async () => {
    const { start, world } = bed();
    const resolve = () => Promise.resolve({ type: 'failed', code: 'plan-missing', reason: 'no loam.yaml' } as const);
    const missing = await start({ graph: makeGraph([]), resolve });
    const broken = await start({
      graph: makeGraph([]),
      resolve: () => {
        throw failure('run-unknown', 'no such run');
      },
    });

    await expect(missing.handle.result()).rejects.toMatchObject({ cause: { type: 'plan-missing' } });
    await expect(broken.handle.result()).rejects.toMatchObject({ cause: { type: 'run-unknown' } });
    expect(world.finishOf(missing.id)).toMatchObject({
      status: 'failed',
      code: 'plan-missing',
      reason: 'no loam.yaml',
    });
  });

  it('ends in the database as soon as that answers again', async () => {
    const { start, world } = bed();
    const held = new Held();
    const { id, handle } = await start({ graph: makeGraph([makeJob('a')]), behaviours: { a: held.behaviour } });
    await until(() => world.startedOf(id).length === 1, 'the job runs');
    world.isDatabaseAway = true;
    held.end();
    await until(
      async () => (await handle.describe()).raw.pendingActivities?.[0]?.attempt === 2,
      'finish is tried again',
    );

    world.isDatabaseAway = false;

    await expect(handle.result()).resolves.toEqual({ status: 'succeeded' });
    expect(world.finishOf(id)).toMatchObject({ status: 'succeeded' });
  });

  it('keeps the state of runs apart that go on at the same time', async () => {
    const { start, world } = bed();
    const plans = [failed, { status: 'succeeded' } as const].map((outcome) => ({
      graph: makeGraph([makeJob('a'), makeJob('b', ['a']), makeJob('c', ['b'])]),
      behaviours: { b: outcome },
    }));
    const runs = await Promise.all([...plans, ...plans, ...plans].map((plan) => start(plan)));

    const results = await Promise.allSettled(runs.map(({ handle }) => handle.result()));

    expect(results.map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    expect(runs.map(({ id }) => world.startedOf(id).length)).toEqual([2, 3, 2, 3, 2, 3]);
  });

  it('answers what stands where', async () => {
    const { start, world } = bed();
    const held = new Held();
    const graph = makeGraph([makeJob('a'), makeJob('b', ['a'])]);
    const { id, handle } = await start({ graph, behaviours: { a: held.behaviour } });
    await until(() => world.startedOf(id).length === 1, 'the job runs');

    const view = await handle.query(runView);

    held.end();
    await handle.result();
    expect(view).toEqual({
      status: 'running',
      tasks: [
        { task: 'a', status: 'running', attempt: 1 },
        { task: 'b', status: 'pending', attempt: 0 },
      ],
    });
  });

  it('shows in the Temporal UI how it stands, with foreign text escaped', async () => {
    const { start, client } = bed();
    const reason = 'see <img src="http://x.me/a.png"> and [this](http://x.me)';
    const graph = makeGraph([makeJob('a_b'), makeDeploy('staging', ['a_b'])]);
    const { handle } = await start({ graph, behaviours: { a_b: { status: 'failed', reason } } });
    await expect(handle.result()).rejects.toThrow();

    const details = await client.workflow
      .getHandle(handle.workflowId)
      .query<{ currentDetails: string }>('__temporal_workflow_metadata');

    expect(details.currentDetails).toContain(
      '- **a\\_b** failed: see \\<img src="http://x.me/a.png"\\> and \\[this\\]\\(http://x.me\\)',
    );
    expect(details.currentDetails).toContain('- **staging** skipped: it needs "a\\_b", which failed');
    const { typedSearchAttributes } = await handle.describe();
    const attributes = typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]);
    expect(Object.fromEntries(attributes)).toMatchObject({ LoamStatus: 'failed', LoamEnvironment: ['staging'] });
  });
});
