// I4, I5 of activities/open-gate.ts, generate-template.ts, bookkeeping.ts, locks.ts
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TaskInput } from '../../../activities/types.ts';
import type { ApprovalTask, CompiledTask } from '../../../src/core/graph/graph.ts';
import { lockHolder, parseEnvironmentName, parseTaskName } from '../../../src/core/model/ids.ts';
import type { Digest, RunId } from '../../../src/core/model/ids.ts';
import { taskSeq } from '../../../src/core/model/status.ts';
import { call, findTask, makeActivityRoom, push, resolveRun, thingy } from '../../support/activity-room.ts';
import type { ActivityRoom } from '../../support/activity-room.ts';

const production = parseEnvironmentName('production');
const approve = parseTaskName('approve');
const build = parseTaskName('build');

function plan(config: string): string {
  return `
version: 1
applications:
  thingy: {start: node server.mjs, config: ${config}}
environments:
  production: {compute: process}
workflow:
  build: {type: build_image}
  template: {type: generate_template, application: thingy, image: {get_output: build.digest}}
  approve: {type: approval, depends_on: template, environment: production, timeout: 60s}
  production: {type: deploy_stack, environment: production, depends_on: approve, template: {get_output: template}}
`;
}

let room: ActivityRoom;

beforeEach(async () => {
  room = await makeActivityRoom();
});

afterEach(() => room.close());

interface Prepared {
  readonly run: RunId;
  readonly gate: TaskInput<ApprovalTask>;
  readonly input: <Task extends CompiledTask>(task: Task) => TaskInput<Task>;
  readonly ready: Awaited<ReturnType<typeof resolveRun>>;
}

/** A run up to its gate. */
async function prepareGate(config: string): Promise<Prepared> {
  const run = await push(room, plan(config));
  const ready = await resolveRun(room, run);
  const input = <Task extends CompiledTask>(task: Task) => ({ run, planDigest: ready.planDigest, attempt: 1, task });
  const { digest } = await room.blobs.put(`artifact of ${run}`);
  const key = { run, task: build, attempt: 1 };
  const begin = await room.store.tasks.begin(key, 'host-1');
  if (begin.type !== 'begun') throw new Error('build has ended');
  await room.store.tasks.finish(key, begin.owner, {
    outcome: { status: 'succeeded' },
    outputs: { digest },
    log: undefined,
  });
  await call(room, 'generate_template', input(findTask(ready, 'template', 'generate_template')));
  return { run, ready, input, gate: input(findTask(ready, 'approve', 'approval')) };
}

async function deploy({ run, ready, input }: Prepared): Promise<void> {
  const task = findTask(ready, 'production', 'deploy_stack');
  const holder = lockHolder(run, task.name, 1);
  const fence = await call(room, 'takeFence', { application: thingy, environment: production, holder });
  const outcome = await call(room, 'deploy_stack', { ...input(task), holder, fence });
  expect(outcome).toEqual({ status: 'succeeded' });
}

describe('generate_template', () => {
  it('gives the same digest for the same input, also in another run (I5)', async () => {
    const { run, ready, input } = await prepareGate('{A: x}');
    const first = await room.store.tasks.output(run, { task: parseTaskName('template'), key: '' });

    const again = { ...input(findTask(ready, 'template', 'generate_template')), attempt: 2 };
    const outcome = await call(room, 'generate_template', again);

    expect(outcome).toEqual({ status: 'succeeded' });
    expect(await room.store.tasks.output(run, { task: parseTaskName('template'), key: '' })).toBe(first);
    const template: unknown = JSON.parse(new TextDecoder().decode(await room.blobs.read(first as Digest)));
    expect(template).toMatchObject({
      application: 'thingy',
      start: 'node server.mjs',
      config: { A: { literal: 'x' } },
    });
  });
});

