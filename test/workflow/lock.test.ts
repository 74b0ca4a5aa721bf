import { expect, it } from 'vitest';
import {
  environmentWorkflowId,
  lockHolder,
  parseApplicationName,
  parseEnvironmentName,
} from '../../src/core/model/ids.ts';
import type { TaskName } from '../../src/core/model/ids.ts';
import type { QueueEntry } from '../../src/core/lock/queue.ts';
import type { environment } from '../../workflows/environment.ts';
import { acquire, lockState, release } from '../../workflows/messages.ts';
import { describeRuns } from '../support/describe-runs.ts';
import { Held } from '../support/fake-activities.ts';
import type { AttemptContext, FakePlan } from '../support/fake-activities.ts';
import { makeDeploy, makeGraph, makeJob } from '../support/graphs.ts';
import { until } from '../support/run-bed.ts';
import type { Bed, StartOptions, StartedRun } from '../support/run-bed.ts';

let nextApplication = 0;

function freshApplication(): string {
  nextApplication += 1;
  return `locked-${nextApplication}`;
}

function environmentOf(application: string, name = 'staging'): string {
  return environmentWorkflowId(parseApplicationName(application), parseEnvironmentName(name));
}

function holderOf({ id }: StartedRun, task = 'staging', attempt = 1): string {
  return lockHolder(id, task as TaskName, attempt);
}

/** A run whose deploy stays until it is told to end, and its fence. */
async function startHeld(bed: Bed, options: StartOptions, graph = makeGraph([makeDeploy('staging')])) {
  const held = new Held();
  const fences: (number | undefined)[] = [];
  const staging = ({ fence }: AttemptContext): ReturnType<Held['behaviour']> => {
    fences.push(fence);
    return held.behaviour();
  };
  const started = await bed.start({ graph, behaviours: { staging } }, options);
  const isDeploying = (): boolean => fences.length > 0;
  return { ...started, started, held, fences, isDeploying };
}

/** A run that deploys as soon as it may. */
const plan: FakePlan = { graph: makeGraph([makeDeploy('staging')]) };

function isWaiting(bed: Bed, { id }: StartedRun): boolean {
  return bed.world.recordsOf(id)['staging']?.startsWith('waiting') === true;
}

/** The environment's clock jumps while nothing is under way: its looks after a holder follow each other. */
async function startEnvironment(bed: Bed, application: string, entries: readonly QueueEntry[]): Promise<void> {
  const input = { application: parseApplicationName(application), environment: parseEnvironmentName('staging') };
  await bed.skipping.workflow.start<typeof environment>('environment', {
    taskQueue: 'loam',
    workflowId: environmentOf(application),
    args: [{ ...input, queue: { entries, gone: [] } }],
  });
}

