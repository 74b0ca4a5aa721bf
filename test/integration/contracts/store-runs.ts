import { expect, it } from 'vitest';
import { parseTaskName } from '../../../src/core/model/ids.ts';
import type { WithStore } from './store.ts';
import {
  addApplication,
  addRun,
  makeDelivery,
  makeDigest,
  makePush,
  makeSha,
  runId,
  staging,
  task,
} from './store-builders.ts';

export function testStoreRuns(withStore: WithStore): void {
  it('finds a run for the dispatcher until its workflow has started', () =>
    withStore(async ({ store, clock }) => {
      await addApplication(store);
      for (const [at, letter] of ['b', 'c', 'd'].entries()) {
        clock.nowMs += 1;
        const push = makePush({ after: makeSha(letter) });
        await store.deliveries.receive(makeDelivery(`d${String(at)}`, { push }));
      }

      await store.runs.markStarted(runId(1), 'temporal-1');
      const waiting = await store.runs.unstarted(10);

      expect(waiting.map((run) => run.id)).toEqual([runId(2), runId(3)]);
      expect(await store.runs.unstarted(1)).toHaveLength(1);
      expect((await store.runs.get(runId(1)))?.temporalRunId).toBe('temporal-1');
      await expect(store.runs.markStarted(runId(9), 'x')).rejects.toMatchObject({ code: 'run-unknown' });
    }));

  it('lists runs newest first, page by page', () =>
    withStore(async ({ store, clock }) => {
      await addApplication(store);
      for (let at = 0; at < 12; at += 1) {
        if (at % 3 === 0) clock.nowMs += 1;
        await store.deliveries.receive(makeDelivery(`d${String(at)}`, { source: 'manual' }));
      }

      const first = await store.runs.list({ limit: 5 });
      const last = first.at(-1);
      const second = await store.runs.list({ limit: 10, ...(last && { before: last.id }) });

      expect([...first, ...second].map((run) => run.number)).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
      await store.runs.claim(runId(4));
      expect((await store.runs.list({ status: 'running', limit: 5 })).map((run) => run.number)).toEqual([4]);
    }));

  it('gives a run the next number, only before it has started', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      await store.deliveries.receive(makeDelivery('d1'));

      const id = await store.runs.renumber(runId(1));
      await store.runs.markStarted(id, 'temporal-2');

      expect(id).toBe(runId(2));
      expect(await store.runs.get(runId(1))).toBeUndefined();
      expect(await store.deliveries.receive(makeDelivery('d1'))).toMatchObject({ result: 'duplicate', number: 2 });
      await expect(store.runs.renumber(id)).rejects.toMatchObject({ code: 'input-invalid' });
      const next = await store.deliveries.receive(makeDelivery('d2', { push: makePush({ after: makeSha('c') }) }));
      expect(next).toMatchObject({ number: 3 });
    }));

  it('claims a run once and again', () =>
    withStore(async ({ store, clock }) => {
      await addApplication(store);
      await store.deliveries.receive(makeDelivery('d1'));
      const startedAtMs = clock.nowMs;

      const first = await store.runs.claim(runId(1));
      clock.nowMs += 5;
      const second = await store.runs.claim(runId(1));

      expect(first).toMatchObject({ status: 'running', startedAtMs });
      expect(second).toEqual(first);
      await expect(store.runs.claim(runId(2))).rejects.toMatchObject({ code: 'run-unknown' });
    }));

  it('keeps plan, tasks in plan order, and each warning once', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      const plan = {
        planDigest: makeDigest('plan'),
        snapshot: makeDigest('tree'),
        warnings: ['one', 'two', 'one'],
        tasks: [{ name: task.test, type: 'repo_job' as const }],
      };

      await store.runs.setPlan(run, plan);
      await store.runs.setPlan(run, plan);
      await store.runs.addWarning(run, 'three');
      const row = await store.runs.get(run);

      expect(row).toMatchObject({ planDigest: plan.planDigest, snapshot: plan.snapshot });
      expect(row?.warnings).toEqual(['one', 'two', 'three']);
      const tasks = await store.tasks.list(run);
      expect(tasks.map((one) => [one.name, one.status, one.attempt])).toEqual([
        [task.test, 'pending', 0],
        [task.build, 'pending', 0],
        [task.approve, 'pending', 0],
        [task.deploy, 'pending', 0],
      ]);
    }));

  it('keeps a plan of 500 tasks', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      const tasks = Array.from({ length: 500 }, (_, at) => ({
        name: parseTaskName(`t${String(at)}`),
        type: 'repo_job' as const,
      }));

      await store.runs.setPlan(run, { planDigest: makeDigest('p'), snapshot: makeDigest('s'), warnings: [], tasks });

      expect(await store.tasks.list(run)).toHaveLength(504);
    }));

  it('takes a status only in order, and none after the end', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);

      await store.runs.setStatus(run, 'paused', 5);
      await store.runs.setStatus(run, 'running', 4);
      const paused = await store.runs.get(run);
      await store.runs.finish(run, { status: 'failed', code: 'internal', reason: 'why' });
      await store.runs.setStatus(run, 'running', 9);
      await store.runs.finish(run, { status: 'succeeded', code: undefined, reason: undefined });

      expect(paused?.status).toBe('paused');
      expect(await store.runs.get(run)).toMatchObject({ status: 'failed', code: 'internal', reason: 'why' });
      expect(await store.runs.open()).toEqual([]);
    }));

  it('ends open tasks and gates with the run', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      await store.tasks.begin({ run, task: task.test, attempt: 1 }, 'host');
      await store.gates.open({
        run,
        gate: task.approve,
        environment: staging,
        subjects: [],
        preview: {
          application: 'thingy',
          fromRelease: undefined,
          fromCommit: undefined,
          toCommit: 'b',
          commits: [],
          moreCommits: false,
          configAdded: [],
          configRemoved: [],
          configChanged: [],
          digest: undefined,
        },
        timeoutMs: 1_000,
      });

      await store.runs.finish(run, { status: 'failed', code: undefined, reason: undefined });

      const tasks = await store.tasks.list(run);
      expect(tasks.map((one) => one.status)).toEqual(['cancelled', 'skipped', 'skipped', 'skipped']);
      expect((await store.gates.get(run, task.approve))?.status).toBe('cancelled');
      expect(await store.tasks.begin({ run, task: task.build, attempt: 1 }, 'host')).toMatchObject({
        type: 'ended',
        outcome: { status: 'cancelled' },
      });
    }));

  it('cancels what had not begun when the run was cancelled', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);

      await store.runs.finish(run, { status: 'cancelled', code: undefined, reason: undefined });

      expect(new Set((await store.tasks.list(run)).map((one) => one.status))).toEqual(new Set(['cancelled']));
    }));

  it('keeps a request to cancel until Temporal has heard of it', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      await store.deliveries.receive(makeDelivery('d1'));
      const run = runId(1);

      const asked = await store.runs.requestCancel(run, 'ada');
      await store.runs.requestCancel(run, 'bob');
      const early = await store.runs.undeliveredCancels(10);
      await store.runs.markStarted(run, 'temporal-1');
      const due = await store.runs.undeliveredCancels(10);
      await store.runs.markCancelDelivered(run);

      expect(asked.cancelRequestedBy).toBe('ada');
      expect(early).toEqual([]);
      expect(due.map((one) => [one.id, one.cancelRequestedBy])).toEqual([[run, 'ada']]);
      expect(await store.runs.undeliveredCancels(10)).toEqual([]);
      await store.runs.finish(run, { status: 'cancelled', code: undefined, reason: undefined });
      await expect(store.runs.requestCancel(run, 'ada')).rejects.toMatchObject({ code: 'run-ended' });
    }));
}
