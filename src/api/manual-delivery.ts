// I1: what a person asks for is a delivery too: counted, kept, and one run however often the same request is sent.
import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { firstLine } from '../core/model/foreign-text.ts';
import { parseDigest } from '../core/model/ids.ts';
import type { ApplicationName, Sha } from '../core/model/ids.ts';
import type { Token } from '../ports/credential-store.ts';
import type { RunPlan } from '../ports/store.ts';
import { viewAnswer } from './delivery-view.ts';
import type { TriggerAnswer } from './delivery-view.ts';
import type { RouteDependencies } from './dependencies.ts';

export interface AskedBy {
  /** The same key from the same person is the same request. */
  readonly key: string;
  readonly by: string;
}

const IdempotencyKey = z.string().min(1).max(150);

export function askedBy({ headers }: Pick<IncomingMessage, 'headers'>, caller: Token): AskedBy {
  return { key: IdempotencyKey.safeParse(headers['idempotency-key']).data ?? randomUUID(), by: caller.name };
}

interface Wanted {
  readonly ref: string;
  readonly after: Sha;
  readonly message: string;
  readonly author: string;
  /** Undefined: that of the commit. */
  readonly plan?: RunPlan;
}

export async function receiveManual(
  { store, links, wake }: RouteDependencies,
  application: ApplicationName,
  { key, by }: AskedBy,
  { ref, after, message, author, plan }: Wanted,
): Promise<TriggerAnswer> {
  const deliveryId = `manual-${createHash('sha256').update(`${by}\n${key}`).digest('hex').slice(0, 32)}`;
  const answer = await store.deliveries.receive({
    application,
    source: 'manual',
    deliveryId,
    bodyDigest: parseDigest(`sha256:${createHash('sha256').update(deliveryId).digest('hex')}`),
    push: {
      ref,
      before: undefined,
      after,
      pushedAtMs: Date.now(),
      message: firstLine(message),
      author: firstLine(author),
    },
    plan,
    ignored: undefined, // a person asked for it: branch filters are for pushes
  });
  wake();
  return viewAnswer(links, answer);
}
