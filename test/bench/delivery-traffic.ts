// What a forge does that has much to tell: pushes, repeats of them, pushes that nobody builds, each sent until it is answered 2xx.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { postUntilTaken } from '../support/deliveries.ts';
import type { Door } from '../support/deliveries.ts';
import type { Loam } from '../support/loam.ts';

export interface Told {
  /** Undefined: a push to a branch that nobody builds. */
  readonly commit: string | undefined;
  readonly id: string;
  readonly body: string;
  readonly door: Door;
}

export interface Answered extends Told {
  /** The name under which Loam tells what became of it. */
  readonly delivery: string;
}

const Answer = z.object({ delivery: z.string() });
const noCommit = '0'.repeat(40);

/** In no order. Of what is no first push, a third repeats one: under the same id, or replayed under another. */
export function makeDeliveries(commits: readonly string[], count: number): Told[] {
  const pushes = commits.map((commit) => makeDelivery(commit, 'refs/heads/main', commit));
  const others = Array.from({ length: count - commits.length }, (_, index) => {
    const push = pushes[index % pushes.length];
    if (push === undefined || index % 3 !== 0)
      return makeDelivery(undefined, `refs/heads/other-${index}`, commits[0] ?? '');
    return { ...push, door: anyDoor(), id: index % 2 === 0 ? push.id : randomUUID() };
  });
  return shuffle([...pushes, ...others]);
}

function makeDelivery(commit: string | undefined, ref: string, after: string): Told {
  const body = JSON.stringify({
    ...{ repository: 'many', ref, before: noCommit, after, pushed_at: new Date().toISOString() },
    ...{ message: `delivery ${randomUUID()}`, author: 'Bench' },
  });
  return { commit, id: randomUUID(), body, door: anyDoor() };
}

function anyDoor(): Door {
  return Math.random() < 0.5 ? 'api' : 'relay';
}

function shuffle(deliveries: Told[]): Told[] {
  return deliveries
    .map((delivery) => ({ delivery, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ delivery }) => delivery);
}

export async function send(loam: Loam, told: Told): Promise<Answered> {
  const delivery = { headers: { 'x-loam-delivery': told.id }, body: told.body };
  return { ...told, ...Answer.parse(JSON.parse(await postUntilTaken(loam, told.door, 'many', delivery))) };
}
