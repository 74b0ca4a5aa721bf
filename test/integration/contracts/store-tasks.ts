import { expect, it } from 'vitest';
import { taskSeq, type TaskOutcome } from '../../../src/core/model/status.ts';
import type { Store } from '../../../src/ports/store.ts';
import type { AttemptKey } from '../../../src/ports/task-store.ts';
import type { WithStore } from './store.ts';
import { addRun, makeDigest, runId, task } from './store-builders.ts';

const succeeded: TaskOutcome = { status: 'succeeded', exitCode: 0 };

async function succeed(store: Store, key: AttemptKey, outputs: Record<string, string> = {}): Promise<void> {
  const begun = await store.tasks.begin(key, 'host');
  if (begun.type !== 'begun') throw new Error('the attempt has ended');
  await store.tasks.finish(key, begun.owner, { outcome: succeeded, outputs, log: makeDigest('log') });
}

export function testStoreTasks(withStore: WithStore): void {
  it('begins an attempt once, and hands it over with a higher owner number (I2)', () =>
    withStore(async ({ store, clock }) => {
      const run = await addRun(store);
      const key = { run, task: task.test, attempt: 1 };
      const startedAtMs = clock.nowMs;

      const first = await store.tasks.begin(key, 'host-a');
      clock.nowMs += 10;
      const second = await store.tasks.begin(key, 'host-b');

      expect(first).toEqual({ type: 'begun', owner: 1, first: true, startedAtMs });
      expect(second).toEqual({ type: 'begun', owner: 2, first: false, startedAtMs });
      expect(await store.tasks.attempt(key)).toMatchObject({ owner: 2, host: 'host-b', status: 'running' });
      expect((await store.tasks.list(run))[0]).toMatchObject({ status: 'running', attempt: 1, startedAtMs });
    }));

  it('keeps for a host what it has begun while it is heard of (I2)', () =>
    withStore(async ({ store, clock }) => {
      const run = await addRun(store);
      const key = { run, task: task.test, attempt: 1 };
      await store.hosts.beat('host-a');
      await store.tasks.begin(key, 'host-a');
      clock.nowMs += 20_000;
      await store.hosts.beat('host-a');
      clock.nowMs += 29_999;

      const early = await store.tasks.begin(key, 'host-b');
      const own = await store.tasks.begin(key, 'host-a');
      clock.nowMs += 1;
      const late = await store.tasks.begin(key, 'host-b');

      expect(early).toEqual({ type: 'held', host: 'host-a', leftMs: 1 });
      expect(own).toMatchObject({ type: 'begun', owner: 2 });
      expect(late).toMatchObject({ type: 'begun', owner: 3, first: false });
      expect(await store.tasks.attempt(key)).toMatchObject({ owner: 3, host: 'host-b' });
    }));

  it('ends an attempt once, and only for its owner (I2)', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      const key = { run, task: task.test, attempt: 1 };
      const failed = { status: 'failed', exitCode: 3, reason: 'red' } as const;
      await store.tasks.begin(key, 'host-a');
      await store.tasks.begin(key, 'host-b');

      const stale = await store.tasks.finish(key, 1, { outcome: succeeded, outputs: {}, log: undefined });
      const good = await store.tasks.finish(key, 2, { outcome: failed, outputs: { a: '1' }, log: makeDigest('log') });
      const late = await store.tasks.finish(key, 2, { outcome: succeeded, outputs: {}, log: undefined });

      expect([stale, good, late]).toEqual([undefined, failed, failed]);
      expect(await store.tasks.begin(key, 'host-c')).toEqual({ type: 'ended', outcome: failed });
      expect(await store.tasks.attempt(key)).toMatchObject({
        exitCode: 3,
        outputs: { a: '1' },
        log: makeDigest('log'),
      });
      expect((await store.tasks.list(run))[0]).toMatchObject({ status: 'failed', reason: 'red' });
    }));

  it('goes on with a further attempt of a failed task', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      const first = { run, task: task.test, attempt: 1 };
      await store.tasks.begin(first, 'host');
      await store.tasks.finish(first, 1, { outcome: { status: 'failed' }, outputs: {}, log: undefined });
      await store.tasks.record(run, [{ task: task.test, attempt: 1, seq: taskSeq(1, 'retrying'), status: 'pending' }]);

      await succeed(store, { ...first, attempt: 2 });

      expect((await store.tasks.list(run))[0]).toMatchObject({ status: 'succeeded', attempt: 2, reason: undefined });
      expect((await store.tasks.attempts(run)).map((one) => one.status)).toEqual(['failed', 'succeeded']);
    }));

  it('records what no activity says, and drops what comes late', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      const waiting = { task: task.deploy, attempt: 1, seq: taskSeq(1, 'waiting'), status: 'waiting' } as const;

      await store.tasks.record(run, [
        waiting,
        { ...waiting, task: task.build, seq: 3, status: 'skipped', reason: 'x' },
      ]);
      await succeed(store, { run, task: task.deploy, attempt: 1 });
      await store.tasks.record(run, [waiting, { ...waiting, seq: taskSeq(1, 'finished'), status: 'failed' }]);

      const rows = new Map((await store.tasks.list(run)).map((one) => [one.name, one]));
      expect(rows.get(task.deploy)?.status).toBe('succeeded');
      expect(rows.get(task.build)).toMatchObject({ status: 'skipped', reason: 'x' });
    }));

  it('keeps outputs by key, and refuses what is too large', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      const key = { run, task: task.build, attempt: 1 };
      await store.tasks.begin(key, 'host');
      const tooMany = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`k${String(at)}`, '']));
      const end = { outcome: succeeded, log: undefined };

      for (const outputs of [{ a: 'x'.repeat(4_097) }, { a: 'ä'.repeat(2_049) }, tooMany]) {
        await expect(store.tasks.finish(key, 1, { ...end, outputs })).rejects.toMatchObject({
          code: 'output-too-large',
        });
      }
      await store.tasks.finish(key, 1, { ...end, outputs: { '': 'main', digest: 'x'.repeat(4_096), zero: 'a\0b' } });

      expect(await store.tasks.output(run, { task: task.build, key: '' })).toBe('main');
      expect(await store.tasks.output(run, { task: task.build, key: 'digest' })).toHaveLength(4_096);
      expect(await store.tasks.output(run, { task: task.build, key: 'zero' })).toBe('a\0b');
      expect(await store.tasks.output(run, { task: task.build, key: 'toString' })).toBeUndefined();
      expect(await store.tasks.output(run, { task: task.test, key: '' })).toBeUndefined();
    }));

  it('refuses tasks and attempts that are not there', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      const end = { outcome: succeeded, outputs: {}, log: undefined };
      const key = { run, task: task.test, attempt: 1 };

      await expect(store.tasks.begin({ ...key, run: runId(9) }, 'h')).rejects.toMatchObject({ code: 'run-unknown' });
      await expect(store.tasks.finish(key, 1, end)).rejects.toMatchObject({ code: 'task-unknown' });
    }));

  it('seeds a new round from rows: outcomes, outputs and logs are kept, attempts are numbered on (I2)', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      const log = { run, task: task.build, attempt: 1 };
      await succeed(store, { run, task: task.test, attempt: 1 });
      await store.logs.advance(log, { source: 0, stored: 0 }, { source: 9, stored: 7 });
      await store.logs.seal(log, { source: 9, stored: 7 }, makeDigest('log'));
      await succeed(store, { run, task: task.build, attempt: 1 }, { digest: 'd' });
      const deploy = { run, task: task.deploy, attempt: 1 };
      await store.tasks.begin(deploy, 'host');
      await expect(store.runs.newRound(run, [])).rejects.toMatchObject({ code: 'run-not-ended' });
      await store.tasks.finish(deploy, 1, { outcome: { status: 'failed' }, outputs: {}, log: undefined });
      await store.runs.finish(run, { status: 'failed', code: undefined, reason: undefined });

      const round = await store.runs.newRound(run, [task.test]);

      expect(round).toMatchObject({ id: runId(1, 2), round: 2, status: 'pending', planDigest: makeDigest('plan') });
      const rows = await store.tasks.list(round.id);
      expect(rows.map((one) => [one.name, one.status, one.kept, one.attempt])).toEqual([
        [task.test, 'pending', false, 1],
        [task.build, 'succeeded', true, 1],
        [task.approve, 'pending', false, 0],
        [task.deploy, 'pending', false, 1],
      ]);
      expect(await store.tasks.output(round.id, { task: task.build, key: 'digest' })).toBe('d');
      expect(await store.logs.get({ ...log, run: round.id })).toEqual({
        source: 9,
        stored: 7,
        sealed: makeDigest('log'),
      });
      expect((await store.runs.unstarted(10)).map((one) => one.id)).toEqual([round.id]);
      expect((await store.runs.newest(round.application, 1))?.id).toBe(round.id);
      await succeed(store, { run: round.id, task: task.deploy, attempt: 2 });
    }));

  it('keeps a success whose run was ended first', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      const key = { run, task: task.test, attempt: 1 };
      await store.tasks.begin(key, 'host');
      await store.runs.finish(run, { status: 'cancelled', code: undefined, reason: undefined });
      await store.tasks.finish(key, 1, { outcome: succeeded, outputs: { a: '1' }, log: undefined });

      const round = await store.runs.newRound(run, []);

      expect((await store.tasks.list(round.id))[0]).toMatchObject({ status: 'succeeded', kept: true });
      expect(await store.tasks.output(round.id, { task: task.test, key: 'a' })).toBe('1');
    }));

  it('refuses a new round when nothing failed, and takes one from a named task', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      await succeed(store, { run, task: task.test, attempt: 1 });
      await store.runs.finish(run, { status: 'succeeded', code: undefined, reason: undefined });

      await expect(store.runs.newRound(run, [])).rejects.toMatchObject({ code: 'input-invalid' });
      const second = await store.runs.newRound(run, [task.test]);
      await store.runs.finish(second.id, { status: 'failed', code: undefined, reason: undefined });
      const third = await store.runs.newRound(run, []);

      expect(third.id).toBe(runId(1, 3));
    }));

  it('gives a new round that has not started the next round number', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      await succeed(store, { run, task: task.test, attempt: 1 });
      await store.runs.finish(run, { status: 'failed', code: undefined, reason: undefined });
      const round = await store.runs.newRound(run, []);

      const id = await store.runs.renumber(round.id);

      expect(id).toBe(runId(1, 3));
      expect((await store.tasks.list(id))[0]).toMatchObject({ run: id, status: 'succeeded', kept: true });
    }));
}
