import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createRunEngine, wireNames } from '../../../src/adapters/temporal/engine.ts';
import {
  formatRunId,
  lockHolder,
  parseApplicationName,
  parseEnvironmentName,
  parseTaskName,
} from '../../../src/core/model/ids.ts';
import type { Decision } from '../../../src/core/gate/gate.ts';
import type { LockRequest, RunEngine } from '../../../src/ports/run-engine.ts';
import type { RunRow } from '../../../src/ports/store.ts';
import { acquire, decide, release } from '../../../workflows/messages.ts';
import { call, makeActivityRoom, thingy } from '../../support/activity-room.ts';
import { makeRunRow } from '../../support/run-rows.ts';
import { startStandIn } from '../../support/stand-in-worker.ts';
import type { StandIn } from '../../support/stand-in-worker.ts';

const production = parseEnvironmentName(`p${randomUUID().slice(0, 8)}`);

let standIn: StandIn;
let client: Client;
let engine: RunEngine;

beforeAll(async () => {
  standIn = await startStandIn(inject('temporalAddress'));
  ({ client, engine } = standIn);
});

afterAll(async () => {
  await standIn.stop();
});

let numbers = 0;

/** Runs of this file do not meet those of others on the shared server. */
function freshRow(change: Partial<RunRow> = {}): RunRow {
  numbers += 1;
  return makeRunRow({
    application: parseApplicationName('engine-test'),
    number: numbers + (Date.now() % 1e8),
    delivery: randomUUID(),
    ...change,
  });
}

function makeDecision(row: RunRow, gate = 'approve'): Decision {
  return {
    id: randomUUID(),
    run: row.id,
    gate: parseTaskName(gate),
    opening: 1,
    verdict: 'approved',
    by: 'ann',
    comment: '',
    atMs: 1,
  };
}

