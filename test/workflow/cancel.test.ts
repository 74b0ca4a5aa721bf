import { expect, it } from 'vitest';
import { describeRuns } from '../support/describe-runs.ts';
import { Held, failure, whileBeating } from '../support/fake-activities.ts';
import { makeDeploy, makeGraph, makeJob } from '../support/graphs.ts';
import { until } from '../support/run-bed.ts';
import type { StartedRun } from '../support/run-bed.ts';

async function expectCancelled({ handle }: StartedRun): Promise<void> {
  await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  expect((await handle.describe()).status.name).toBe('CANCELLED');
}

describeRuns('cancelling a run', (bed) => {
  it('ends it while the commit is fetched', async () => {
    const { start, world } = bed();
    let isFetching = false;
    const resolve = async (): Promise<never> => {
      isFetching = true;
      return whileBeating(new Promise<never>(() => undefined));
    };
    const started = await start({ graph: makeGraph([]), resolve });
    await until(() => isFetching, 'the commit is being fetched');
    await started.handle.cancel();

    await expectCancelled(started);

    expect(world.finishOf(started.id)).toMatchObject({ status: 'cancelled', reason: 'the run was cancelled' });
  });

  it('ends what runs and what is to come', async () => {
    const { start, world } = bed();
    const held = new Held();
    const graph = makeGraph([makeJob('a'), makeJob('b', ['a'])]);
    const started = await start({ graph, behaviours: { a: held.behaviour } });
    await until(() => world.startedOf(started.id).length === 1, 'the job runs');
    await started.handle.cancel();

    await expectCancelled(started);

    expect(world.startedOf(started.id)).toEqual(['a#1']);
    const why = 'cancelled: the run was cancelled';
    expect(world.recordsOf(started.id)).toEqual({ a: why, b: why });
  });

  it('ends it while it waits before another attempt', async () => {
    const { start, world } = bed();
    const graph = makeGraph([makeJob('a', [], { maxAttempts: 2, retryDelayMs: 3_600_000 })]);
    const started = await start({ graph, behaviours: { a: { status: 'failed' } } });
    await until(() => world.recordsOf(started.id)['a']?.startsWith('pending') === true, 'it waits');
    await started.handle.cancel();

    await expectCancelled(started);

    expect(world.startedOf(started.id)).toEqual(['a#1']);
  });

  it('waits for a deploy to end, and gives back its lock (I6)', async () => {
    const { start, world } = bed();
    const steps: string[] = [];
    const behaviour = async (): Promise<{ status: 'cancelled' }> => {
      steps.push('deploying');
      await whileBeating(new Promise<never>(() => undefined)).catch(() => steps.push('back to the last release'));
      return { status: 'cancelled' };
    };
    const graph = makeGraph([makeDeploy('staging')]);
    const started = await start({ graph, behaviours: { staging: behaviour } });
    await until(() => steps.length === 1, 'the deploy is under way');
    await started.handle.cancel();

    await expectCancelled(started);

    expect(steps).toEqual(['deploying', 'back to the last release']);
    expect(world.released).toContain(`run/${started.id}/staging#1`);
  });

  it('believes a task that ends well in spite of it', async () => {
    const { start, world } = bed();
    const held = new Held();
    const stubborn = async (): Promise<{ status: 'succeeded' }> => {
      await held.behaviour();
      return { status: 'succeeded' };
    };
    const started = await start({ graph: makeGraph([makeJob('a')]), behaviours: { a: stubborn } });
    await until(() => world.startedOf(started.id).length === 1, 'the job runs');
    await started.handle.cancel();

    await expect(started.handle.result()).resolves.toEqual({ status: 'succeeded' });
  });
});

describeRuns('the trusts of a run', (bed) => {
  it('are kept until it ends, however it ends', async () => {
    const { start, world } = bed();
    const graph = makeGraph([makeJob('a')]);
    const runs = await Promise.all([
      start({ graph, trusts: ['cloud'] }),
      start({ graph, trusts: ['cloud'], behaviours: { a: { status: 'failed' } } }),
    ]);
    await Promise.allSettled(runs.map(({ handle }) => handle.result()));

    for (const { id } of runs) {
      const isEnded = (): boolean => world.keepers.every(({ run, end }) => run !== id || end === 'cancelled');
      await until(isEnded, 'the keeper has ended');
    }
  });

  it('have no keeper when no deploy needs one', async () => {
    const { start, world } = bed();
    const { id, handle } = await start({ graph: makeGraph([makeJob('a')]) });
    await handle.result();

    expect(world.keepers.filter(({ run }) => run === id)).toEqual([]);
  });

  it('may be lost: the run notes it and goes on', async () => {
    const { start, world } = bed();
    const held = new Held();
    const keepTrusts = () => Promise.reject(failure('trust-revoked', 'cloud was revoked'));
    const plan = { graph: makeGraph([makeJob('a')]), trusts: ['cloud'], keepTrusts, behaviours: { a: held.behaviour } };
    const { id, handle } = await start(plan);
    await until(() => world.warningsOf(id).length > 0, 'the warning is recorded');
    held.end();

    await expect(handle.result()).resolves.toEqual({ status: 'succeeded' });

    expect(world.warningsOf(id)).toEqual(['trust-revoked: the trusts cloud are no longer kept: cloud was revoked']);
  });
});
