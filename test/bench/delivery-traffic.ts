// What a forge does that has much to tell: pushes, repeats of them, pushes that nobody builds, each sent until it is answered 2xx.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { signBody } from '../../src/api/signature.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { Loam } from '../support/loam.ts';

export interface Delivery {
  /** Undefined: a push to a branch that nobody builds. */
  readonly commit: string | undefined;
  readonly id: string;
  readonly body: string;
  readonly door: 'api' | 'relay';
}

export interface Answered extends Delivery {
  /** The name under which Loam tells what became of it. */
  readonly delivery: string;
}

export interface Doors {
  readonly urls: Readonly<Record<Delivery['door'], () => string>>;
  readonly secret: Secret;
}

const Hook = z.object({ trigger: z.string(), secret: z.string() });
const Answer = z.object({ delivery: z.string() });
const noCommit = '0'.repeat(40);
const patienceMs = 300_000;

/** The address of a door changes when its process is started again without a fixed port, so it is read each time. */
export async function openDoors(loam: Loam, application: string): Promise<Doors> {
  const file = path.join(loam.dataFolder, 'hooks', `${application}.json`);
  const { trigger, secret } = Hook.parse(JSON.parse(await readFile(file, 'utf8')));
  const urls = {
    api: () => `${loam.endpoint().apiUrl}/v1/triggers/${trigger}`,
    relay: () => `${loam.endpoint().relayUrl}/v1/triggers/${trigger}`,
  };
  return { urls, secret: new Secret(secret) };
}

/** In no order. Of what is no first push, a third repeats one: under the same id, or replayed under another. */
export function makeDeliveries(commits: readonly string[], count: number): Delivery[] {
  const pushes = commits.map((commit) => makeDelivery(commit, 'refs/heads/main', commit));
  const others = Array.from({ length: count - commits.length }, (_, index) => {
    const push = pushes[index % pushes.length];
    if (push === undefined || index % 3 !== 0)
      return makeDelivery(undefined, `refs/heads/other-${index}`, commits[0] ?? '');
    return { ...push, door: anyDoor(), id: index % 2 === 0 ? push.id : randomUUID() };
  });
  return shuffle([...pushes, ...others]);
}

function makeDelivery(commit: string | undefined, ref: string, after: string): Delivery {
  const body = JSON.stringify({
    ...{ repository: 'many', ref, before: noCommit, after, pushed_at: new Date().toISOString() },
    ...{ message: `delivery ${randomUUID()}`, author: 'Bench' },
  });
  return { commit, id: randomUUID(), body, door: anyDoor() };
}

function anyDoor(): Delivery['door'] {
  return Math.random() < 0.5 ? 'api' : 'relay';
}

function shuffle(deliveries: Delivery[]): Delivery[] {
  return deliveries
    .map((delivery) => ({ delivery, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ delivery }) => delivery);
}

/** As forges do that redeliver: until it is answered 2xx. */
export async function send({ urls, secret }: Doors, delivery: Delivery): Promise<Answered> {
  const headers = {
    'content-type': 'application/json',
    'x-loam-delivery': delivery.id,
    'x-hub-signature-256': signBody(secret, delivery.body),
  };
  const startedAt = performance.now();
  for (;;) {
    try {
      const response = await fetch(urls[delivery.door](), { method: 'POST', headers, body: delivery.body });
      const text = await response.text();
      if (response.ok) return { ...delivery, ...Answer.parse(JSON.parse(text)) };
      if (response.status < 500 && response.status !== 429) throw new RefusedError(`${response.status} ${text}`);
    } catch (error) {
      if (error instanceof RefusedError) throw error;
      // its process is being started again
    }
    if (performance.now() - startedAt > patienceMs) throw new Error(`nobody takes the delivery ${delivery.id}`);
    await delay(200);
  }
}

class RefusedError extends Error {}
