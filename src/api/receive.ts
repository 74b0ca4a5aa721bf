// I1: a delivery is answered only when its row is written. I10: the signature is checked over the raw body before anything reads it.
import { createHash, randomBytes } from 'node:crypto';
import { DomainError } from '../core/errors.ts';
import { whyIgnored } from '../core/model/branch-filter.ts';
import type { DeliveryAnswer } from '../core/model/delivery.ts';
import type { ApplicationName } from '../core/model/ids.ts';
import { formatRunId, parseDigest } from '../core/model/ids.ts';
import type { Logger } from '../ports/logger.ts';
import { Secret } from '../ports/secret.ts';
import type { Application, Store } from '../ports/store.ts';
import { header, readDelivery } from './delivery.ts';
import type { Headers } from './delivery.ts';
import type { TriggerAnswer } from './schema.ts';
import { isSignedBy } from './signature.ts';
import { runUrl, temporalUrl } from './view.ts';
import type { Links } from './view.ts';

export const maxDeliveryBytes = 1_048_576;

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
    const isSigned = isSignedBy(known?.secret ?? unknown, body, header(headers, 'x-hub-signature-256'));
    if (known === undefined || !isSigned) {
      throw new DomainError('signature-invalid', 'The header x-hub-signature-256 does not fit body and trigger');
    }
    const { application } = known;
    const delivery = readDelivery(headers, body);
    if (delivery.type !== 'push') return ignored(application, reasonOf(delivery));
    const answer = await store.deliveries.receive({
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

function ignored(application: Application, reason: string): TriggerAnswer {
  return { result: 'ignored', application: application.name, run: null, url: null, temporalUrl: null, reason };
}

export function viewAnswer(links: Links, answer: DeliveryAnswer): TriggerAnswer {
  const { result, application } = answer;
  const reason = result === 'ignored' ? answer.reason : null;
  if (result === 'ignored' || answer.number === undefined) {
    return { result, application, run: null, url: null, temporalUrl: null, reason };
  }
  return { result, application, ...runLinks(links, application, answer.number), reason };
}

function runLinks(
  links: Links,
  application: ApplicationName,
  number: number,
): Pick<TriggerAnswer, 'run' | 'url' | 'temporalUrl'> {
  const run = formatRunId({ application, number, round: 1 });
  return { run, url: runUrl(links, application, number), temporalUrl: temporalUrl(links, run) };
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
