// I1, I10: whatever comes to the door of the triggers without being a delivery starts no run, is answered, and leaves nothing in memory.
import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { shaOf, sign, startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { addThingy } from '../../support/doors-runs.ts';

const secret = 's'.repeat(32);
const count = 10_000;
const atOnce = 16;
/** Half of the deliveries hold 20 kB: kept, they would be 50 MB in each half of the test. */
const growthBytes = 30_000_000;

const good = {
  ref: 'refs/heads/main',
  before: shaOf('older'),
  after: shaOf('newer'),
  pushed_at: '2026-01-02T03:04:05Z',
  message: 'Say hello',
  author: 'Ann',
};

interface Attempt {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly trigger?: string;
  readonly status: number;
}

type Make = (index: number) => Attempt;

function signed(body: string, headers: Readonly<Record<string, string>> = {}, status = 422): Attempt {
  const standard = {
    'content-type': 'application/json',
    'x-loam-delivery': 'id',
    'x-hub-signature-256': sign(secret, body),
  };
  return { body, headers: { ...standard, ...headers }, status };
}

function changed(change: Readonly<Record<string, unknown>>): Attempt {
  return signed(JSON.stringify({ ...good, ...change }));
}

const whole = JSON.stringify(good);
const long = 'x'.repeat(20_000);

/** Each kind with what it must be answered; the signature is right where the body is to be read. */
const kinds: readonly Make[] = [
  // mis-signed
  () => signed(whole, { 'x-hub-signature-256': sign('another secret', whole) }, 401),
  () => signed(whole, { 'x-hub-signature-256': 'sha256=' }, 401),
  () => signed(whole, { 'x-hub-signature-256': sign(secret, whole).slice(0, -1) }, 401),
  () => signed(whole, { 'x-hub-signature-256': sign(secret, whole).replace('sha256', 'sha1') }, 401),
  () => signed(`${whole} `, { 'x-hub-signature-256': sign(secret, whole) }, 401),
  (index) => ({ ...signed(whole, {}, 401), trigger: `trigger-of-nobody-${index}` }),
  (index) =>
    signed(whole, { 'webhook-id': `x${index}`, 'webhook-timestamp': '1', 'webhook-signature': 'v1,AAAA' }, 401),
  () => signed(randomBytes(15_000).toString('base64'), { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }, 401),
  // signed, and no delivery
  () => signed(''),
  () => signed('null'),
  () => signed('[]'),
  () => signed(whole.slice(0, -1)),
  () => signed(`${'['.repeat(10_000)}${']'.repeat(10_000)}`),
  () => signed(`{"a":${'{"a":'.repeat(65)}1${'}'.repeat(66)}`),
  () => signed(whole, { 'content-type': 'text/plain' }),
  () => signed(whole, { 'x-loam-delivery': 'with space' }),
  () => signed(whole, { 'x-loam-delivery': 'x'.repeat(201) }),
  () => signed(whole, { 'x-github-event': 'push', 'x-github-delivery': 'id' }),
  () => changed({ ref: 'main' }),
  () => changed({ ref: `refs/heads/${long}` }),
  () => changed({ ref: 'refs/heads/$(reboot) ' }),
  () => changed({ ref: 'refs/heads/a\u001b[2J' }),
  () => changed({ ref: 'refs/heads/a\nb' }),
  () => changed({ ref: ['refs/heads/main'] }),
  () => changed({ after: 'HEAD' }),
  () => changed({ after: `${shaOf('newer')}; reboot` }),
  () => changed({ before: shaOf('older').toUpperCase() }),
  () => changed({ pushed_at: 'yesterday' }),
  () => changed({ pushed_at: null }),
  () => changed({ message: { toString: 'x' } }),
  () => changed({ repository: long }),
];

let test: TestApi;

beforeAll(async () => {
  test = await startTestApi();
  await addThingy(test.store);
});

afterAll(async () => {
  await test.destroy();
});

async function send({ body, headers, trigger = 'trigger-thingy' }: Attempt): Promise<number> {
  const url = `${test.server.url}/v1/triggers/${trigger}`;
  const response = await fetch(url, { method: 'POST', headers, body });
  const { status } = (await response.json()) as { readonly status: number };
  return response.status === status ? status : -response.status;
}

async function sendAll(from: number, to: number): Promise<ReadonlyMap<string, number>> {
  const wrong = new Map<string, number>();
  let next = from;
  async function work(): Promise<void> {
    for (let index = next++; index < to; index = next++) {
      const kind = index % kinds.length;
      const attempt = kinds[kind]?.(index);
      if (attempt === undefined) throw new Error('there is no such kind');
      const status = await send(attempt);
      const key = `kind ${kind}: ${status} instead of ${attempt.status}`;
      if (status !== attempt.status) wrong.set(key, (wrong.get(key) ?? 0) + 1);
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work));
  return wrong;
}

function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

it(
  `refuses ${count} malformed and mis-signed deliveries: none starts a run, memory stays flat`,
  { timeout: 240_000 },
  async () => {
    const first = await sendAll(0, count / 2);
    const halfway = usedBytes();
    const second = await sendAll(count / 2, count);
    const growth = usedBytes() - halfway;

    expect([...first, ...second]).toEqual([]);
    expect(growth).toBeLessThan(growthBytes);
    expect(test.wakes()).toBe(0);
    expect(await test.store.runs.list({ limit: 1 })).toEqual([]);
    expect((await fetch(`${test.server.url}/healthz`)).status).toBe(200);
  },
);

it('takes names and messages that are only strange, as text of one line', async () => {
  const body = JSON.stringify({
    ...good,
    ref: 'refs/heads/--upload-pack=x;$(id)',
    message: `\u001b]0;x\u0007 a\r\nb`,
    author: '\u202eAnn',
  });
  const { headers } = signed(body);
  const answer = await test.call('POST', '/v1/triggers/trigger-thingy', { role: 'nobody', headers, body });

  expect(answer.status).toBe(202);
  expect(await test.store.runs.list({ limit: 1 })).toMatchObject([
    { ref: 'refs/heads/--upload-pack=x;$(id)', message: ']0;x  a', author: 'Ann' },
  ]);
});