describe('open_gate', () => {
  it('binds the gate to the digests of what comes after it, and keeps its deadline when it is asked again (I4)', async () => {
    const { run, gate } = await prepareGate('{A: x}');

    const first = await call(room, 'open_gate', gate);
    const second = await call(room, 'open_gate', gate);

    const row = await room.store.gates.get(run, approve);
    const template = await room.store.tasks.output(run, { task: parseTaskName('template'), key: '' });
    const image = await room.store.tasks.output(run, { task: build, key: 'digest' });
    expect(row?.subjects).toEqual([{ task: 'production', template, image }]);
    expect(first).toMatchObject({ opening: 1, decision: undefined });
    expect(second.opening).toBe(1);
    expect(second.remainingMs).toBeLessThanOrEqual(first.remainingMs);
    expect(first.remainingMs).toBeGreaterThan(50_000);
  });

  it('shows from and to, the commits between, and the names of changed settings', async () => {
    await deploy(await prepareGate('{A: x, B: y}'));
    await push(room, undefined);
    const { run, gate } = await prepareGate('{B: z, C: w}');

    await call(room, 'open_gate', gate);

    const preview = (await room.store.gates.get(run, approve))?.preview;
    expect(preview).toMatchObject({
      application: 'thingy',
      fromRelease: 1,
      fromCommit: room.commits[0],
      toCommit: room.commits[2],
      moreCommits: false,
      configAdded: ['C'],
      configRemoved: ['A'],
      configChanged: ['B'],
    });
    expect(preview?.commits.map(({ subject }) => subject)).toEqual(['change 2', 'change 1']);
  });

  it('answers a decision that is there already, and the deploy takes it (I4)', async () => {
    await room.store.environments.put(thingy, production, { target: 'process', protected: true });
    const prepared = await prepareGate('{A: x}');
    await call(room, 'open_gate', prepared.gate);
    const { decision } = await room.store.gates.decide(prepared.run, approve, {
      verdict: 'approved',
      by: 'ann',
      comment: '',
    });

    const opening = await call(room, 'open_gate', prepared.gate);

    expect(opening.decision).toEqual({ id: decision.id, verdict: 'approved', by: 'ann' });
    await deploy(prepared);
  });

  it('fails when what it would be bound to does not exist yet (I4)', async () => {
    const run = await push(room, plan('{A: x}'));
    const ready = await resolveRun(room, run);
    const task = findTask(ready, 'approve', 'approval');

    const opening = call(room, 'open_gate', { run, planDigest: ready.planDigest, attempt: 1, task });

    await expect(opening).rejects.toMatchObject({ type: 'output-missing', nonRetryable: true });
  });
});

describe('readDecision', () => {
  it('believes only decisions of this gate of this run (I4)', async () => {
    const one = await prepareGate('{A: x}');
    const other = await prepareGate('{A: y}');
    await call(room, 'open_gate', one.gate);
    await call(room, 'open_gate', other.gate);
    const { decision } = await room.store.gates.decide(one.run, approve, {
      verdict: 'rejected',
      by: 'ann',
      comment: '',
    });

    const own = await call(room, 'readDecision', { run: one.run, gate: approve, decisionId: decision.id });

    expect(own).toEqual({ id: decision.id, verdict: 'rejected', by: 'ann', opening: 1 });
    for (const question of [
      { run: other.run, gate: approve, decisionId: decision.id },
      { run: one.run, gate: build, decisionId: decision.id },
      { run: one.run, gate: approve, decisionId: 'made-up' },
    ]) {
      await expect(call(room, 'readDecision', question)).rejects.toMatchObject({
        type: 'gate-unknown',
        nonRetryable: true,
      });
    }
  });
});

describe('record and finish', () => {
  it('keep the highest word about a task, end the attempt of a gate, and close it', async () => {
    const { run, gate } = await prepareGate('{A: x}');
    const { opening } = await call(room, 'open_gate', gate);
    const paused = { task: approve, attempt: 1, seq: taskSeq(1, 'paused'), status: 'paused' } as const;
    const done = {
      task: approve,
      attempt: 1,
      seq: taskSeq(1, 'final'),
      status: 'failed',
      code: 'rejected',
      reason: 'no',
    } as const;

    await call(room, 'record', { run, tasks: [paused], status: { status: 'paused', seq: 3 } });
    await call(room, 'record', { run, tasks: [done], gates: [{ gate: approve, opening, status: 'decided' }] });
    await call(room, 'record', { run, tasks: [paused] });

    const row = (await room.store.tasks.list(run)).find(({ name }) => name === 'approve');
    expect(row).toMatchObject({ status: 'failed', code: 'rejected', reason: 'no' });
    expect(await room.store.tasks.attempt({ run, task: approve, attempt: 1 })).toMatchObject({
      status: 'failed',
      code: 'rejected',
    });
    expect((await room.store.gates.get(run, approve))?.status).toBe('decided');
  });

  it('end the row once, close gates, and remove the sandboxes of this run only (I8)', async () => {
    const { run, gate } = await prepareGate('{A: x}');
    await call(room, 'open_gate', gate);
    await startJob(run);
    const other = await push(room, plan('{A: x}'));
    await startJob(other);

    await call(room, 'finish', { run, status: 'cancelled', records: [] });
    await call(room, 'finish', { run, status: 'failed', records: [] });

    expect((await room.store.runs.get(run))?.status).toBe('cancelled');
    expect((await room.store.gates.get(run, approve))?.status).toBe('cancelled');
    expect((await room.executor.list()).map((key) => key.run)).toEqual([other]);
  });
});

async function startJob(run: RunId): Promise<void> {
  await room.executor.start({
    key: { run, task: build, attempt: 1 },
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
