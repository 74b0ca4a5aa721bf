import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { signWebhook } from '../../../src/api/signature.ts';
import { Secret } from '../../../src/ports/secret.ts';
import { shaOf, sign, startTestApi } from '../../support/api.ts';
import type { Answer, TestApi } from '../../support/api.ts';
import { addThingy } from '../../support/doors-runs.ts';
import { json, runLoam } from '../../support/cli.ts';

const secret = 's'.repeat(32);
let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
  await addThingy(test.store);
});

afterEach(async () => {
  await test.destroy();
});

function makeBody(change: Record<string, unknown> = {}): string {
  const push = {
    ref: 'refs/heads/main',
    before: shaOf('older'),
    after: shaOf('newer'),
    pushed_at: '2026-01-02T03:04:05Z',
  };
  return JSON.stringify({ ...push, ...change });
}

function send(body: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const common = { 'content-type': 'application/json', 'x-loam-delivery': 'd1' };
  return test.call('POST', '/v1/triggers/trigger-thingy', { role: 'nobody', body, headers: { ...common, ...headers } });
}

function relayed(body: string, id: string, now = new Date(), by = secret): Readonly<Record<string, string>> {
  return { ...signWebhook(new Secret(by), id, Buffer.from(body), now) };
}

function find(id: unknown): Promise<Answer> {
  return test.call('GET', `/v1/deliveries/${String(id)}`, { role: 'viewer' });
}

it('tells what became of a delivery: its run, what it repeats, or why it is ignored (I1)', async () => {
  const body = makeBody();
  const signed = { 'x-hub-signature-256': sign(secret, body) };
  const accepted = await send(body, signed);
  const repeated = await send(body, signed);
  const tag = makeBody({ ref: 'refs/tags/v1' });
  const ignored = await send(tag, { 'x-hub-signature-256': sign(secret, tag), 'x-loam-delivery': 'd2' });
  const pinged = await send('{}', { 'x-hub-signature-256': sign(secret, '{}'), 'x-github-event': 'ping' });

  for (const answer of [accepted, repeated, ignored, pinged])
    expect((await find(answer.body['delivery'])).body).toMatchObject(answer.body);
  expect((await find(accepted.body['delivery'])).body).toMatchObject({
    result: 'accepted',
    run: 'thingy/1',
    url: `${test.server.url}/v1/runs/thingy/1`,
    source: 'webhook',
    sourceDelivery: 'd1',
    after: shaOf('newer'),
  });
  expect(repeated.body).toMatchObject({
    result: 'duplicate',
    run: 'thingy/1',
    reason: `it repeats the delivery ${String(accepted.body['delivery'])}`,
  });
  expect((await find(pinged.body['delivery'])).body).toMatchObject({ result: 'ignored', ref: null, source: null });
  expect(await find(randomUUID())).toMatchObject({ status: 404, body: { code: 'delivery-unknown' } });
});

it('takes what a relay signs anew at each attempt, under the id that the relay gave it (I1)', async () => {
  const body = makeBody();
  const id = randomUUID();

  const first = await send(body, relayed(body, id));
  const again = await send(body, relayed(body, id, new Date(Date.now() - 60_000)));

  expect(first).toMatchObject({ status: 202, body: { result: 'accepted', delivery: id, run: 'thingy/1' } });
  expect(again).toMatchObject({ status: 200, body: { result: 'duplicate', delivery: id, run: 'thingy/1' } });
  expect((await find(id)).body).toMatchObject({ result: 'accepted', sourceDelivery: 'd1' });
});

it('refuses a relay that signs with another secret, too long ago, for another id or body (I10)', async () => {
  const body = makeBody();
  const good = relayed(body, 'one');
  const forge = sign(secret, body);
  const answers = await Promise.all([
    send(body, relayed(body, 'one', new Date(), 'x'.repeat(32))),
    send(body, relayed(body, 'one', new Date(Date.now() - 600_000))),
    send(body, { ...good, 'webhook-id': 'two' }),
    send(makeBody({ message: 'other' }), good),
    send(body, { 'webhook-signature': 'v1,', 'x-hub-signature-256': forge }),
  ]);

  for (const answer of answers) expect(answer).toMatchObject({ status: 401, body: { code: 'signature-invalid' } });
  expect(await send(body, relayed(body, 'a b'))).toMatchObject({ status: 422, body: { code: 'input-invalid' } });
  expect(await test.store.runs.list({ limit: 1 })).toEqual([]);
});

it('is shown by "loam delivery show"', async () => {
  const body = makeBody();
  const { body: answer } = await send(body, { 'x-hub-signature-256': sign(secret, body) });
  const id = String(answer['delivery']);

  const shown = await runLoam(test, `delivery show ${id}`);
  const asJson = await runLoam(test, `delivery show ${id} --json`);
  const unknown = await runLoam(test, 'delivery show nobody');

  expect(shown.out).toMatch(/run +thingy\/1\n/);
  expect(json(asJson)).toMatchObject({ delivery: id, result: 'accepted' });
  expect(unknown).toMatchObject({ code: 4, err: expect.stringContaining('There is no delivery "nobody"') as string });
});
