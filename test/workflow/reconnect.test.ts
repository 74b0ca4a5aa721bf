import { expect, it } from 'vitest';
import type { TaskOutcome } from '../../src/core/model/status.ts';
import { describeRuns } from '../support/describe-runs.ts';
import { failure, openGate } from '../support/fake-activities.ts';
import type { FakePlan } from '../support/fake-activities.ts';
import { makeDeploy, makeGraph, makeJob } from '../support/graphs.ts';
import { until } from '../support/run-bed.ts';
import type { Bed, StartedRun } from '../support/run-bed.ts';

const revoked: TaskOutcome = { status: 'failed', code: 'trust-revoked', reason: 'the delegation was withdrawn' };
const gate = 'reconnect/staging';

function makePlan(more: Partial<FakePlan> = {}): FakePlan {
  const graph = makeGraph([makeJob('build'), makeDeploy('staging', ['build'])]);
  return { graph, behaviours: { 'staging#1': revoked }, ...more };
}

async function startParked(bed: Bed, plan: FakePlan): Promise<StartedRun> {
  const started = await bed.start(plan);
  await until(() => bed.world.statusOf(started.id) === 'paused', 'the run waits');
  await until(() => bed.world.looksOf(started.id) > 0, 'the gate is open');
  return started;
}

describeRuns('a run whose trust was withdrawn', (bed) => {
  it('waits at a gate, goes on from the deploy, and keeps the trust again', async () => {
    let lives = 0;
    const keepTrusts = () => {
      lives += 1;
      return lives === 1 ? Promise.reject(failure('trust-revoked', 'withdrawn')) : Promise.resolve();
    };
    const started = await startParked(bed(), makePlan({ trusts: ['cloud'], keepTrusts }));
    const { typedSearchAttributes } = await started.handle.describe();
    const attributes = Object.fromEntries(typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]));

    await expect(bed().approve(started, gate)).resolves.toEqual({ verdict: 'approved' });

    await expect(started.handle.result()).resolves.toEqual({ status: 'succeeded' });
    expect(attributes).toMatchObject({ LoamStatus: 'paused', LoamGate: gate });
    expect(bed().world.startedOf(started.id)).toEqual(['build#1', 'staging#1', 'staging#2']);
    expect(bed().world.gatesOf(started.id)).toEqual([`${gate}/1 decided`]);
    expect(lives).toBe(2);
  });

  it('fails with the code of the trust when nobody comes in time', async () => {
    const gates = { [gate]: [openGate, { ...openGate, remainingMs: 0 }] };
    const started = await bed().start(makePlan({ gates }), { skipTime: true });

    await expect(started.handle.result()).rejects.toMatchObject({ cause: { type: 'trust-revoked' } });
    expect(bed().world.gatesOf(started.id)).toEqual([`${gate}/1 expired`]);
  });

  it('is cancelled there', async () => {
    const started = await startParked(bed(), makePlan());
    await started.handle.cancel();

    await expect(started.handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    expect(bed().world.gatesOf(started.id)).toEqual([`${gate}/1 cancelled`]);
  });
});
