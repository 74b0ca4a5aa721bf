import { describe, expect, it } from 'vitest';

import { makeApproval, makeDeploy, makeGraph, makeJob } from '../../support/graphs.ts';
import { Play, cancelled, failed, finished, reasons, started } from './play.ts';

describe('retries', () => {
  it('waits before the next attempt', () => {
    const play = new Play(makeGraph([makeJob('a', [], { maxAttempts: 3, retryDelayMs: 5000 })]));
    play.start();

    const commands = play.finish('a', failed);

    expect(commands).toEqual([
      { type: 'record', record: expect.objectContaining({ seq: 16, status: 'pending' }) as unknown },
      { type: 'schedule-retry', task: 'a', attempt: 1, delayMs: 5000 },
    ]);
    expect(reasons(commands)).toEqual({ a: 'pending: attempt 1 failed: exit code 1; the next one follows in 5 s' });
    expect(started(play.event('retry-due', 'a'))).toEqual(['a#2']);
    expect(finished(play.finish('a', undefined, { attempt: 2 }))).toEqual({ status: 'succeeded' });
  });

  it('gives up after the last attempt', () => {
    const play = new Play(makeGraph([makeJob('a', [], { maxAttempts: 2 })]));
    play.start();

    expect(started(play.finish('a', failed))).toEqual(['a#2']);
    expect(finished(play.finish('a', failed, { attempt: 2 }))).toMatchObject({ status: 'failed' });
  });

  it('does not try again what was cancelled or rejected by a person', () => {
    const play = new Play(
      makeGraph([makeApproval('g', [], { maxAttempts: 3 }), makeJob('a', [], { maxAttempts: 3 })], 'continue'),
    );
    play.start();
    play.event('task-paused', 'g');
    play.finish('g', { status: 'failed', code: 'rejected', reason: 'rejected by ada' }, { written: false });
    play.finish('a', cancelled);

    expect(play.statuses()).toEqual({ g: 'failed', a: 'cancelled' });
  });

  it('releases the lock of each failed attempt', () => {
    const play = new Play(makeGraph([makeDeploy('d', [], { maxAttempts: 2 })]));
    play.start();

    expect(play.finish('d', failed)).toEqual([
      { type: 'release-lock', task: 'd', attempt: 1 },
      { type: 'start-task', task: 'd', attempt: 2 },
    ]);
    expect(play.finish('d', undefined, { attempt: 2 })[0]).toEqual({ type: 'release-lock', task: 'd', attempt: 2 });
  });

  it('fail-fast gives up a task that would be tried again', () => {
    const tasks = [makeJob('a', [], { maxAttempts: 2, retryDelayMs: 1 }), makeJob('b')];
    const play = new Play(makeGraph(tasks));
    play.start();
    play.finish('a', failed);

    const commands = play.finish('b', failed);

    expect(commands[0]).toEqual({ type: 'cancel-task', task: 'a', attempt: 1 });
    expect(reasons(commands)).toEqual({ a: 'failed: not tried again, since "b" failed' });
    expect(finished(commands)).toMatchObject({ status: 'failed', reason: '"b" failed: exit code 1' });
    expect(play.event('retry-due', 'a')).toEqual([]);
  });
});

describe('locks', () => {
  const graph = makeGraph(
    [makeDeploy('d', [], { readers: ['s1', 's2'] }), makeJob('s1', ['d']), makeJob('s2', ['d']), makeJob('x', ['d'])],
    'continue',
  );

  it('holds the lock until the last reader has ended, however it ends', () => {
    const play = new Play(graph);
    play.start();

    expect(play.finish('d').some(({ type }) => type === 'release-lock')).toBe(false);
    expect(play.finish('s1', failed)).toEqual([]);
    expect(play.finish('s2')).toEqual([{ type: 'release-lock', task: 'd', attempt: 1 }]);
  });

  it('releases at once without readers, before what follows starts', () => {
    const play = new Play(makeGraph([makeDeploy('d'), makeJob('x', ['d'])]));
    play.start();

    expect(play.finish('d').map(({ type }) => type)).toEqual(['release-lock', 'start-task']);
  });

  it('releases when the deploy fails', () => {
    const play = new Play(graph);
    play.start();

    const commands = play.finish('d', failed);

    expect(commands[0]).toEqual({ type: 'release-lock', task: 'd', attempt: 1 });
    expect(commands.filter(({ type }) => type === 'release-lock')).toHaveLength(1);
  });

  it('says who waits and for whom, once', () => {
    const play = new Play(makeGraph([makeDeploy('d')]));
    play.start();

    expect(reasons(play.wait('d', 'behind thingy/1'))).toEqual({ d: 'waiting: behind thingy/1' });
    expect(play.wait('d', 'behind thingy/1')).toEqual([]);
    expect(play.statuses()).toEqual({ d: 'waiting' });
    play.event('task-granted', 'd');
    expect(play.statuses()).toEqual({ d: 'running' });
  });
});

