import { describe, expect, it } from 'vitest';
import type { TaskName } from '../../../src/core/model/ids.ts';
import type { TaskOutcome } from '../../../src/core/model/status.ts';
import { at, createState, viewTasks } from '../../../src/core/scheduler/state.ts';
import { makeApproval, makeDeploy, makeGraph, makeJob, makeNewcomerGraph } from '../../support/graphs.ts';
import { Play, cancelled, failed, finished, reasons, started } from './play.ts';

describe('starting', () => {
  it('starts what needs nothing, in the order of the graph', () => {
    const play = new Play(makeGraph([makeJob('b'), makeJob('a'), makeJob('c', ['a'])]));

    const commands = play.start();

    expect(commands).toEqual([
      { type: 'start-task', task: 'b', attempt: 1 },
      { type: 'start-task', task: 'a', attempt: 1 },
    ]);
  });

  it('starts a task when the last of its needs has succeeded', () => {
    const play = new Play(makeGraph([makeJob('a'), makeJob('b'), makeJob('c', ['a', 'b'])]));
    play.start();

    expect(started(play.finish('b'))).toEqual([]);
    expect(started(play.finish('a'))).toEqual(['c#1']);
    expect(finished(play.finish('c'))).toEqual({ status: 'succeeded' });
  });

  it('records nothing on the straight path', () => {
    const play = new Play(makeGraph([makeJob('a'), makeJob('b', ['a'])]));

    const commands = [...play.start(), ...play.finish('a'), ...play.finish('b')];

    expect(commands.map(({ type }) => type)).toEqual(['start-task', 'start-task', 'finish']);
  });

  it('runs at most 50 tasks at once and goes on in order', () => {
    const play = new Play(makeGraph(Array.from({ length: 60 }, (_, number) => makeJob(`t${number}`))));

    expect(started(play.start())).toHaveLength(50);
    expect(started(play.finish('t7'))).toEqual(['t50#1']);
  });

  it('frees the place of a task that waits for a lock or a person', () => {
    const gates = Array.from({ length: 50 }, (_, number) => makeApproval(`g${number}`));
    const play = new Play(makeGraph([...gates, makeJob('a')]));
    play.start();

    expect(started(play.event('task-paused', 'g3'))).toEqual(['a#1']);
  });

  it('ends an empty graph at once', () => {
    expect(finished(new Play(makeGraph([])).start())).toEqual({ status: 'succeeded' });
  });

  it('starts nothing twice when it is told twice', () => {
    const play = new Play(makeGraph([makeJob('a')]));
    play.start();

    expect(play.start()).toEqual([]);
    expect(play.event('task-granted', 'a')).toEqual([]);
    expect(started(play.finish('a', undefined, { attempt: 2 }))).toEqual([]);
    expect(play.statuses()).toEqual({ a: 'running' });
  });

  it('answers nothing any more when the run has ended', () => {
    const play = new Play(makeGraph([makeJob('a')]));
    play.start();
    play.finish('a');

    expect(play.send({ type: 'cancel-requested' })).toEqual([]);
    expect(play.state.status).toBe('succeeded');
  });

  it('takes a task that it does not know as a bug', () => {
    const play = new Play(makeGraph([makeJob('a')]));

    expect(() => play.finish('nobody')).toThrow('the graph has no task "nobody"');
    expect(() => createState(makeGraph([makeJob('a', ['b'])]), [])).toThrow('no task "b"');
    expect(() => at([], 0)).toThrow('no item at 0 of 0');
  });
});

describe('seeds of an earlier round', () => {
  it('counts kept tasks as done and goes on with the numbers of attempts', () => {
    const play = new Play(makeGraph([makeJob('a'), makeJob('b', ['a']), makeJob('c', ['b'])]), [
      { task: 'a' as TaskName, succeeded: true, attempts: 1 },
      { task: 'b' as TaskName, succeeded: false, attempts: 2 },
    ]);

    expect(started(play.start())).toEqual(['b#3']);
    expect(started(play.finish('b', undefined, { attempt: 3 }))).toEqual(['c#1']);
    expect(viewTasks(play.state)[0]).toEqual({ task: 'a', status: 'succeeded', attempt: 1 });
  });

  it('gives a new round all of its attempts', () => {
    const graph = makeGraph([makeJob('a', [], { maxAttempts: 2 })]);
    const play = new Play(graph, [{ task: 'a' as TaskName, succeeded: false, attempts: 5 }]);
    play.start();

    expect(started(play.finish('a', failed, { attempt: 6 }))).toEqual(['a#7']);
    expect(finished(play.finish('a', failed, { attempt: 7 }))?.status).toBe('failed');
  });

  it('ends at once when everything was kept', () => {
    const play = new Play(makeGraph([makeJob('a')]), [{ task: 'a' as TaskName, succeeded: true, attempts: 1 }]);

    expect(finished(play.start())).toEqual({ status: 'succeeded' });
  });

  it('holds no lock for a deploy that was kept', () => {
    const graph = makeGraph([makeDeploy('d', [], { readers: ['smoke'] }), makeJob('smoke', ['d'])]);
    const play = new Play(graph, [{ task: 'd' as TaskName, succeeded: true, attempts: 1 }]);
    play.start();

    expect(play.finish('smoke').map(({ type }) => type)).toEqual(['finish']);
  });
});

