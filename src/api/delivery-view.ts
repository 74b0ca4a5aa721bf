// What became of a delivery, as the doors tell it.
import { z } from 'zod';
import type { DeliveryAnswer } from '../core/model/delivery.ts';
import type { ApplicationName } from '../core/model/ids.ts';
import { formatRunId } from '../core/model/ids.ts';
import type { DeliveryRow } from '../ports/delivery-store.ts';
import { Instant } from './schema.ts';
import { instant, runUrl, temporalUrl } from './view.ts';
import type { Links } from './view.ts';

export const TriggerAnswer = z
  .object({
    result: z.enum(['accepted', 'duplicate', 'ignored']),
    /** Id of this delivery: `GET /v1/deliveries/{id}` answers the same again. */
    delivery: z.string(),
    application: z.string(),
    run: z.string().nullable(),
    url: z.string().nullable(),
    temporalUrl: z.string().nullable(),
    reason: z.string().nullable(),
  })
  .meta({ id: 'TriggerAnswer' });
export type TriggerAnswer = z.infer<typeof TriggerAnswer>;

export const DeliveryView = z
  .object({
    ...TriggerAnswer.shape,
    receivedAt: Instant,
    /** All null for an event that is no push; a repeat shows what the first one brought. */
    source: z.enum(['hook', 'webhook', 'manual', 'reconciler']).nullable(),
    sourceDelivery: z.string().nullable(),
    ref: z.string().nullable(),
    before: z.string().nullable(),
    after: z.string().nullable(),
    pushedAt: Instant.nullable(),
  })
  .meta({ id: 'Delivery' });
export type DeliveryView = z.infer<typeof DeliveryView>;

export function viewAnswer(links: Links, answer: DeliveryAnswer): TriggerAnswer {
  const { result, delivery, application } = answer;
  const number = result === 'ignored' ? undefined : answer.number;
  const run = number === undefined ? { run: null, url: null, temporalUrl: null } : runLinks(links, application, number);
  return { result, delivery, application, ...run, reason: reasonFor(answer) };
}

function reasonFor(answer: DeliveryAnswer): string | null {
  if (answer.result === 'accepted') return null;
  return answer.result === 'ignored' ? answer.reason : `it repeats the delivery ${answer.of}`;
}

function runLinks(
  links: Links,
  application: ApplicationName,
  number: number,
): Pick<TriggerAnswer, 'run' | 'url' | 'temporalUrl'> {
  const run = formatRunId({ application, number, round: 1 });
  return { run, url: runUrl(links, application, number), temporalUrl: temporalUrl(links, run) };
}

export function viewDelivery(links: Links, { answer, receivedAtMs, brought }: DeliveryRow): DeliveryView {
  const shown = { ...viewAnswer(links, answer), receivedAt: instant(receivedAtMs) };
  if (brought === undefined) {
    const nothing = { source: null, sourceDelivery: null, ref: null, before: null, after: null, pushedAt: null };
    return { ...shown, ...nothing };
  }
  const { source, deliveryId, push } = brought;
  return {
    ...shown,
    source,
    sourceDelivery: deliveryId,
    ref: push.ref,
    before: push.before ?? null,
    after: push.after ?? null,
    pushedAt: instant(push.pushedAtMs),
  };
}
