import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refuseEmptySecrets } from '../../../src/api/receive.ts';
import { parseApplicationName } from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import { shaOf, sign, startTestApi } from '../../support/api.ts';
import type { Answer, TestApi } from '../../support/api.ts';

const secret = 'a secret of the forge, long enough';
const thingy = parseApplicationName('thingy');
let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
  await test.store.applications.add(
    {
      name: thingy,
      repositoryUrl: 'https://git.example/thingy.git',
      local: false,
      branches: ['main', 'release/*'],
      trigger: 'trigger-1',
    },
    new Secret(secret),
  );
});

afterEach(async () => {
  await test.destroy();
});

function makeBody(change: Record<string, unknown> = {}): string {
  return JSON.stringify({
    repository: 'https://git.example/thingy.git',
    ref: 'refs/heads/main',
    before: shaOf('older'),
    after: shaOf('newer'),
    pushed_at: '2026-01-02T03:04:05Z',
    message: 'Say hello\n\nand more',
    author: 'Ann',
    ...change,
  });
}

interface Sent {
  readonly body?: string;
  readonly delivery?: string;
  readonly signature?: string;
  readonly trigger?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function send({
  body = makeBody(),
  delivery = randomUUID(),
  signature,
  trigger = 'trigger-1',
  headers = {},
}: Sent = {}): Promise<Answer> {
  return test.call('POST', `/v1/triggers/${trigger}`, {
    role: 'nobody',
    body,
    headers: {
      'content-type': 'application/json',
      'x-loam-delivery': delivery,
      'x-hub-signature-256': signature ?? sign(secret, body),
      ...headers,
    },
  });
}

function countRuns(): Promise<number> {
  return test.store.runs.list({ application: thingy, limit: 100 }).then((rows) => rows.length);
}

describe('POST /v1/triggers/{trigger}', () => {
  it('takes a signed delivery and answers with the run (I1)', async () => {
    const answer = await send();

    expect(answer.status).toBe(202);
    expect(answer.body).toEqual({
      result: 'accepted',
      delivery: expect.any(String) as string,
      application: 'thingy',
      run: 'thingy/1',
      url: `${test.server.url}/v1/runs/thingy/1`,
      temporalUrl: 'http://127.0.0.1:8233/namespaces/loam/workflows/run%2Fthingy%2F1',
      reason: null,
    });
    expect(test.wakes()).toBe(1);
    const [row] = await test.store.runs.list({ application: thingy, limit: 1 });
    expect(row).toMatchObject({
      commit: shaOf('newer'),
      ref: 'refs/heads/main',
      message: 'Say hello',
      author: 'Ann',
      status: 'pending',
    });
  });

  it('makes one run of five redeliveries in a row (I1)', async () => {
    const delivery = randomUUID();

    const answers = [];
    for (let time = 0; time < 5; time += 1) answers.push(await send({ delivery }));

    expect(answers.map((one) => one.body['result'])).toEqual([
      'accepted',
      'duplicate',
      'duplicate',
      'duplicate',
      'duplicate',
    ]);
    expect(answers.every((one) => one.body['run'] === 'thingy/1')).toBe(true);
    expect(await countRuns()).toBe(1);
  });

  it.each([2, 10])('makes one run of %i deliveries at the same moment (I1)', async (count) => {
    const delivery = randomUUID();

    const answers = await Promise.all(Array.from({ length: count }, () => send({ delivery })));

    expect(answers.filter((one) => one.body['result'] === 'accepted')).toHaveLength(1);
    expect(answers.filter((one) => one.body['result'] === 'duplicate')).toHaveLength(count - 1);
    expect(new Set(answers.map((one) => one.body['run']))).toEqual(new Set(['thingy/1']));
    expect(await countRuns()).toBe(1);
  });

  it('knows a body that comes again under another delivery id (I1)', async () => {
    await send();

    expect((await send()).body).toMatchObject({ result: 'duplicate', run: 'thingy/1' });
    expect(await countRuns()).toBe(1);
  });

  it('takes hook and webhook of one push as one', async () => {
    await send({ headers: { 'x-loam-source': 'hook' } });

    const other = await send({ body: makeBody({ pushed_at: '2026-01-02T03:04:06+01:00' }) });

    expect(other.body).toMatchObject({ result: 'duplicate', run: 'thingy/1' });
  });

  it.each([
    [{ ref: 'refs/heads/feature' }, 'branch filter: feature is none of main, release/*'],
    [{ ref: 'refs/tags/v1' }, 'refs/tags/v1 is not a branch'],
    [{ after: '0'.repeat(40) }, 'the branch main was deleted'],
    [{ after: shaOf('older') }, 'the head of main did not change'],
  ])('ignores %j and says why (I1)', async (change, reason) => {
    const answer = await send({ body: makeBody(change) });

    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ result: 'ignored', run: null, url: null, reason });
    expect(await countRuns()).toBe(0);
  });