describeRuns('the lock of an environment', (bed) => {
  it('lets one run deploy after the other, first come first served, with growing fences (I3)', async () => {
    const application = freshApplication();
    const first = await startHeld(bed(), { application, number: 1 });
    await until(first.isDeploying, 'the first deploys');
    const second = await startHeld(bed(), { application, number: 2 });
    await until(() => isWaiting(bed(), second.started), 'the second waits');
    const third = await startHeld(bed(), { application, number: 3 });
    await until(() => isWaiting(bed(), third.started), 'the third waits');

    expect(bed().world.recordsOf(third.id)['staging']).toBe(
      `waiting: waits for staging, held by ${first.id}; number 2 in the queue`,
    );
    expect([second.isDeploying(), third.isDeploying()]).toEqual([false, false]);
    for (const run of [first, second, third]) {
      await until(run.isDeploying, 'it is its turn');
      run.held.end();
      await run.handle.result();
    }

    expect([first.fences, second.fences, third.fences]).toEqual([[1], [2], [3]]);
  });

  it('is held until the smoke test has ended (I5)', async () => {
    const application = freshApplication();
    const smoke = new Held();
    const graph = makeGraph([makeDeploy('staging', [], { readers: ['smoke'] }), makeJob('smoke', ['staging'])]);
    const first = await bed().start({ graph, behaviours: { smoke: smoke.behaviour } }, { application, number: 1 });
    await until(() => bed().world.startedOf(first.id).includes('smoke#1'), 'the smoke test runs');
    const second = await bed().start(plan, { application, number: 2 });
    await until(() => isWaiting(bed(), second), 'the second waits');

    expect(bed().world.released).not.toContain(holderOf(first));
    smoke.end();

    await expect(second.handle.result()).resolves.toEqual({ status: 'succeeded' });
    expect(bed().world.released).toContain(holderOf(first));
  });

  it('is free again after a failed deploy, and each attempt asks anew', async () => {
    const application = freshApplication();
    const graph = makeGraph([makeDeploy('staging', [], { maxAttempts: 2 })]);
    const fences: unknown[] = [];
    const staging = ({ fence, attempt }: AttemptContext) => {
      fences.push(fence);
      return Promise.resolve({ status: attempt === 1 ? ('failed' as const) : ('succeeded' as const) });
    };
    const run = await bed().start({ graph, behaviours: { staging } }, { application });

    await expect(run.handle.result()).resolves.toEqual({ status: 'succeeded' });

    expect(fences).toEqual([1, 2]);
    expect(bed().world.released).toEqual(expect.arrayContaining([holderOf(run), holderOf(run, 'staging', 2)]));
  });

  it('goes to the newest run where that is the rule, and the others end as cancelled', async () => {
    const application = freshApplication();
    bed().world.policies.set(`${application}/staging`, 'newest');
    const first = await startHeld(bed(), { application, number: 1 });
    await until(first.isDeploying, 'the first deploys');
    const second = await bed().start(plan, { application, number: 2 });
    await until(() => isWaiting(bed(), second), 'the second waits');

    const fourth = await bed().start(plan, { application, number: 4 });
    await expect(second.handle.result()).resolves.toMatchObject({ status: 'cancelled' });
    const third = await bed().start(plan, { application, number: 3 });
    await expect(third.handle.result()).resolves.toMatchObject({ status: 'cancelled' });
    first.held.end();

    await expect(fourth.handle.result()).resolves.toEqual({ status: 'succeeded' });
    expect(bed().world.recordsOf(second.id)['staging']).toBe(
      `cancelled: ${fourth.id} took its place in the queue of staging`,
    );
    expect(bed().world.finishOf(third.id)?.reason).toContain(`${fourth.id} took its place`);
    expect(bed().world.startedOf(second.id)).toEqual([]);
  });

  it('passes on when the workflow of its holder was terminated (I3)', async () => {
    const application = freshApplication();
    const held = new Held();
    const graph = makeGraph([makeJob('staging')]);
    const first = await bed().start({ graph, behaviours: { staging: held.behaviour } }, { application, number: 1 });
    await startEnvironment(bed(), application, [{ holder: holderOf(first), fence: 1 }]);
    const second = await bed().start(plan, { application, number: 2 });
    await until(() => isWaiting(bed(), second), 'the second waits');

    await first.handle.terminate('a hand in the Temporal UI');

    await expect(second.handle.result()).resolves.toEqual({ status: 'succeeded' });
  });

  it('skips who was terminated while it waited', async () => {
    const application = freshApplication();
    const first = await startHeld(bed(), { application, number: 1 });
    await until(first.isDeploying, 'the first deploys');
    const second = await bed().start(plan, { application, number: 2 });
    await until(() => isWaiting(bed(), second), 'the second waits');
    const third = await bed().start(plan, { application, number: 3 });
    await until(() => isWaiting(bed(), third), 'the third waits');
    await second.handle.terminate('a hand in the Temporal UI');

    first.held.end();

    await expect(third.handle.result()).resolves.toEqual({ status: 'succeeded' });
    expect(bed().world.fences.get(holderOf(second))).toBeUndefined();
  });

  it('leaves the queue when the waiting run is cancelled', async () => {
    const application = freshApplication();
    const first = await startHeld(bed(), { application, number: 1 });
    await until(first.isDeploying, 'the first deploys');
    const second = await bed().start(plan, { application, number: 2 });
    await until(() => isWaiting(bed(), second), 'the second waits');

    await second.handle.cancel();

    await expect(second.handle.result()).rejects.toThrow();
    const queue = await bed().client.workflow.getHandle(environmentOf(application)).query(lockState);
    expect(queue).toEqual([{ holder: holderOf(first.started), fence: 1 }]);
    first.held.end();
    await first.handle.result();
  });

  it('survives the loss of its workflow: the fence goes on, and who waits asks again', async () => {
    const application = freshApplication();
    const first = await startHeld(bed(), { application, number: 1 });
    await until(first.isDeploying, 'the first deploys');
    const second = await bed().start(plan, { application, number: 2, skipTime: true });
    await until(() => isWaiting(bed(), second), 'the second waits');

    await bed().client.workflow.getHandle(environmentOf(application)).terminate('lost');

    await expect(second.handle.result()).resolves.toEqual({ status: 'succeeded' });
    expect(bed().world.fences.get(holderOf(second))).toBe(2); // so the first one is refused at its next step
    first.held.end();
    await first.handle.result();
  });

  it('answers the same holder always the same, and not one that has left', async () => {
    const application = freshApplication();
    const { engine } = bed().world;
    const input = { application: parseApplicationName(application), environment: parseEnvironmentName('staging') };
    const holder = `run/${application}/1/staging#1`;

    const first = await engine.acquireLock({ ...input, holder, ask: 1 });
    const again = await engine.acquireLock({ ...input, holder, ask: 2 });
    await engine.releaseLock({ ...input, holder });
    await engine.releaseLock({ ...input, holder });
    const late = await engine.acquireLock({ ...input, holder, ask: 3 });

    expect([first, again]).toEqual([
      { type: 'granted', fence: 1 },
      { type: 'granted', fence: 1 },
    ]);
    expect(late).toMatchObject({ type: 'waiting', position: 0 });
  });

  it('grants later what the database could not grant at once', async () => {
    const application = freshApplication();
    bed().world.isDatabaseAway = true;
    const run = await bed().start(plan, { application });
    const environmentId = environmentOf(application);
    const isQueued = async (): Promise<boolean> => {
      const { events } = await bed().client.workflow.getHandle(environmentId).fetchHistory();
      return events?.some((event) => event.workflowExecutionUpdateCompletedEventAttributes != null) === true;
    };
    await until(() => isQueued().catch(() => false), 'the question is answered', 15_000);
    bed().world.isDatabaseAway = false;

    await expect(run.handle.result()).resolves.toEqual({ status: 'succeeded' });
  });

  it('ends when nobody has asked for long, and begins again', async () => {
    const application = freshApplication();
    await startEnvironment(bed(), application, []);
    const handle = bed().client.workflow.getHandle<typeof environment>(environmentOf(application));
    await expect(handle.result()).resolves.toBeUndefined();

    const run = await bed().start(plan, { application });

    await expect(run.handle.result()).resolves.toEqual({ status: 'succeeded' });
  });

  it('continues as new with its queue', async () => {
    const application = freshApplication();
    const first = await startHeld(bed(), { application, number: 1 });
    await until(first.isDeploying, 'the first deploys');
    const second = await bed().start(plan, { application, number: 2 });
    await until(() => isWaiting(bed(), second), 'the second waits');
    const handle = bed().client.workflow.getHandle(environmentOf(application));
    const before = (await handle.describe()).runId;
    const holder = holderOf(first.started);
    const isNew = async (): Promise<boolean> => {
      const calls = Array.from({ length: 9 }, () => handle.executeUpdate(acquire, { args: [{ holder }] }));
      await Promise.allSettled(calls);
      return (await handle.describe()).runId !== before;
    };
    if (bed().isCached) await until(isNew, 'it continued as new', 60_000); // thousands of events, each step replayed, take minutes

    expect(await handle.query(lockState)).toEqual([{ holder, fence: 1 }, { holder: holderOf(second) }]);
    await handle.executeUpdate(release, { args: [{ holder }] });
    await expect(second.handle.result()).resolves.toEqual({ status: 'succeeded' });
    first.held.end();
    await first.handle.result();
  }, 90_000);
});
