// I1: a delivery is answered only when its row is written. I10: the signature is checked over the raw body before anything reads it.
import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '../core/errors.ts';
import { whyIgnored } from '../core/model/branch-filter.ts';
import { parseDigest } from '../core/model/ids.ts';
import type { Logger } from '../ports/logger.ts';
import { Secret } from '../ports/secret.ts';
import type { Store } from '../ports/store.ts';
import { viewAnswer } from './delivery-view.ts';
import type { TriggerAnswer } from './delivery-view.ts';
import { check, header, readDelivery } from './delivery.ts';
import type { Headers } from './delivery.ts';
import { isSignedBy, isSignedWebhook } from './signature.ts';
import type { WebhookHeaders } from './signature.ts';
import type { Links } from './view.ts';

export interface ReceiverDependencies {
  readonly store: Pick<Store, 'applications' | 'deliveries'>;
  readonly logger: Logger;
  readonly links: Links;
  /** Tells the dispatcher that there is a run to start. */
  readonly wake: () => void;
}

/** Takes a delivery from the door or from the spool: the same checks, the same answer. Throws `signature-invalid`, `input-invalid`, `store-unavailable`. */
export type Receiver = (trigger: string, headers: Headers, body: Buffer) => Promise<TriggerAnswer>;

export function createReceiver({ store, logger, links, wake }: ReceiverDependencies): Receiver {
  // An unknown trigger is checked against a secret that nobody knows, so that it answers as a bad signature does.
  const unknown = new Secret(randomBytes(32).toString('base64url'));
  return async (trigger, headers, body) => {
    const known = await store.applications.byTrigger(trigger);
    const relayed = readWebhookHeaders(headers);
    const isSigned = isSignedBySender(known?.secret ?? unknown, headers, body, relayed);
    if (known === undefined || !isSigned) {
      const name = relayed === undefined ? 'x-hub-signature-256' : 'webhook-signature';
      throw new DomainError('signature-invalid', `The header ${name} does not fit body and trigger`);
    }
    const { application } = known;
    const id = relayed && check(RelayId, relayed['webhook-id'], '/headers/webhook-id');
    const delivery = readDelivery(headers, body);
    if (delivery.type !== 'push') {
      const event = { id, application: application.name, reason: reasonOf(delivery) };
      return viewAnswer(links, await store.deliveries.ignore(event));
    }
    const answer = await store.deliveries.receive({
      id,
      application: application.name,
      source: delivery.source,
      deliveryId: delivery.deliveryId,
      bodyDigest: parseDigest(`sha256:${createHash('sha256').update(body).digest('hex')}`),
      push: delivery.push,
      ignored: whyIgnored(delivery.push, application.branches),
    });
    wake();
    const fields = { application: application.name, source: delivery.source, deliveryId: delivery.deliveryId };
    logger.info({ ...fields, ...answer }, 'delivery received');
    return viewAnswer(links, answer);
  };
}

function reasonOf(delivery: { readonly type: 'ping' } | { readonly type: 'other'; readonly event: string }): string {
  return delivery.type === 'ping' ? 'ping: the trigger works' : `the event ${delivery.event} starts no run`;
}

/** The id of the delivery under which the relay has answered its sender. */
const RelayId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'at most 64 letters, digits, hyphens and underscores');

/** Undefined when a forge or a hook has sent it itself. */
function readWebhookHeaders(headers: Headers): WebhookHeaders | undefined {
  const signature = header(headers, 'webhook-signature');
  if (signature === undefined) return undefined;
  return {
    'webhook-id': header(headers, 'webhook-id') ?? '',
    'webhook-timestamp': header(headers, 'webhook-timestamp') ?? '',
    'webhook-signature': signature,
  };
}

function isSignedBySender(
  secret: Secret,
  headers: Headers,
  body: Buffer,
  relayed: WebhookHeaders | undefined,
): boolean {
  if (relayed !== undefined) return isSignedWebhook(secret, body, relayed);
  return isSignedBy(secret, body, header(headers, 'x-hub-signature-256'));
}

/** I10: a trigger whose secret is empty would accept nothing or everything; Loam does not start with one. */
export async function refuseEmptySecrets(store: Pick<Store, 'applications'>): Promise<void> {
  for (const { name } of await store.applications.list()) {
    const secret = await store.applications.triggerSecret(name);
    if (secret.reveal().trim() !== '') continue;
    const message = `The trigger of ${name} has an empty secret: its deliveries cannot be checked`;
    throw new DomainError('configuration-invalid', message);
  }
}
