import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { shaOf, startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { addThingy, openGate, receiveRun, runTask, startRun, task, thingy } from '../../support/doors-runs.ts';

let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
  await addThingy(test.store);
});

afterEach(async () => {
  await test.destroy();
});

describe('runs', () => {
  it('lists runs page by page', async () => {
    for (let count = 0; count < 5; count += 1) await receiveRun(test.store);

    const first = await test.call('GET', '/v1/runs?application=thingy&limit=2', { role: 'viewer' });
    const second = await test.call('GET', '/v1/runs?application=thingy&limit=2&before=4', { role: 'viewer' });

    const ids = (answer: typeof first): string[] => (answer.body['runs'] as { id: string }[]).map((one) => one.id);
    expect([ids(first), ids(second)]).toEqual([
      ['thingy/5', 'thingy/4'],
      ['thingy/3', 'thingy/2'],
    ]);
    expect((await test.call('GET', '/v1/runs?limit=201')).status).toBe(422);
    expect((await test.call('GET', '/v1/runs?status=nonsense')).status).toBe(422);
    expect((await test.call('GET', '/v1/runs?application=nobody')).status).toBe(404);
    expect((await test.call('GET', '/v1/runs?before=2')).status).toBe(422);
  });

  it('shows tasks, attempts, gates, warnings, and who decided', async () => {
    const run = await startRun(test.store, test.blobs);
    await runTask(test.store, run, 'test', 'succeeded');
    await openGate(test.store, run);

    const shown = await test.call('GET', '/v1/runs/thingy/1', { role: 'viewer' });

    expect(shown.body).toMatchObject({
      id: 'thingy/1',
      status: 'running',
      warnings: ['the plan names no version'],
      tasks: [
        {
          name: 'test',
          status: 'succeeded',
          attempt: 1,
          attempts: [{ attempt: 1, exitCode: 0, host: 'host-1', outputs: { url: 'http://127.0.0.1:1' } }],
        },
        { name: 'build', status: 'pending', attempts: [] },
        { name: 'approve', status: 'pending' },
      ],
      gates: [
        {
          gate: 'approve',
          status: 'open',
          opening: 1,
          decision: null,
          preview: { fromRelease: 3, configAdded: ['NEW_KEY'] },
        },
      ],
      temporalUrl: 'http://127.0.0.1:8233/namespaces/loam/workflows/run%2Fthingy%2F1',
    });
    await test.call('POST', '/v1/runs/thingy/1/gates/approve/decisions', {
      role: 'approver',
      json: { verdict: 'rejected', comment: 'not today' },
    });
    expect((await test.call('GET', '/v1/runs/thingy/1')).body['gates']).toMatchObject([
      { decision: { verdict: 'rejected', by: 'the-approver', comment: 'not today' } },
    ]);
  });

  it('takes the first decision of an opening, and shows it to who comes second (I4)', async () => {
    const run = await startRun(test.store, test.blobs);
    await openGate(test.store, run);
    const decide = (verdict: string, opening?: number): ReturnType<TestApi['call']> =>
      test.call('POST', '/v1/runs/thingy/1/gates/approve/decisions', {
        role: 'approver',
        json: { verdict, ...(opening !== undefined && { opening }) },
      });
    const wakes = test.wakes();

    expect(await decide('approved', 2)).toMatchObject({ status: 409, body: { code: 'gate-closed' } });
    const first = await decide('approved', 1);
    const second = await decide('rejected');

    expect(first).toMatchObject({
      status: 201,
      body: { repeated: false, decision: { verdict: 'approved', by: 'the-approver' } },
    });
    expect(second.body).toEqual({ decision: first.body['decision'], repeated: true });
    expect(test.wakes()).toBe(wakes + 2);
    expect(await test.store.gates.undelivered(10)).toHaveLength(1);
    expect(
      await test.call('POST', '/v1/runs/thingy/1/gates/nothing/decisions', { json: { verdict: 'approved' } }),
    ).toMatchObject({ status: 404, body: { code: 'gate-unknown' } });
  });

  it('makes one decision of ten at the same moment (I4)', async () => {
    const run = await startRun(test.store, test.blobs);
    await openGate(test.store, run);

    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        test.call('POST', '/v1/runs/thingy/1/gates/approve/decisions', {
          role: 'approver',
          json: { verdict: index % 2 === 0 ? 'approved' : 'rejected', opening: 1 },
        }),
      ),
    );

    expect(answers.map((one) => one.status)).toEqual(Array.from({ length: 10 }, () => 201));
    expect(answers.filter((one) => one.body['repeated'] === false)).toHaveLength(1);
    expect(new Set(answers.map((one) => (one.body['decision'] as { id: string }).id)).size).toBe(1);
  });

  it('cancels what runs, and retries what has ended', async () => {
    const run = await startRun(test.store, test.blobs);
    expect(await test.call('POST', '/v1/runs/thingy/1/retry', { role: 'developer', json: {} })).toMatchObject({
      status: 409,
      body: { code: 'run-not-ended' },
    });

    const cancelled = await test.call('POST', '/v1/runs/thingy/1/cancel', { role: 'developer' });
    expect(cancelled).toMatchObject({ status: 202, body: { cancelRequestedBy: 'the-developer' } });
    expect(test.wakes()).toBe(1);
    await runTask(test.store, run, 'test', 'succeeded');
    await test.store.runs.finish(run, { status: 'cancelled', code: undefined, reason: 'by hand' });
    expect(await test.call('POST', '/v1/runs/thingy/1/cancel')).toMatchObject({
      status: 409,
      body: { code: 'run-ended' },
    });

    const again = await test.call('POST', '/v1/runs/thingy/1/retry', { role: 'developer' });
    expect(again).toMatchObject({ status: 202, body: { id: 'thingy/1/2', round: 2, status: 'pending' } });
    expect((await test.call('GET', '/v1/runs/thingy/1')).body).toMatchObject({
      id: 'thingy/1/2',
      tasks: [{ name: 'test', kept: true, status: 'succeeded' }, { kept: false }, { kept: false }],
    });
    expect((await test.call('GET', '/v1/runs/thingy/1?round=1')).body).toMatchObject({
      id: 'thingy/1',
      status: 'cancelled',
    });
  });

  it('retries from a task on, with all that needs it', async () => {
    const run = await startRun(test.store, test.blobs);
    await runTask(test.store, run, 'test', 'succeeded');
    await runTask(test.store, run, 'build', 'succeeded');
    await test.store.runs.finish(run, { status: 'succeeded', code: undefined, reason: undefined });

    expect(await test.call('POST', '/v1/runs/thingy/1/retry', { json: {} })).toMatchObject({ status: 422 });
    expect(await test.call('POST', '/v1/runs/thingy/1/retry', { json: { from: 'nothing' } })).toMatchObject({
      status: 404,
      body: { code: 'task-unknown' },
    });
    await test.call('POST', '/v1/runs/thingy/1/retry', { json: { from: 'build' } });

    expect((await test.store.tasks.list('thingy/1/2' as typeof run)).map((one) => [one.name, one.kept])).toEqual([
      ['test', true],
      ['build', false],
      ['approve', false],
    ]);
  });

  it('starts a run by hand, once per idempotency key', async () => {
    test.git.refs.set('refs/heads/main', shaOf('head')).set('refs/heads/old', shaOf('old'));
    const trigger = (json: unknown, key = 'k'): ReturnType<TestApi['call']> =>
      test.call('POST', '/v1/applications/thingy/runs', {
        role: 'developer',
        json,
        headers: { 'idempotency-key': key },
      });

    expect(await trigger({})).toMatchObject({ status: 202, body: { result: 'accepted', run: 'thingy/1' } });
    expect((await trigger({})).body).toMatchObject({ result: 'duplicate', run: 'thingy/1' });
    expect((await trigger({}, 'another')).body).toMatchObject({ result: 'accepted', run: 'thingy/2' });
    expect((await trigger({ ref: 'old', commit: shaOf('old') }, 'third')).body).toMatchObject({ run: 'thingy/3' });
    expect(await test.store.runs.newest(thingy, 3)).toMatchObject({
      ref: 'refs/heads/old',
      commit: shaOf('old'),
      message: 'Say hello',
    });
    expect(await trigger({ ref: 'nothing' }, '4')).toMatchObject({ status: 422, body: { code: 'commit-missing' } });
    expect(await trigger({ commit: shaOf('unknown') }, '5')).toMatchObject({
      status: 422,
      body: { code: 'commit-missing' },
    });
    expect(await trigger({ ref: '--upload-pack=x y' }, '6')).toMatchObject({
      status: 422,
      body: { code: 'input-invalid' },
    });
  });

  it('shows who runs and who waits, with places', async () => {
    const [first, second] = [await startRun(test.store, test.blobs), await startRun(test.store, test.blobs)];
    await test.store.tasks.begin({ run: first, task: task('test'), attempt: 1 }, 'host-1');
    await openGate(test.store, first);

    const { body } = await test.call('GET', '/v1/queue', { role: 'viewer' });

    expect(body).toMatchObject({
      capacity: 2,
      running: [{ run: first, task: 'test' }],
      waiting: [{ run: second, task: 'test', position: 1 }],
      locks: [],
      gates: [{ run: first, gate: 'approve', environment: 'production' }],
    });
  });
});
