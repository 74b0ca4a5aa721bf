// Deliveries as forges send them, signed with the secret of an application's trigger.
import { createHmac, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { waitFor } from './loam.ts';
import type { Loam } from './loam.ts';

const Hook = z.object({ trigger: z.string(), secret: z.string() });
export const Answer = z.object({ result: z.string(), run: z.string().nullable() });
const RelayAnswer = z.object({ delivery: z.string() });

export interface Delivery {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const zeros = '0'.repeat(40);

export function generic(after: string, before = zeros): Delivery {
  const push = { repository: 'silent', ref: 'refs/heads/main', before, after, pushed_at: new Date().toISOString() };
  return {
    headers: { 'x-loam-delivery': randomUUID() },
    body: JSON.stringify({ ...push, message: 'Hi', author: 'A' }),
  };
}

export function github(after: string, before: string): Delivery {
  const body = {
    ref: 'refs/heads/main',
    before,
    after,
    head_commit: { message: 'Hi', author: { name: 'A' } },
    repository: { full_name: 'a/silent', pushed_at: Math.floor(Date.now() / 1000) },
  };
  const headers = { 'x-github-event': 'push', 'x-github-delivery': randomUUID() };
  return { headers, body: JSON.stringify(body) };
}

export type Door = 'api' | 'relay';

interface PostAnswer {
  readonly status: number;
  readonly text: string;
}

/** Sends a delivery once to an application of this machine, whose secret its hook knows. Throws when nobody answers. */
export async function post(loam: Loam, door: Door, application: string, delivery: Delivery): Promise<PostAnswer> {
  const text = await readFile(path.join(loam.dataFolder, 'hooks', `${application}.json`), 'utf8');
  const { trigger, secret } = Hook.parse(JSON.parse(text));
  const { apiUrl, relayUrl } = loam.endpoint();
  return postSigned(`${door === 'api' ? apiUrl : relayUrl}/v1/triggers/${trigger}`, secret, delivery);
}

/** As `post`, to a trigger's URL: where a forge is told to send its webhooks, and with the secret that it was told. */
export async function postSigned(url: string, secret: string, { headers, body }: Delivery): Promise<PostAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      ...headers,
    },
    body,
    signal: AbortSignal.timeout(30_000),
  });
  return { status: response.status, text: await response.text() };
}

const senderMs = 300_000;

/** As forges do that redeliver: until it is answered 2xx. The text of that answer. */
export async function postUntilTaken(loam: Loam, door: Door, application: string, delivery: Delivery): Promise<string> {
  const deadline = performance.now() + senderMs;
  for (;;) {
    // Nobody there: its process is being started again.
    const answer = await post(loam, door, application, delivery).catch(() => undefined);
    if (answer !== undefined && answer.status < 300) return answer.text;
    if (answer !== undefined && answer.status < 500 && answer.status !== 429)
      throw new Error(`a delivery was answered ${String(answer.status)} ${answer.text}`);
    if (performance.now() > deadline) throw new Error('nobody takes the delivery');
    await delay(200);
  }
}

async function postWell(loam: Loam, door: Door, application: string, delivery: Delivery): Promise<unknown> {
  const { status, text } = await post(loam, door, application, delivery);
  if (status >= 300) throw new Error(`the delivery was answered ${String(status)}: ${text}`);
  return JSON.parse(text) as unknown;
}

export async function deliver(loam: Loam, application: string, delivery: Delivery): Promise<z.infer<typeof Answer>> {
  return Answer.parse(await postWell(loam, 'api', application, delivery));
}

/** Returns the id under which the relay keeps it. */
export async function deliverToRelay(loam: Loam, application: string, delivery: Delivery): Promise<string> {
  return RelayAnswer.parse(await postWell(loam, 'relay', application, delivery)).delivery;
}

/** Under the id that the relay has answered. */
export async function waitForDelivery(loam: Loam, id: string, run: string): Promise<void> {
  await waitFor(`delivery ${id} has its run`, async () => {
    const { status, body } = await loam.api('GET', `/v1/deliveries/${id}`);
    return status === 200 && Answer.parse(body).run === run;
  });
}