describe('failures', () => {
  const graph = [makeJob('a'), makeJob('b'), makeJob('c', ['a']), makeJob('d', ['c']), makeJob('e', ['b'])];

  it('fail-fast cancels what runs and skips the rest', () => {
    const play = new Play(makeGraph(graph));
    play.start();

    const commands = play.finish('a', failed);

    expect(reasons(commands)).toEqual({
      c: 'skipped: it needs "a", which failed',
      d: 'skipped: it needs "c", which was skipped',
      e: 'skipped: not started, since "a" failed',
    });
    expect(commands).toContainEqual({ type: 'cancel-task', task: 'b', attempt: 1 });
    const last = play.finish('b', cancelled);
    expect(reasons(last)).toEqual({ b: 'cancelled: cancelled, since "a" failed' });
    expect(finished(last)).toEqual({ status: 'failed', reason: '"a" failed: exit code 1' });
  });

  it('continue skips only what needs the failed task', () => {
    const play = new Play(makeGraph(graph, 'continue'));
    play.start();

    expect(reasons(play.finish('a', failed))).toEqual({
      c: 'skipped: it needs "a", which failed',
      d: 'skipped: it needs "c", which was skipped',
    });
    expect(started(play.finish('b'))).toEqual(['e#1']);
    expect(finished(play.finish('e'))).toMatchObject({ status: 'failed' });
  });

  it('skips a task of two failed needs once', () => {
    const play = new Play(
      makeGraph([makeJob('a'), makeJob('b', ['a']), makeJob('c', ['a', 'b']), makeJob('z')], 'continue'),
    );
    play.start();

    const commands = play.finish('a', failed);

    expect(commands.filter(({ type }) => type === 'record')).toHaveLength(2);
  });

  it('records what no activity has written, with its code', () => {
    const play = new Play(makeGraph([makeJob('a')]));
    play.start();

    const outcome: TaskOutcome = { status: 'failed', code: 'host-lost', reason: 'the host is gone' };
    const commands = play.finish('a', outcome, { written: false });

    expect(commands).toEqual([
      {
        type: 'record',
        record: { task: 'a', attempt: 1, seq: 19, status: 'failed', code: 'host-lost', reason: 'the host is gone' },
      },
      { type: 'finish', end: { status: 'failed', code: 'host-lost', reason: '"a" failed: the host is gone' } },
    ]);
  });

  it('names the first failure, and a failure before a cancellation', () => {
    const play = new Play(makeGraph([makeJob('a'), makeJob('b'), makeJob('c')], 'continue'));
    play.start();
    play.finish('a', { status: 'cancelled', reason: 'superseded' });
    play.finish('b', { status: 'failed' });

    expect(finished(play.finish('c', failed))).toEqual({ status: 'failed', reason: '"b" failed' });
  });

  it('ends as cancelled when a task was cancelled from outside', () => {
    const play = new Play(makeGraph([makeDeploy('d'), makeJob('x', ['d'])]));
    play.start();
    play.wait('d', 'waits for thingy/3');

    const commands = play.finish('d', { status: 'cancelled', reason: 'thingy/4 took its place' }, { written: false });

    expect(reasons(commands)).toMatchObject({ x: 'skipped: it needs "d", which was cancelled' });
    expect(commands).toContainEqual({ type: 'release-lock', task: 'd', attempt: 1 });
    expect(finished(commands)).toEqual({ status: 'cancelled', reason: '"d" was cancelled: thingy/4 took its place' });
  });
});

it('walks the plan of a newcomer', () => {
  const play = new Play(makeNewcomerGraph());
  play.start();
  for (const task of ['test', 'build', 'template', 'staging']) play.finish(task);

  expect(play.finish('smoke')).toEqual([
    { type: 'release-lock', task: 'staging', attempt: 1 },
    { type: 'start-task', task: 'approve', attempt: 1 },
  ]);
  play.event('task-paused', 'approve');
  expect(play.state.status).toBe('paused');
  expect(started(play.finish('approve', undefined, { written: false }))).toEqual(['production#1']);
  expect(play.finish('production')).toEqual([
    { type: 'release-lock', task: 'production', attempt: 1 },
    { type: 'finish', end: { status: 'succeeded' } },
  ]);
});