describe('gates', () => {
  it('is paused while all that is left waits for a person', () => {
    const play = new Play(makeGraph([makeApproval('g'), makeJob('a'), makeJob('b', ['g'])]));
    play.start();

    expect(play.event('task-paused', 'g').map(({ type }) => type)).toEqual(['record']);
    expect(play.finish('a')).toEqual([{ type: 'record-status', status: 'paused', seq: 1 }]);
    const commands = play.finish('g', { status: 'succeeded' }, { written: false });
    expect(commands).toEqual([
      { type: 'record', record: { task: 'g', attempt: 1, seq: 19, status: 'succeeded' } },
      { type: 'start-task', task: 'b', attempt: 1 },
      { type: 'record-status', status: 'running', seq: 2 },
    ]);
  });
});

describe('cancelling', () => {
  it('cancels what runs, waits and is to come', () => {
    const tasks = [
      makeJob('a'),
      makeDeploy('d', [], { readers: ['s'] }),
      makeApproval('g'),
      makeJob('r', [], { maxAttempts: 2, retryDelayMs: 1 }),
      makeJob('s', ['d']),
    ];
    const play = new Play(makeGraph(tasks));
    play.start();
    play.wait('d', 'behind thingy/1');
    play.event('task-paused', 'g');
    play.finish('r', failed);

    const commands = play.send({ type: 'cancel-requested' });

    expect(commands.flatMap((command) => (command.type === 'cancel-task' ? [command.task] : []))).toEqual([
      'a',
      'd',
      'g',
      'r',
    ]);
    expect(reasons(commands)).toEqual({ r: 'cancelled: the run was cancelled', s: 'cancelled: the run was cancelled' });
    play.finish('g', cancelled);
    play.finish('d', cancelled);
    expect(finished(play.finish('a', cancelled))).toEqual({ status: 'cancelled', reason: 'the run was cancelled' });
  });

  it('ends a run that has not begun', () => {
    const play = new Play(makeGraph([makeJob('a')]));

    expect(finished(play.send({ type: 'cancel-requested' }))?.status).toBe('cancelled');
  });

  it('releases the lock when the readers of a live deploy are cancelled', () => {
    const play = new Play(makeGraph([makeDeploy('d', [], { readers: ['s'] }), makeJob('s', ['d'])]));
    play.start();
    play.finish('d');
    play.send({ type: 'cancel-requested' });

    expect(play.finish('s', cancelled)).toContainEqual({ type: 'release-lock', task: 'd', attempt: 1 });
  });

  it('believes a task that ended well in spite of it', () => {
    const play = new Play(makeGraph([makeJob('a')]));
    play.start();
    play.send({ type: 'cancel-requested' });

    expect(finished(play.finish('a'))).toEqual({ status: 'succeeded' });
  });

  it('starts nothing again after it', () => {
    const play = new Play(makeGraph([makeJob('a', [], { maxAttempts: 5 })]));
    play.start();
    play.send({ type: 'cancel-requested' });
    play.send({ type: 'cancel-requested' });

    expect(finished(play.finish('a', failed))).toMatchObject({ status: 'failed' });
  });

  it('keeps the first cause when a failing run is cancelled', () => {
    const play = new Play(makeGraph([makeJob('a'), makeJob('b')]));
    play.start();
    play.finish('a', failed);

    expect(play.send({ type: 'cancel-requested' })).toEqual([]);
    expect(finished(play.finish('b', cancelled))?.status).toBe('failed');
  });
});

describe('a deploy whose trust was withdrawn', () => {
  it('gives back the lock, waits for a person, and tries again without using up an attempt', () => {
    const play = new Play(makeGraph([makeDeploy('d')]));
    play.start();

    expect(play.park('d', 'revoked')).toEqual([
      { type: 'release-lock', task: 'd', attempt: 1 },
      { type: 'record', record: { task: 'd', attempt: 1, seq: 16, status: 'paused', reason: 'revoked' } },
      { type: 'record-status', status: 'paused', seq: 1 },
    ]);
    expect(started(play.event('task-reconnected', 'd'))).toEqual(['d#2']);
    expect(play.park('d', 'revoked again', 2)[0]).toEqual({ type: 'release-lock', task: 'd', attempt: 2 });
    expect(started(play.event('task-reconnected', 'd', 2))).toEqual(['d#3']);
    expect(finished(play.finish('d', failed, { attempt: 3 }))).toMatchObject({ status: 'failed' });
  });

  it('is cancelled with its run', () => {
    const play = new Play(makeGraph([makeDeploy('d')]));
    play.start();
    play.park('d', 'revoked');

    expect(play.send({ type: 'cancel-requested' })[0]).toEqual({ type: 'cancel-task', task: 'd', attempt: 1 });
    expect(finished(play.finish('d', cancelled, { written: false }))).toMatchObject({ status: 'cancelled' });
  });
});
