import { describe, expect, it } from 'vitest';
import type { GateView, RunView, TaskView } from '../../../src/api/schema.ts';
import { LineWriter } from '../../../src/cli/line-writer.ts';
import { createProgress } from '../../../src/cli/progress.ts';
import { ago, createPaint, duration, oneLine, shortRef, table, took } from '../../../src/cli/text.ts';

describe('text of the command line', () => {
  it.each([
    [400, '0.4s'],
    [-5, '0.0s'],
    [59_999, '59s'],
    [185_000, '3m 05s'],
    [7_800_000, '2h 10m'],
    [273_600_000, '3d 4h'],
  ])('%i ms is %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  it('tells times', () => {
    const now = Date.parse('2026-01-01T00:01:00Z');

    expect(took(null, null, now)).toBe('');
    expect(took('2026-01-01T00:00:30Z', null, now)).toBe('30s');
    expect(took('2026-01-01T00:00:00Z', '2026-01-01T00:00:05Z', now)).toBe('5.0s');
    expect(ago('2026-01-01T00:00:00Z', now)).toBe('1m 00s ago');
  });

  it('keeps foreign text in one line, and its escapes away from the terminal', () => {
    expect(oneLine('a\u001b[2Jb\nc\u2028d\u202e')).toBe('a [2Jb c d ');
    expect(oneLine('x'.repeat(200), 10)).toBe(`${'x'.repeat(9)}…`);
  });

  it('draws tables without space at the end, and paints only when asked', () => {
    expect(
      table([
        ['a', 'bb'],
        ['ccc', ''],
      ]),
    ).toBe('a    bb\nccc\n');
    expect(createPaint(false)('red', 'x')).toBe('x');
    expect(createPaint(true)('red', 'x')).toBe('\u001b[31mx\u001b[0m');
    expect(shortRef('refs/heads/a/b')).toBe('a/b');
  });

  it('writes whole lines with a prefix, and anything without', () => {
    const lines: string[] = [];
    const writer = new LineWriter((text) => lines.push(text), 'a | ');
    for (const part of ['on', 'e\ntwo', '\nthr', 'ee']) writer.add(part);
    writer.end();
    writer.end();

    expect(lines).toEqual(['a | one\n', 'a | two\n', 'a | three\n']);
    const plain: string[] = [];
    const passing = new LineWriter((text) => plain.push(text), '');
    passing.add('half');
    passing.end();
    expect(plain).toEqual(['half']);
  });
});

describe('progress of a run', () => {
  const task: TaskView = {
    name: 'test',
    type: 'repo_job',
    status: 'running',
    attempt: 1,
    kept: false,
    code: null,
    reason: null,
    startedAt: null,
    finishedAt: null,
  };
  const run: RunView = {
    id: 'thingy/1',
    application: 'thingy',
    number: 1,
    round: 1,
    status: 'running',
    code: null,
    reason: null,
    commit: 'a',
    ref: 'b',
    message: '',
    author: '',
    createdAt: '',
    startedAt: null,
    finishedAt: null,
    cancelRequestedBy: null,
    url: '',
    temporalUrl: null,
  };

  it('tells each change once, and nothing of what is kept, pending or skipped', () => {
    const progress = createProgress(() => []);
    const tell = (change: Partial<TaskView>): readonly string[] =>
      progress.tell({ type: 'task', task: { ...task, ...change } });

    expect(tell({ status: 'pending' })).toEqual([]);
    expect(tell({})).toEqual(['test           running']);
    expect(tell({})).toEqual([]);
    expect(
      tell({
        status: 'failed',
        reason: 'exit code 3',
        startedAt: '2026-01-01T00:00:00Z',
        finishedAt: '2026-01-01T00:00:01Z',
      }),
    ).toEqual(['test           failed in 1.0s: exit code 3']);
    expect(tell({ attempt: 2 })).toEqual(['test           running (attempt 2)']);
    expect(tell({ name: 'old', kept: true, status: 'succeeded' })).toEqual([]);
    expect(tell({ name: 'late', status: 'skipped' })).toEqual([]);
    expect(tell({ name: 'ask', type: 'approval', status: 'paused' })).toEqual([]);
    expect(tell({ name: 'prod', status: 'waiting', reason: 'place 1' })).toEqual(['prod           waiting: place 1']);
    expect(tell({ name: 'prod', status: 'waiting', reason: 'place 1' })).toEqual([]);
  });

  it('ends with the run, or when it waits for a person', () => {
    const waiting = createProgress(() => []);
    waiting.tell({ type: 'run', run });
    expect(waiting.end()).toBeUndefined();
    waiting.tell({ type: 'run', run: { ...run, status: 'paused' } });
    expect(waiting.end()).toBe('paused');

    const ended = createProgress(() => []);
    expect(ended.tell({ type: 'end', run: { ...run, status: 'failed', reason: 'red\u001b[2J' } })).toEqual([
      'run thingy/1 failed: red [2J',
    ]);
    expect(ended.end()).toBe('failed');
  });

  it('says where a failed task tells more, not of one that went well when it was tried again', () => {
    const progress = createProgress(() => []);
    const startedAt = '2026-01-01T00:00:00Z';
    for (const change of [
      { name: 'test', status: 'failed' },
      { name: 'test', status: 'succeeded', attempt: 2 },
      { name: 'ask', type: 'approval', status: 'failed' },
      { name: 'build', status: 'failed' },
    ] as const)
      progress.tell({ type: 'task', task: { ...task, startedAt, ...change } });

    const lines = progress.tell({ type: 'end', run: { ...run, status: 'failed', reason: 'red' } });

    expect(lines).toEqual(['run thingy/1 failed: red', '  look     loam logs thingy/1 build']);
  });

  it('ends with a line for each error of a plan, and says where it has cut one', () => {
    const progress = createProgress(() => []);
    const reason = `3:1: first\n4:1: ${'x'.repeat(400)}`;

    const lines = progress.tell({ type: 'end', run: { ...run, status: 'failed', reason } });

    expect(lines).toEqual(['run thingy/1 failed:', '  3:1: first', `  4:1: ${'x'.repeat(294)}…`]);
  });

  it('tells of a gate when it opens and how it was decided', () => {
    const gate = { gate: 'approve', opening: 1, status: 'open', decision: null } as unknown as GateView;
    const progress = createProgress((one) => [`look at ${one.gate}`]);

    expect(progress.tell({ type: 'gate', gate })).toEqual(['look at approve']);
    expect(progress.tell({ type: 'gate', gate })).toEqual([]);
    const decision = { verdict: 'approved', by: 'ann' } as GateView['decision'];
    expect(progress.tell({ type: 'gate', gate: { ...gate, status: 'decided', decision } })).toEqual([
      'gate approve approved by ann',
    ]);
    expect(progress.tell({ type: 'gate', gate: { ...gate, opening: 2, status: 'expired' } })).toEqual([
      'gate approve expired',
    ]);
  });
});
