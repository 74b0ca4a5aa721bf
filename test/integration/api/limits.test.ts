// I10: who calls without end, guesses, or sends too much is told so, and costs nobody else anything.
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { afterEach, expect, it } from 'vitest';
import type { Route } from '../../../src/api/route.ts';
import { shaOf, sign, startTestApi } from '../../support/api.ts';
import type { Answer, TestApi } from '../../support/api.ts';
import { addThingy } from '../../support/doors-runs.ts';

let test: TestApi | undefined;

afterEach(async () => {
  await test?.destroy();
  test = undefined;
});

async function start(perSecond: number, failuresPerMinute: number): Promise<TestApi> {
  test = await startTestApi(undefined, { perSecond, failuresPerMinute });
  await addThingy(test.store);
  return test;
}

type Call = () => Promise<Answer>;

async function callTimes(count: number, call: Call): Promise<readonly Answer[]> {
  const answers = [];
  for (let done = 0; done < count; done += 1) answers.push(await call());
  return answers;
}

function statusesOf(answers: readonly Answer[]): readonly number[] {
  return answers.map(({ status }) => status);
}

function expectRefusal(answer: Answer | undefined, mostSeconds: number): void {
  expect(answer?.body).toMatchObject({ status: 429, code: 'rate-limited' });
  const seconds = Number(answer?.headers.get('retry-after'));
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThanOrEqual(mostSeconds);
}

function delivery(secret: string, from: string, name: string) {
  const push = { ref: 'refs/heads/main', before: shaOf('older'), after: shaOf(name) };
  const body = JSON.stringify({ ...push, pushed_at: '2026-01-02T03:04:05Z' });
  const headers = {
    ...{ 'content-type': 'application/json', 'x-loam-delivery': name, 'x-forwarded-for': from },
    'x-hub-signature-256': sign(secret, body),
  };
  return { role: 'nobody' as const, body, headers };
}

it('answers one token so many calls, and others go on', async () => {
  const api = await start(1, 100);
  const runs: Call = () => api.call('GET', '/v1/runs', { role: 'viewer' });

  const answers = await callTimes(11, runs);

  expect(statusesOf(answers)).toEqual([...Array<number>(10).fill(200), 429]);
  expectRefusal(answers.at(-1), 10);
  expect((await api.call('GET', '/v1/runs', { role: 'developer' })).status).toBe(200);
  expect((await api.call('GET', '/healthz', { role: 'nobody' })).status).toBe(200);
});

it('answers one address so many calls without a token, and others go on', async () => {
  const api = await start(1, 100);
  const health = (from: string) =>
    api.call('GET', '/healthz', { role: 'nobody', headers: { 'x-forwarded-for': from } });

  const answers = await callTimes(11, () => health('192.0.2.1'));

  expect(statusesOf(answers)).toEqual([...Array<number>(10).fill(200), 429]);
  expectRefusal(answers.at(-1), 10);
  expect((await health('192.0.2.2')).status).toBe(200);
  expect((await health('192.0.2.3, 192.0.2.1')).status).toBe(429); // what a client writes itself stands before the proxy's word
});

it('looks at no further token of an address that guesses, but at those that have worked there', async () => {
  const api = await start(1_000, 3);
  const login = (text: string, from: string) =>
    api.call('GET', '/v1/runs', {
      role: 'nobody',
      headers: { authorization: `Bearer ${text}`, 'x-forwarded-for': from },
    });
  expect((await login(api.token('viewer'), '192.0.2.1')).status).toBe(200);

  const guesses = await callTimes(5, () => login('not-the-token-000000000000', '192.0.2.1'));

  expect(statusesOf(guesses)).toEqual([401, 401, 401, 429, 429]);
  expectRefusal(guesses.at(-1), 60);
  expect((await login(api.token('viewer'), '192.0.2.1')).status).toBe(200);
  expect((await login(api.token('admin'), '192.0.2.1')).status).toBe(429); // right, and yet a guess from there
  expect((await login(api.token('admin'), '192.0.2.2')).status).toBe(200);
  await api.store.tokens.remove('the-viewer');
  expect((await login(api.token('viewer'), '192.0.2.1')).status).toBe(429);
});

it('slows who signs wrongly, and takes every delivery that is signed rightly, from there too (I1)', async () => {
  const api = await start(1, 3);
  const send = (secret: string, name: string, from = '192.0.2.1') =>
    api.call('POST', '/v1/triggers/trigger-thingy', delivery(secret, from, name));

  const forged = await callTimes(5, () => send('another secret', 'forged'));
  const good = [];
  for (let number = 1; number <= 30; number += 1) good.push(await send('s'.repeat(32), `good-${number}`));

  expect(statusesOf(forged)).toEqual([401, 401, 401, 429, 429]);
  expectRefusal(forged.at(-1), 60);
  expect((await send('another secret', 'forged', '192.0.2.2')).status).toBe(401);
  expect(new Set(statusesOf(good))).toEqual(new Set([202]));
  expect(await api.store.runs.list({ limit: 100 })).toHaveLength(30);
});

async function sendTooMuch(api: TestApi, route: Route): Promise<number | undefined> {
  const body = 'x'.repeat(route.readsRawBody ? 1_048_577 : 262_145);
  const place = route.path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => (name === 'number' ? '1' : 'thingy'));
  const sent = httpRequest(`${api.server.url}${place}`, {
    method: route.method.toUpperCase(),
    headers: {
      ...{ authorization: `Bearer ${api.token('admin')}`, 'content-type': 'application/json' },
      ...{ 'content-length': body.length, connection: 'close' }, // by itself a GET gets no length
    },
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve).on('error', reject);
  });
  sent.end(body);
  const response = await answered;
  await readText(response);
  return response.statusCode;
}

it('reads at every route no more than it takes', async () => {
  const api = await start(1_000, 100);
  const statuses = new Map<string, number | undefined>();
  for (const route of api.api.routes) statuses.set(`${route.method} ${route.path}`, await sendTooMuch(api, route));

  expect(new Set(statuses.values()), JSON.stringify([...statuses])).toEqual(new Set([413]));
});
