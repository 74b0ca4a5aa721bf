// One run for each shape of history that a version may leave behind (I9).
import type { GateOpening } from '../../activities/types.ts';
import { environmentWorkflowId, parseApplicationName, parseEnvironmentName } from '../../src/core/model/ids.ts';
import type { TaskName } from '../../src/core/model/ids.ts';
import type { TaskOutcome } from '../../src/core/model/status.ts';
import { Held, failure, openGate } from '../support/fake-activities.ts';
import type { FakePlan } from '../support/fake-activities.ts';
import { makeApproval, makeDeploy, makeGraph, makeJob, makeNewcomerGraph } from '../support/graphs.ts';
import { until } from '../support/run-bed.ts';
import type { Bed, StartedRun } from '../support/run-bed.ts';

/** Plays the shape and answers the ids of the workflows to keep, by the name of their case. */
export type Shape = (bed: Bed) => Promise<Readonly<Record<string, string>>>;

const failed: TaskOutcome = { status: 'failed', exitCode: 1 };
const gate = makeGraph([makeApproval('approve'), makeJob('after', ['approve'])]);

async function ended({ handle }: StartedRun): Promise<string> {
  await handle.result().catch(() => undefined); // how it ends is part of the shape
  return handle.workflowId;
}

function simple(name: string, plan: FakePlan, skipTime = false): Shape {
  return async (bed) => ({ [name]: await ended(await bed.start(plan, { skipTime })) });
}

async function newcomer(bed: Bed): Promise<Record<string, string>> {
  const started = await bed.start({ graph: makeNewcomerGraph(), trusts: ['cloud'] });
  await until(() => bed.world.statusOf(started.id) === 'paused', 'the gate is open');
  await bed.approve(started, 'approve');
  return { newcomer: await ended(started) };
}

async function rejected(bed: Bed): Promise<Record<string, string>> {
  const started = await bed.start({ graph: gate });
  await until(() => bed.world.statusOf(started.id) === 'paused', 'the gate is open');
  await bed.approve(started, 'approve', { verdict: 'rejected' });
  return { 'gate-rejected': await ended(started) };
}

async function cancelledAtGate(bed: Bed): Promise<Record<string, string>> {
  const started = await bed.start({ graph: gate });
  await until(() => bed.world.statusOf(started.id) === 'paused', 'the gate is open');
  await started.handle.cancel();
  return { 'cancelled-at-gate': await ended(started) };
}

async function cancelled(bed: Bed): Promise<Record<string, string>> {
  const held = new Held();
  const graph = makeGraph([makeJob('a'), makeJob('b', ['a'])]);
  const started = await bed.start({ graph, trusts: ['cloud'], behaviours: { a: held.behaviour } });
  await until(() => bed.world.startedOf(started.id).length === 1, 'the job runs');
  await started.handle.cancel();
  return { cancelled: await ended(started) };
}

async function failFast(bed: Bed): Promise<Record<string, string>> {
  const held = new Held();
  const graph = makeGraph([makeJob('a'), makeJob('b'), makeJob('c', ['b'])]);
  return { 'fail-fast': await ended(await bed.start({ graph, behaviours: { a: failed, b: held.behaviour } })) };
}

async function trustLost(bed: Bed): Promise<Record<string, string>> {
  const held = new Held();
  const keepTrusts = () => Promise.reject(failure('trust-revoked', 'cloud was revoked'));
  const plan = { graph: makeGraph([makeJob('a')]), trusts: ['cloud'], keepTrusts, behaviours: { a: held.behaviour } };
  const started = await bed.start(plan);
  await until(() => bed.world.warningsOf(started.id).length > 0, 'the warning is recorded');
  held.end();
  return { 'trust-lost': await ended(started) };
}

async function locks(bed: Bed): Promise<Record<string, string>> {
  const application = 'replayed';
  const held = new Held();
  const graph = makeGraph([makeDeploy('staging', [], { readers: ['smoke'] }), makeJob('smoke', ['staging'])]);
  const isWaiting = ({ id }: StartedRun): boolean => bed.world.recordsOf(id)['staging']?.startsWith('waiting') === true;
  bed.world.policies.set(`${application}/staging`, 'newest');
  const first = await bed.start({ graph, behaviours: { smoke: held.behaviour } }, { application, number: 1 });
  await until(() => bed.world.startedOf(first.id).includes('smoke#1'), 'the first holds the lock');
  const second = await bed.start({ graph }, { application, number: 2 });
  await until(() => isWaiting(second), 'the second waits');
  const third = await bed.start({ graph }, { application, number: 3 });
  await until(() => isWaiting(third), 'the third waits');
  held.end();
  const environment = environmentWorkflowId(parseApplicationName(application), parseEnvironmentName('staging'));
  await Promise.all([first, second, third].map(ended));
  return { 'lock-superseded': second.handle.workflowId, 'lock-waited': third.handle.workflowId, queue: environment };
}

function wide(count: number): FakePlan {
  const jobs = Array.from({ length: count }, (_, number) => makeJob(`t${number}`));
  return {
    graph: makeGraph([
      ...jobs,
      makeJob(
        'join',
        jobs.map(({ name }) => name),
      ),
    ]),
  };
}

const late: GateOpening = { opening: 1, remainingMs: 0, decision: { id: 'd1', verdict: 'approved', by: 'ada' } };

export const shapes: readonly Shape[] = [
  newcomer,
  rejected,
  cancelledAtGate,
  cancelled,
  failFast,
  trustLost,
  locks,
  simple('fan-out', wide(60)),
  simple('continue', {
    graph: makeGraph([makeJob('a'), makeJob('b'), makeJob('c', ['a']), makeJob('d', ['b'])], 'continue'),
    behaviours: { a: failed },
  }),
  simple(
    'retry',
    {
      graph: makeGraph([
        makeJob('a', [], { maxAttempts: 3, retryDelayMs: 60_000 }),
        makeDeploy('staging', ['a'], { maxAttempts: 2 }),
      ]),
      behaviours: { 'a#1': failed, 'staging#1': failed },
    },
    true,
  ),
  simple('gate-expired', { graph: gate, gates: { approve: [openGate, { ...openGate, remainingMs: 0 }] } }, true),
  simple('gate-decided-late', { graph: gate, gates: { approve: [openGate, late] } }, true),
  simple('gate-decided-before', { graph: gate, gates: { approve: [{ ...late, opening: 2 }] } }),
  simple('seeded', {
    graph: makeGraph([makeJob('test'), makeJob('build', ['test'])]),
    seeded: [
      { task: 'test' as TaskName, succeeded: true, attempts: 1 },
      { task: 'build' as TaskName, succeeded: false, attempts: 2 },
    ],
  }),
  simple('platform-failed', {
    graph: makeGraph([makeJob('a')]),
    behaviours: {
      a: () => {
        throw failure('output-missing', 'task build has no output digest');
      },
    },
  }),
  simple('skipped', {
    graph: makeGraph([]),
    resolve: () => Promise.resolve({ type: 'skipped', reason: 'the plan is for main' }),
  }),
];
