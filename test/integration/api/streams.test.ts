import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunId } from '../../../src/core/model/ids.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { addThingy, openGate, runTask, startRun, task } from '../../support/doors-runs.ts';
import { waitFor } from '../../support/run-rows.ts';

let test: TestApi;
let run: RunId;

beforeEach(async () => {
  test = await startTestApi();
  await addThingy(test.store);
  run = await startRun(test.store, test.blobs);
});

afterEach(async () => {
  await test.destroy();
});

interface Stream {
  readonly events: { readonly id: string | undefined; readonly type: string; readonly data: Record<string, unknown> }[];
  readonly ended: Promise<void>;
  stop(): void;
}

/** Reads events as they come. */
async function listen(route: string, headers: Record<string, string> = {}): Promise<Stream> {
  const stopping = new AbortController();
  const response = await fetch(`${test.server.url}${route}`, {
    signal: stopping.signal,
    headers: { authorization: `Bearer ${test.token('viewer')}`, accept: 'text/event-stream', ...headers },
  });
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const events: Stream['events'] = [];
  async function read(): Promise<void> {
    let rest = '';
    const body: AsyncIterable<Uint8Array> | null = response.body;
    for await (const chunk of body ?? []) {
      const parts = `${rest}${new TextDecoder().decode(chunk)}`.split('\n\n');
      rest = parts.pop() ?? '';
      for (const part of parts.filter((one) => !one.startsWith(':'))) {
        const fields = new Map(
          part.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
        );
        events.push({
          id: fields.get('id'),
          type: fields.get('event') ?? '',
          data: JSON.parse(fields.get('data') ?? '{}') as Record<string, unknown>,
        });
      }
    }
  }
  return { events, ended: read().catch(() => undefined), stop: () => stopping.abort() };
}

describe('events of a run', () => {
  it('tells how it is, then each change, and ends with it', async () => {
    const stream = await listen('/v1/runs/thingy/1/events');
    await waitFor('the state', () => stream.events.some((one) => one.type === 'run'));
    expect(stream.events.filter((one) => one.type === 'task')).toHaveLength(3);

    await runTask(test.store, run, 'test', 'failed');
    await waitFor('the failed task', () =>
      stream.events.some((one) => (one.data['task'] as { status?: string } | undefined)?.status === 'failed'),
    );
    await openGate(test.store, run);
    await waitFor('the gate', () => stream.events.some((one) => one.type === 'gate'));
    await test.store.runs.finish(run, { status: 'failed', code: undefined, reason: 'red' });
    await stream.ended;

    expect(stream.events.at(-1)).toMatchObject({ type: 'end', data: { run: { status: 'failed', reason: 'red' } } });
    expect(stream.events.filter((one) => one.type === 'gate').at(-1)).toMatchObject({
      data: { gate: { status: 'cancelled' } },
    });
  });

  it('tells of a gate before it tells that the run waits', async () => {
    await openGate(test.store, run);
    await test.store.runs.setStatus(run, 'paused', 5);

    const stream = await listen('/v1/runs/thingy/1/events');
    await waitFor('the pause', () => stream.events.some((one) => one.type === 'run'));
    stream.stop();

    expect(stream.events.map((one) => one.type)).toEqual(['task', 'task', 'task', 'gate', 'run']);
  });

  it('tells of changes among all runs', async () => {
    const stream = await listen('/v1/events?application=thingy');
    await waitFor('the run', () => stream.events.length > 0);

    await test.store.runs.finish(run, { status: 'succeeded', code: undefined, reason: undefined });

    await waitFor('its end', () =>
      stream.events.some((one) => (one.data['run'] as { status?: string }).status === 'succeeded'),
    );
    stream.stop();
  });

  it('ends when the server closes', async () => {
    const stream = await listen('/v1/runs/thingy/1/events');

    test.api.close();

    await stream.ended;
  });
});

describe('logs', () => {
  const key = (): { run: RunId; task: ReturnType<typeof task>; attempt: number } => ({
    run,
    task: task('test'),
    attempt: 1,
  });
  const route = '/v1/runs/thingy/1/tasks/test/log';

  it('gives text from an offset on', async () => {
    await runTask(test.store, run, 'test', 'succeeded');
    test.logs.add(key(), 'one\ntwo\n');
    test.logs.end(key());

    const all = await test.call('GET', route, { role: 'viewer' });
    const rest = await test.call('GET', `${route}?offset=4`);

    expect([all.text, rest.text]).toEqual(['one\ntwo\n', 'two\n']);
    expect(all.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(all.headers.get('x-loam-next-offset')).toBe('8');
    expect(all.headers.get('x-loam-ended')).toBe('true');
    expect(await test.call('GET', '/v1/runs/thingy/1/tasks/nothing/log')).toMatchObject({
      status: 404,
      body: { code: 'task-unknown' },
    });
    expect((await test.call('GET', '/v1/runs/thingy/1/tasks/build/log')).text).toBe('');
  });

  it('tails from before the first byte to the end, with whole characters and offsets to come back to (I2)', async () => {
    const stream = await listen(route);
    await test.store.tasks.begin(key(), 'host-1');
    test.logs.add(key(), Buffer.concat([Buffer.from('first\n'), Buffer.from('ä').subarray(0, 1)]));
    await waitFor('the first line', () => stream.events.length > 0);
    test.logs.add(key(), Buffer.from('ä').subarray(1));
    await waitFor('the rest', () => stream.events.length > 1);
    test.logs.add(key(), 'last\u2028\r\n');
    test.logs.end(key());
    await stream.ended;

    const texts = stream.events.filter((one) => one.type === 'log');
    expect(texts.map((one) => one.data['text']).join('')).toBe('first\nälast\u2028\r\n');
    expect(texts.map((one) => one.id).slice(0, 2)).toEqual(['6', '8']);
    expect(stream.events.at(-1)?.type).toBe('end');

    const back = await listen(route, { 'last-event-id': '6' });
    await back.ended;
    expect(back.events[0]?.data['text']).toBe('älast\u2028\r\n');
  });

  it('ends without a log when the run ends without the task', async () => {
    const stream = await listen('/v1/runs/thingy/1/tasks/build/log');

    await test.store.runs.finish(run, { status: 'failed', code: undefined, reason: 'red' });

    await stream.ended;
    expect(stream.events.map((one) => one.type)).toEqual(['end']);
  });

  it('ends when a run ended long ago and nobody ended its log', async () => {
    await test.store.tasks.begin(key(), 'host-1');
    test.logs.add(key(), 'left behind\n');
    await test.store.runs.finish(run, { status: 'failed', code: undefined, reason: 'lost' });

    const stream = await listen(route);
    await stream.ended;

    expect(stream.events.map((one) => one.type)).toEqual(['log', 'end']);
  });

  it('keeps its memory while a reader does not read', async () => {
    await test.store.tasks.begin(key(), 'host-1');
    test.logs.add(key(), Buffer.alloc(64 * 1_048_576, 'x'));
    const before = process.memoryUsage().rss;
    const response = await fetch(`${test.server.url}${route}`, {
      headers: { authorization: `Bearer ${test.token('viewer')}`, accept: 'text/event-stream' },
    });
    const reader = response.body?.getReader();
    await reader?.read();

    // Answers to others come while the slow reader holds its stream.
    for (let count = 0; count < 50; count += 1) expect((await test.call('GET', '/healthz')).status).toBe(200);

    expect(process.memoryUsage().rss - before).toBeLessThan(40 * 1_048_576);
    await reader?.cancel();
  });
});