  it('reads pushes of GitHub, and answers its ping', async () => {
    const push = JSON.stringify({
      ref: 'refs/heads/main',
      before: '0'.repeat(40),
      after: shaOf('newer'),
      head_commit: { id: shaOf('newer'), message: 'Say\u001b[31m hello', author: { name: 'Ann', email: 'a@x.me' } },
      repository: { full_name: 'x/thingy', pushed_at: 1_767_322_445 },
    });
    const hello = JSON.stringify({ zen: 'Keep it logically awesome.' });

    const pinged = await send({ body: hello, headers: { 'x-github-event': 'ping' } });
    const starred = await send({ body: hello, headers: { 'x-github-event': 'star' } });
    const pushed = await send({ body: push, headers: { 'x-github-event': 'push', 'x-github-delivery': randomUUID() } });

    expect(pinged.body).toMatchObject({ result: 'ignored', reason: 'ping: the trigger works' });
    expect(starred.body).toMatchObject({ result: 'ignored', reason: 'the event star starts no run' });
    expect(pushed.body).toMatchObject({ result: 'accepted', run: 'thingy/1' });
    expect((await test.store.runs.list({ application: thingy, limit: 1 }))[0]).toMatchObject({
      message: 'Say [31m hello',
      author: 'Ann',
    });
  });

  it('answers a bad signature and an unknown trigger alike, before it reads the body (I10)', async () => {
    const body = '{"ref": not json';
    const answers = await Promise.all([
      send({ body, signature: sign('another secret', body) }),
      send({ body, trigger: 'nobody', signature: sign(secret, body) }),
      send({ body, signature: 'sha256=zz' }),
      send({ body, signature: '' }),
      send({ body, signature: sign('', body) }),
    ]);

    for (const { status, body: problem } of answers) {
      expect(status).toBe(401);
      expect(problem).toMatchObject({ code: 'signature-invalid', errors: [] });
    }
    expect(new Set(answers.map((one) => one.body['detail'])).size).toBe(1);
    expect(await countRuns()).toBe(0);
  });

  it('does not start with an empty secret', async () => {
    await expect(refuseEmptySecrets(test.store)).resolves.toBeUndefined();
    const store = {
      applications: {
        ...test.store.applications,
        list: () => test.store.applications.list(),
        triggerSecret: () => Promise.resolve(new Secret(' ')),
      },
    };

    await expect(refuseEmptySecrets(store)).rejects.toMatchObject({ code: 'configuration-invalid' });
  });

  it.each([
    ['no JSON', '{"ref":', {}, 'The body is not JSON'],
    ['bytes that are no text', Buffer.from([0x7b, 0xff, 0x7d]).toString('latin1'), {}, 'The body'],
    [
      'JSON that nests deeply',
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      {},
      'The body nests deeper than 64 levels',
    ],
    ['an array', '[]', {}, '/body: '],
    ['a form', 'payload=%7B%7D', { 'content-type': 'application/x-www-form-urlencoded' }, 'Send the delivery as JSON'],
    ['no delivery id', makeBody(), { 'x-loam-delivery': '' }, '/headers/x-loam-delivery'],
    ['a short sha', makeBody({ after: 'abc' }), {}, '/body/after'],
    ['a ref that is none', makeBody({ ref: 'refs/heads/a b; rm' }), {}, '/body/ref'],
    ['no time of the push', makeBody({ pushed_at: null }), {}, '/body/pushed_at'],
  ])('refuses %s, signed as it may be', async (_case, body, headers, detail) => {
    const answer = await send({ body, headers });

    expect(answer.status).toBe(422);
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(answer.body).toMatchObject({ code: 'input-invalid', detail: expect.stringContaining(detail) as string });
    expect(await countRuns()).toBe(0);
  });

  it('names all problems of a body at once (I10)', async () => {
    const { body } = await send({ body: JSON.stringify({ ref: 1, before: 'x', after: 'y' }) });

    expect((body['errors'] as { pointer: string }[]).map((one) => one.pointer)).toEqual([
      '/body/ref',
      '/body/before',
      '/body/after',
      '/body/pushed_at',
    ]);
  });

  it('refuses a body over 1 MB and one that is compressed', async () => {
    const large = await send({ body: makeBody({ message: 'x'.repeat(1_048_576) }) });
    const packed = await send({ headers: { 'content-encoding': 'gzip' } });

    expect(large).toMatchObject({ status: 413, body: { code: 'input-too-large' } });
    expect(packed).toMatchObject({ status: 422, body: { code: 'input-invalid' } });
  });

  it('takes a body of nearly 1 MB', async () => {
    expect((await send({ body: makeBody({ message: `hello\n${'x'.repeat(1_000_000)}` }) })).status).toBe(202);
  });

  it('shows a run to who can sign with the secret of its trigger', async () => {
    await send();
    await test.store.runs.finish((await test.store.runs.list({ limit: 1 }))[0]?.id ?? ('' as never), {
      status: 'failed',
      code: undefined,
      reason: 'red',
    });
    const route = '/v1/triggers/trigger-1/runs/1/events';
    const read = (time: number, by = secret): Promise<Answer> =>
      test.call('GET', route, {
        role: 'nobody',
        headers: { 'x-loam-time': String(time), 'x-hub-signature-256': sign(by, `${time}\n${route}`) },
      });

    const shown = await read(Date.now());

    expect(shown.status).toBe(200);
    expect(shown.text).toContain('event: end');
    expect((await read(Date.now() - 600_000)).status).toBe(401);
    expect((await read(Date.now(), 'another')).status).toBe(401);
  });
});
