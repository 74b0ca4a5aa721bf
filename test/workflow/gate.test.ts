import { expect, it } from 'vitest';
import type { GateOpening } from '../../activities/types.ts';
import type { TaskName } from '../../src/core/model/ids.ts';
import { decide } from '../../workflows/messages.ts';
import { describeRuns } from '../support/describe-runs.ts';
import { Held, openGate } from '../support/fake-activities.ts';
import { makeApproval, makeGraph, makeJob } from '../support/graphs.ts';
import { until } from '../support/run-bed.ts';
import type { Bed, StartedRun } from '../support/run-bed.ts';

const graph = makeGraph([makeApproval('approve'), makeJob('after', ['approve'])]);
const gate = 'approve' as TaskName;
const week = 7 * 24 * 3_600_000;

async function startGate(bed: Bed): Promise<StartedRun> {
  const started = await bed.start({ graph });
  await until(() => bed.world.statusOf(started.id) === 'paused', 'the gate is open');
  return started;
}

function refusal(type: string): object {
  return { cause: { type } };
}

describeRuns('a gate', (bed) => {
  it('pauses the run until a person approves, and says so', async () => {
    const started = await startGate(bed());
    const { typedSearchAttributes } = await started.handle.describe();
    const before = Object.fromEntries(typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]));
    const { currentDetails } = await bed()
      .client.workflow.getHandle(started.handle.workflowId)
      .query<{ currentDetails: string }>('__temporal_workflow_metadata');

    await expect(bed().approve(started, 'approve')).resolves.toEqual({ verdict: 'approved' });

    await expect(started.handle.result()).resolves.toEqual({ status: 'succeeded' });
    expect(before).toMatchObject({ LoamStatus: 'paused', LoamGate: 'approve' });
    expect(currentDetails).toContain(
      `**approve** paused: waits for a person, \`loam approve ${started.id} approve\` or`,
    );
    expect(bed().world.gatesOf(started.id)).toEqual(['approve/1 decided']);
    expect(bed().world.recordsOf(started.id)).toEqual({ approve: 'succeeded' });
    const after = (await started.handle.describe()).typedSearchAttributes.getAll().map(({ key }) => key.name);
    expect(after).not.toContain('LoamGate');
  });

  it('fails the run when a person rejects, with the name', async () => {
    const started = await startGate(bed());
    await bed().approve(started, 'approve', { verdict: 'rejected' });

    await expect(started.handle.result()).rejects.toMatchObject({ cause: { type: 'rejected' } });

    expect(bed().world.startedOf(started.id)).toEqual(['approve#1']);
    expect(bed().world.gatesOf(started.id)).toEqual(['approve/1 decided']);
    expect(bed().world.finishOf(started.id)).toMatchObject({ status: 'failed', code: 'rejected' });
    expect(bed().world.recordsOf(started.id)).toMatchObject({ approve: 'failed: rejected by ada' });
  });

  it('expires at its deadline', async () => {
    const gates = { approve: [openGate, { ...openGate, remainingMs: 0 }] };
    const { id, handle } = await bed().start({ graph, gates }, { skipTime: true });

    await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'gate-expired' } });

    expect(bed().world.gatesOf(id)).toEqual(['approve/1 expired']);
    expect(bed().world.recordsOf(id)).toMatchObject({ approve: 'failed: nobody decided before the deadline' });
  });

  it('believes a decision that was made in time and has not arrived by the deadline (I4)', async () => {
    const late: GateOpening = { opening: 1, remainingMs: 0, decision: { id: 'd1', verdict: 'approved', by: 'ada' } };
    const { id, handle } = await bed().start({ graph, gates: { approve: [openGate, late] } }, { skipTime: true });

    await expect(handle.result()).resolves.toEqual({ status: 'succeeded' });

    expect(bed().world.gatesOf(id)).toEqual(['approve/1 decided']);
  });

  it('waits on while the row says that there is time', async () => {
    const gates = { approve: [openGate, { ...openGate, remainingMs: week }, { ...openGate, remainingMs: 0 }] };
    const { handle } = await bed().start({ graph, gates }, { skipTime: true });

    await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'gate-expired' } });
  });

  it('does not ask again for what was decided in an earlier round', async () => {
    const decided: GateOpening = {
      opening: 2,
      remainingMs: week,
      decision: { id: 'd1', verdict: 'approved', by: 'ada' },
    };
    const { id, handle } = await bed().start({ graph, gates: { approve: [decided] } });

    await expect(handle.result()).resolves.toEqual({ status: 'succeeded' });

    expect(bed().world.gatesOf(id)).toEqual(['approve/2 decided']);
  });

  it('refuses an id that is no decision of it, and goes on waiting (I4)', async () => {
    const started = await startGate(bed());
    const other = await startGate(bed());
    bed().world.decide({ id: 'of-other', run: other.id, gate, verdict: 'approved' });

    for (const id of ['forged', 'of-other']) {
      const answer = started.handle.executeUpdate(decide, { args: [gate, id] });

      await expect(answer).rejects.toMatchObject(refusal('gate-unknown'));
    }

    expect(bed().world.startedOf(started.id)).toEqual(['approve#1']);
    await Promise.all([bed().approve(started, 'approve'), bed().approve(other, 'approve')]);
    await Promise.all([started.handle.result(), other.handle.result()]);
  });

  it('refuses at once, without a trace in the history, what is not open', async () => {
    const started = await startGate(bed());

    for (const name of ['after', 'nobody']) {
      const answer = started.handle.executeUpdate(decide, { args: [name as TaskName, 'x'] });

      await expect(answer).rejects.toMatchObject(refusal('gate-closed'));
    }

    expect(await bed().eventNames(started.handle.workflowId)).not.toContain('workflowExecutionUpdateAccepted');
    await bed().approve(started, 'approve');
    await started.handle.result();
  });

  it('refuses a decision of another opening', async () => {
    const started = await startGate(bed());
    bed().world.decide({ id: 'old', run: started.id, gate, verdict: 'approved', opening: 7 });

    const answer = started.handle.executeUpdate(decide, { args: [gate, 'old'] });

    await expect(answer).rejects.toMatchObject(refusal('gate-closed'));
    await bed().approve(started, 'approve');
    await started.handle.result();
  });

  it('takes the first of two decisions, and the same one twice', async () => {
    const held = new Held();
    const started = await bed().start({ graph, behaviours: { after: held.behaviour } });
    await until(() => bed().world.statusOf(started.id) === 'paused', 'the gate is open');

    const first = await bed().approve(started, 'approve', { id: 'one' });
    const again = await started.handle.executeUpdate(decide, { args: [gate, 'one'], updateId: 'repeated' });
    const second = bed().approve(started, 'approve', { id: 'two', verdict: 'rejected' });

    expect([first, again]).toEqual([{ verdict: 'approved' }, { verdict: 'approved' }]);
    await expect(second).rejects.toMatchObject(refusal('gate-closed'));
    held.end();
    await expect(started.handle.result()).resolves.toEqual({ status: 'succeeded' });
  });

  it('hears a person who is faster than the answer of the activity', async () => {
    const opening = new Held();
    const slow = makeGraph([makeApproval('approve')]);
    const started = await bed().start({ graph: slow, onOpenGate: opening.behaviour });
    await until(() => bed().world.startedOf(started.id).length === 1, 'the gate is being opened');

    await expect(bed().approve(started, 'approve')).resolves.toEqual({ verdict: 'approved' });
    opening.end();

    await expect(started.handle.result()).resolves.toEqual({ status: 'succeeded' });
  });

  it('goes on with a decision that could not be read at first', async () => {
    const stored = { id: 'd1', verdict: 'approved', by: 'ada' } as const;
    const gates = { approve: [openGate, { ...openGate, decision: stored }] };
    const started = await bed().start({ graph, gates });
    await until(() => bed().world.statusOf(started.id) === 'paused', 'the gate is open');
    bed().world.isDatabaseAway = true;
    const answer = bed().approve(started, 'approve', { id: 'd1' });
    await until(() => bed().world.looksOf(started.id) === 2, 'the gate is looked at again');
    bed().world.isDatabaseAway = false;

    await expect(answer).resolves.toEqual({ verdict: 'approved' });
    await expect(started.handle.result()).resolves.toEqual({ status: 'succeeded' });
  });

  it('refuses a forged id also when the database was away', async () => {
    const started = await startGate(bed());
    bed().world.isDatabaseAway = true;
    const answer = started.handle.executeUpdate(decide, { args: [gate, 'forged'] });
    const refused = expect(answer).rejects.toMatchObject(refusal('gate-closed'));
    await until(() => bed().world.looksOf(started.id) === 2, 'the gate is looked at again');
    bed().world.isDatabaseAway = false;

    await refused;
    await bed().approve(started, 'approve');
    await expect(started.handle.result()).resolves.toEqual({ status: 'succeeded' });
  });

  it('closes when the run is cancelled', async () => {
    const started = await startGate(bed());
    await started.handle.cancel();

    await expect(started.handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });

    expect(bed().world.gatesOf(started.id)).toEqual(['approve/1 cancelled']);
    expect(bed().world.finishOf(started.id)).toMatchObject({ status: 'cancelled' });
    expect(bed().world.recordsOf(started.id)).toEqual({
      approve: 'cancelled: the run was cancelled',
      after: 'cancelled: the run was cancelled',
    });
  });
});