describe('run engine', () => {
  it('speaks the names of the messages', () => {
    expect([wireNames.decide, wireNames.acquire, wireNames.release]).toEqual([decide.name, acquire.name, release.name]);
  });

  it('starts a run once, however often it is asked (I1)', async () => {
    const row = freshRow();

    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => engine.startRun(row)));

    expect(new Set(answers.map((one) => JSON.stringify(one))).size).toBe(1);
    expect(answers[0]).toMatchObject({ type: 'started' });
    expect(await engine.isOpen(`run/${row.id}`)).toBe(true);
  });

  it('tells a run of another delivery apart, also when that one has closed (I1)', async () => {
    const row = freshRow();
    await engine.startRun(row);

    const whileOpen = await engine.startRun({ ...row, delivery: 'another' });
    await engine.deliverDecision(makeDecision(row));
    await client.workflow.getHandle(`run/${row.id}`).result();

    expect(whileOpen).toEqual({ type: 'conflict' });
    expect(await engine.startRun({ ...row, delivery: 'another' })).toEqual({ type: 'conflict' });
    expect(await engine.startRun(row)).toMatchObject({ type: 'started' });
    expect(await engine.isOpen(`run/${row.id}`)).toBe(false);
  });

  it('starts further rounds beside the first', async () => {
    const row = freshRow();
    const second = { ...row, round: 2, id: formatRunId({ ...row, round: 2 }) };

    expect(await engine.startRun(row)).toMatchObject({ type: 'started' });
    expect(await engine.startRun(second)).toMatchObject({ type: 'started' });
  });

  it('says in the Temporal UI what runs, with foreign text escaped and cut', async () => {
    const message = `<img src=x> *bold* [link](http://x.me) ${'ä'.repeat(300)}`;
    const row = freshRow({ message, ref: `refs/heads/${'b'.repeat(270)}` });

    await engine.startRun(row);

    const description = await client.workflow.getHandle(`run/${row.id}`).describe();
    const summary = (await description.staticSummary()) ?? '';
    expect(summary).toMatch(/^engine-test@aaaaaaa: \\<img src=x\\> \\\*bold\\\* \\\[link\\\]/);
    expect(Buffer.byteLength(summary)).toBeLessThanOrEqual(400);
    expect(await description.staticDetails()).toContain(`- run: http://127.0.0.1/v1/runs/${row.id}`);
    const attributes = Object.fromEntries(
      description.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]),
    );
    expect(attributes).toMatchObject({
      LoamApplication: 'engine-test',
      LoamCommit: row.commit,
      LoamStatus: 'pending',
      LoamBranch: 'b'.repeat(240),
    });
  });

  it('delivers a decision, and once more the same (I4)', async () => {
    const row = freshRow();
    await engine.startRun(row);
    const decision = makeDecision(row);

    expect(await engine.deliverDecision(decision)).toBe('delivered');
    expect(await client.workflow.getHandle(`run/${row.id}`).result()).toMatchObject({
      reason: `${row.id} ${decision.id}`,
    });
    // The update is remembered by the decision's id, also by a closed run; another decision finds nobody.
    expect(await engine.deliverDecision(decision)).toBe('delivered');
    expect(await engine.deliverDecision(makeDecision(row))).toBe('gone');
  });

  it('knows that a decision comes too late', async () => {
    const row = freshRow();
    expect(await engine.deliverDecision(makeDecision(row))).toBe('gone');
    await engine.startRun(row);

    expect(await engine.deliverDecision(makeDecision(row, 'closed'))).toBe('gone');
    expect(await engine.isOpen(`run/${row.id}`)).toBe(true);
  });

  it('cancels, and tells how a run closed', async () => {
    const row = freshRow();
    expect(await engine.cancelRun(row.id)).toBe('gone');
    expect(await engine.closedStatus(row.id)).toBeUndefined();
    await engine.startRun(row);
    expect(await engine.closedStatus(row.id)).toBeUndefined();

    expect(await engine.cancelRun(row.id)).toBe('requested');

    await expect(client.workflow.getHandle(`run/${row.id}`).result()).rejects.toThrow();
    expect(await engine.closedStatus(row.id)).toBe('cancelled');
    expect(await engine.cancelRun(row.id)).toBe('gone');
  });

  it('grants a lock, tells the place in the queue, and answers a new question anew (I3)', async () => {
    const application = parseApplicationName(`locks-${numbers}-${(Date.now() % 1e8).toString()}`);
    const lock = { application, environment: parseEnvironmentName('staging') };
    const [first, second] = [1, 2].map((number) => {
      return lockHolder(formatRunId({ application, number, round: 1 }), parseTaskName('deploy'), 1);
    }) as [string, string];
    await engine.releaseLock({ ...lock, holder: first }); // a lock that was never there is released

    expect(await engine.acquireLock({ ...lock, holder: first, ask: 1 })).toEqual({ type: 'granted', fence: 1 });
    expect(await engine.acquireLock({ ...lock, holder: first, ask: 2 })).toEqual({ type: 'granted', fence: 1 });
    expect(await engine.acquireLock({ ...lock, holder: second, ask: 1 })).toEqual({
      type: 'waiting',
      position: 1,
      holder: first,
    });
    await engine.releaseLock({ ...lock, holder: first });
    await engine.releaseLock({ ...lock, holder: first });
    expect(await engine.acquireLock({ ...lock, holder: second, ask: 2 })).toEqual({ type: 'granted', fence: 1 });
  });

  it('says that Temporal is away, within its time', async () => {
    const lost = createRunEngine({ address: '127.0.0.1:1', namespace: 'loam' });

    await expect(lost.startRun(freshRow())).rejects.toMatchObject({ code: 'temporal-unavailable' });

    await lost.close();
  });
});

describe('the lock activities', () => {
  it('carry questions to the engine, and keep one fence per holder that only grows (I3)', async () => {
    const room = await makeActivityRoom();
    try {
      const worker = { dependencies: { ...room.dependencies, engine } };
      const [open, unknown] = [freshRow(), freshRow()];
      await engine.startRun(open);
      await room.store.environments.put(thingy, production, { target: 'process' });
      const place = { application: thingy, environment: production };
      const [first, second] = [1, 2].map((attempt) => {
        return { ...place, holder: lockHolder(open.id, parseTaskName('deploy'), attempt) };
      }) as [LockRequest, LockRequest];

      const granted = await call(worker, 'acquireLock', { ...first, ask: 1 });
      const waiting = await call(worker, 'acquireLock', { ...second, ask: 1 });
      const fences = [
        await call(worker, 'takeFence', first),
        await call(worker, 'takeFence', first),
        await call(worker, 'takeFence', second),
      ];

      expect(granted).toMatchObject({ type: 'granted' });
      expect(waiting).toMatchObject({ type: 'waiting', holder: first.holder });
      expect(fences).toEqual([1, 1, 2]);
      expect(await call(worker, 'isHolderOpen', first)).toBe(true);
      const nobody = lockHolder(unknown.id, parseTaskName('deploy'), 1);
      expect(await call(worker, 'isHolderOpen', { holder: nobody })).toBe(false);
      expect(await call(worker, 'readLockPolicy', first)).toBe('queue');
      await call(worker, 'releaseLock', first);
      expect(await call(worker, 'acquireLock', { ...second, ask: 2 })).toMatchObject({ type: 'granted' });
      await call(worker, 'releaseLock', second);
    } finally {
      await room.close();
    }
  });
});
