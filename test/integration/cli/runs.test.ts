import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveApi } from '../../../src/api/serve.ts';
import { parseEnvironmentName } from '../../../src/core/model/ids.ts';
import type { RunId } from '../../../src/core/model/ids.ts';
import { shaOf, startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { json, runLoam } from '../../support/cli.ts';
import type { Options, Result } from '../../support/cli.ts';
import { addThingy, openGate, runTask, startRun, task, thingy } from '../../support/doors-runs.ts';
import { waitFor } from '../../support/run-rows.ts';

let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
});

afterEach(async () => {
  await test.destroy();
});

function loam(line: string | readonly string[], options?: Options): Promise<Result> {
  return runLoam(test, line, options);
}

describe('loam runs, show, logs, approve, reject, cancel, retry, trigger', () => {
  let run: RunId;

  beforeEach(async () => {
    await addThingy(test.store);
    run = await startRun(test.store, test.blobs);
  });

  it('lists and shows runs as people read them', async () => {
    await runTask(test.store, run, 'test', 'failed');
    await openGate(test.store, run);

    const listed = await loam('runs');
    const shown = await loam('show thingy');

    expect(listed.out).toMatch(/^thingy\/1 +running +[0-9a-f]{7} +main +\d/);
    expect(shown.out).toMatch(/✘ +test +repo_job +failed +\d\S+ +exit code 3/);
    expect(shown.out).toContain('warning: the plan names no version');
    expect(shown.out).toContain('from     release 3');
    expect(shown.out).toContain('commits  1 and more');
    expect(shown.out).toContain('config   +NEW_KEY -OLD_KEY ~GREETING');
    expect(shown.out).toContain('loam approve thingy/1 approve');
    expect(shown.out).not.toContain('\u001b');
    expect(json(await loam('show thingy/1 --json'))).toMatchObject({ id: 'thingy/1', gates: [{ gate: 'approve' }] });
    expect((await loam('show thingy/1', { hasColors: true })).out).toContain('\u001b[31m');
  });

  it('approves the gate that is open, and shows the first decision to who comes second (I4)', async () => {
    expect(await loam('approve thingy/1')).toMatchObject({
      code: 4,
      err: expect.stringContaining('No gate') as string,
    });
    await openGate(test.store, run);
    expect((await loam('approve thingy/1', { role: 'developer' })).code).toBe(5);

    const approved = await loam(['approve', 'thingy/1', '--comment', 'looked at it'], { role: 'approver' });
    const again = await loam('approve thingy/1 approve');
    const other = await loam('reject thingy/1');

    expect(approved).toMatchObject({ code: 0, out: expect.stringContaining('thingy/1 approve: approved') as string });
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining('already, by the-approver') as string });
    expect(other).toMatchObject({ code: 1, out: expect.stringContaining('The first decision counts') as string });
  });

  it('cancels, and retries', async () => {
    expect((await loam('retry thingy/1')).code).toBe(1);
    expect(await loam('cancel thingy/1')).toMatchObject({
      code: 0,
      out: expect.stringContaining('was asked to end') as string,
    });
    await test.store.runs.finish(run, { status: 'cancelled', code: undefined, reason: 'by hand' });

    expect(await loam('retry thingy/1 --from test')).toMatchObject({
      code: 0,
      out: expect.stringContaining('thingy/1/2 begins') as string,
    });
    expect(json(await loam('show thingy/1/2 --json'))).toMatchObject({ id: 'thingy/1/2', round: 2 });
  });

  it('keeps what a job, a branch, an author or a reason holds of controls away from the terminal', async () => {
    const bad = '\u001b]0;owned\u0007\u009b2J\u202e';
    const key = { run, task: task('test'), attempt: 1 };
    await runTask(test.store, run, 'test', 'failed');
    for (const part of [`\u001b[32mgreen\u001b`, `[0m ${bad}\nok\rbad\n`]) test.logs.add(key, part);
    test.logs.end(key);
    await openGate(test.store, run);
    await test.store.environments.put(thingy, parseEnvironmentName('production'), { config: { GREETING: bad } });
    await test.store.runs.finish(run, { status: 'failed', code: 'internal', reason: `because\n${bad}` });
    const commands = ['logs thingy/1', 'logs thingy/1 test', 'logs thingy/1 -f', 'logs thingy/1 test -f'];
    const lists = [
      'show thingy/1',
      'runs',
      'queue',
      'env show thingy production',
      'app list',
      'app show nothing\u001b[2J',
    ];

    for (const line of [...commands, ...lists]) {
      for (const hasColors of [false, true]) {
        const { out, err } = await loam(line, { hasColors });
        const rest = hasColors ? `${out}${err}`.replaceAll(/\p{Cc}\[\d+m/gu, '') : `${out}${err}`;
        expect(rest, line).not.toMatch(/[^\P{Cc}\n]|\p{Bidi_Control}/u);
        expect(rest.trim(), line).not.toBe('');
        const { out: document } = await loam(`${line} --json`);
        expect(document.replaceAll('\n', ''), line).not.toMatch(/\p{Cc}|\p{Bidi_Control}/u);
      }
    }
    expect((await loam('logs thingy/1 test')).out).toBe('green ␛]0;owned␇�2J�\nok\nbad\n');
    expect((await loam('logs thingy/1 test', { hasColors: true })).out).toContain('\u001b[32mgreen\u001b[0m ␛]');
  });

  it('prints logs, of one task and of all', async () => {
    await runTask(test.store, run, 'test', 'succeeded');
    const key = { run, task: task('test'), attempt: 1 };
    test.logs.add(key, 'one\ntwo\n');
    test.logs.end(key);

    expect(await loam('logs thingy/1 test')).toMatchObject({ code: 0, out: 'one\ntwo\n' });
    expect((await loam('logs thingy/1')).out).toBe('== test #1 succeeded\none\ntwo\n');
    expect(json(await loam('logs thingy/1 test --json'))).toEqual({ task: 'test', attempt: 1, text: 'one\ntwo\n' });
    expect(await loam('logs thingy/1 test -f')).toMatchObject({ code: 0, out: 'one\ntwo\n' });
    expect((await loam('logs thingy/1 nothing')).code).toBe(4);
    expect((await loam('logs thingy/1 --attempt 2')).code).toBe(2);
  });

  it('follows all tasks of a run until its end', async () => {
    let printed = '';
    const following = loam('logs thingy/1 -f', { onWrite: (text) => (printed += text) });
    const key = { run, task: task('test'), attempt: 1 };
    const begun = await test.store.tasks.begin(key, 'host-1');
    test.logs.add(key, 'one\ntw');
    await waitFor('the first line', () => printed.includes('one'));

    test.logs.add(key, 'o\n');
    test.logs.end(key);
    if (begun.type === 'begun')
      await test.store.tasks.finish(key, begun.owner, {
        outcome: { status: 'succeeded' },
        outputs: {},
        log: undefined,
      });
    await runTask(test.store, run, 'build', 'failed');
    test.logs.add({ run, task: task('build'), attempt: 1 }, 'no line end');
    test.logs.end({ run, task: task('build'), attempt: 1 });
    await test.store.runs.finish(run, { status: 'failed', code: undefined, reason: 'red' });

    expect(await following).toMatchObject({ code: 1 });
    expect(printed.split('\n').toSorted()).toEqual([
      '',
      'build        | no line end',
      'test         | one',
      'test         | two',
    ]);
  });

  it('goes on where it was when the API starts anew, without a line twice (I2)', async () => {
    let printed = '';
    const following = loam('logs thingy/1 test -f', { onWrite: (text) => (printed += text) });
    const key = { run, task: task('test'), attempt: 1 };
    const begun = await test.store.tasks.begin(key, 'host-1');
    test.logs.add(key, 'one\n');
    await waitFor('the first line', () => printed.includes('one'));

    await test.server.close(0);
    test.logs.add(key, 'two\n');
    test.logs.end(key);
    if (begun.type === 'begun') {
      const end = { outcome: { status: 'succeeded' as const }, outputs: {}, log: undefined };
      await test.store.tasks.finish(key, begun.owner, end);
    }
    const again = await serveApi(test.api.app, test.server.port, '127.0.0.1');

    expect(await following).toMatchObject({ code: 0, out: 'one\ntwo\n' });
    await again.close(0);
  });

  it('watches runs until Ctrl-C', async () => {
    const stopping = new AbortController();
    let printed = '';
    const watching = loam('runs --watch', { signal: stopping.signal, onWrite: (text) => (printed += text) });
    await waitFor('the run', () => printed.includes('thingy/1'));
    await test.store.runs.finish(run, { status: 'failed', code: undefined, reason: 'red' });
    await waitFor('its end', () => printed.includes('failed'));

    stopping.abort();

    expect(await watching).toMatchObject({ code: 130 });
    expect(printed).toMatch(/^thingy\/1 +running .*\nthingy\/1 +failed .*red\n$/);
  });

  it('triggers a run, and waits for it', async () => {
    test.git.refs.set('refs/heads/main', shaOf('head'));
    expect(await loam('trigger thingy')).toMatchObject({
      code: 0,
      out: expect.stringContaining('accepted: thingy/2') as string,
    });
    let printed = '';
    const waiting = loam('trigger thingy --ref main --wait', { onWrite: (text) => (printed += text) });
    await waitFor('the run', () => printed.includes('accepted'));

    await test.store.runs.finish('thingy/3' as RunId, { status: 'failed', code: undefined, reason: 'red' });

    expect(await waiting).toMatchObject({
      code: 1,
      out: expect.stringContaining('run thingy/3 failed: red') as string,
    });
    expect(await loam('trigger thingy --commit abc')).toMatchObject({ code: 2 });
    expect(await loam('trigger thingy --ref nothing')).toMatchObject({
      code: 1,
      err: expect.stringContaining('Push the commit first') as string,
    });
  });

  it('shows the queue', async () => {
    expect((await loam('queue')).out).toBe(
      '0 of 2 places taken, 1 waiting\nplace 1  thingy/1 test  waits for a free place\n',
    );
  });
});
