import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { DeliveryAnswer, Push } from '../../core/model/delivery.ts';
import { formatRunId, type Sha } from '../../core/model/ids.ts';
import type { DeliveryRow, DeliveryStore, NewDelivery } from '../../ports/store.ts';
import { unknownApplication } from './applications.ts';
import type { Database } from './database.ts';
import type { DeliveryTable, RunTable, Tables } from './tables.ts';
import { checkedText, cutText, toJson } from './values.ts';

// I1: delivery, number and run row are one transaction; whatever comes twice answers the run of the first.

/** Hook, webhook and reconciler bring the same push within this time. */
const samePushMs = 10 * 60_000;
const zeros = '0'.repeat(40) as Sha;

const maxMessage = 500;
const maxAuthor = 200;

function firstLine(text: string): string {
  return cutText(text.split(/\r?\n/, 1)[0] ?? '', maxMessage);
}

function toPush(row: DeliveryTable): Push {
  return {
    ref: row.ref,
    before: row.before === zeros ? undefined : row.before,
    after: row.after === zeros ? undefined : row.after,
    pushedAtMs: row.pushedAtMs,
    message: row.message,
    author: row.author,
  };
}

/** Why there is no run, also where the rules of core were not asked: a run needs a commit. */
function reasonForNoRun({ ignored, push }: NewDelivery): string | undefined {
  if (ignored !== undefined) return ignored;
  if (push.after === undefined) return `${push.ref} was deleted`;
  if (push.after === push.before) return `the head of ${push.ref} did not change`;
  return undefined;
}

export class SqlDeliveryStore implements DeliveryStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async receive(delivery: NewDelivery): Promise<DeliveryAnswer> {
    const now = this.#database.now();
    const row = toRow(delivery, now);
    return this.#database.write(async (db) => {
      // Deliveries of one application follow each other from here on, also on PostgreSQL.
      const owner = await db
        .updateTable('applications')
        .set({ name: row.application })
        .where('name', '=', row.application)
        .returning('lastRun')
        .executeTakeFirst();
      if (owner === undefined) throw unknownApplication(row.application);
      const repeated = await findRepeated(db, row);
      if (repeated !== undefined) return duplicateOf(db, repeated);
      const samePush = await findSamePush(db, row, now - samePushMs);
      // Kept as a row of its own: its sender may repeat it when the ten minutes are over.
      await db
        .insertInto('deliveries')
        .values({ ...row, duplicateOf: samePush?.id ?? null })
        .execute();
      if (samePush !== undefined) return duplicateOf(db, samePush);
      if (row.ignored !== null) return { result: 'ignored', application: row.application, reason: row.ignored };
      const number = owner.lastRun + 1;
      await db.updateTable('applications').set({ lastRun: number }).where('name', '=', row.application).execute();
      await db
        .insertInto('runs')
        .values(toRun(row, number, now))
        .execute();
      return { result: 'accepted', application: row.application, number };
    });
  }

  async get(id: string): Promise<DeliveryRow | undefined> {
    return this.#database.read(async (db) => {
      const row = await db.selectFrom('deliveries').selectAll().where('id', '=', id).executeTakeFirst();
      if (row === undefined) return undefined;
      return {
        id: row.id,
        application: row.application,
        source: row.source,
        deliveryId: row.deliveryId,
        push: toPush(row),
        receivedAtMs: row.receivedAtMs,
        answer: await answerOf(db, row),
      };
    });
  }
}

function toRow(delivery: NewDelivery, now: number): DeliveryTable {
  const { push } = delivery;
  const ignored = reasonForNoRun(delivery);
  return {
    id: randomUUID(),
    application: delivery.application,
    source: delivery.source,
    deliveryId: checkedText(delivery.deliveryId, 'the id of the delivery', 200),
    bodyDigest: delivery.bodyDigest,
    ref: checkedText(push.ref, 'the ref', 500),
    before: push.before ?? zeros,
    after: push.after ?? zeros,
    pushedAtMs: toInstant(push.pushedAtMs),
    message: firstLine(push.message),
    author: cutText(push.author, maxAuthor),
    receivedAtMs: now,
    ignored: ignored === undefined ? null : cutText(ignored, maxMessage),
    duplicateOf: null,
  };
}

function toInstant(pushedAtMs: number): number {
  if (Number.isFinite(pushedAtMs)) return Math.trunc(pushedAtMs);
  throw new DomainError('input-invalid', 'the time of the push is not a number');
}

function toRun(row: DeliveryTable, number: number, now: number): RunTable {
  const { application } = row;
  return {
    id: formatRunId({ application, number, round: 1 }),
    application,
    number,
    round: 1,
    delivery: row.id,
    commit: row.after,
    ref: row.ref,
    message: row.message,
    author: row.author,
    status: 'pending',
    statusSeq: 0,
    code: null,
    reason: null,
    planDigest: null,
    snapshot: null,
    warnings: toJson([]),
    temporalRunId: null,
    cancelRequestedBy: null,
    cancelDelivered: 0,
    createdAtMs: now,
    startedAtMs: null,
    finishedAtMs: null,
  };
}

async function findRepeated(db: Transaction<Tables>, row: DeliveryTable): Promise<DeliveryTable | undefined> {
  return db
    .selectFrom('deliveries')
    .selectAll()
    .where('application', '=', row.application)
    .where((where) => where.or([where('deliveryId', '=', row.deliveryId), where('bodyDigest', '=', row.bodyDigest)]))
    .orderBy('receivedAtMs')
    .limit(1)
    .executeTakeFirst();
}

/**
 * The oldest push alike that this source has not brought yet: A to B, back to A, again to B is three pushes, and a second source that tells all three later
 * means each of them once. A person who asks for a run gets one, whatever was pushed.
 */
async function findSamePush(
  db: Transaction<Tables>,
  row: DeliveryTable,
  since: number,
): Promise<DeliveryTable | undefined> {
  if (row.source === 'manual') return undefined;
  const alike = await db
    .selectFrom('deliveries')
    .selectAll()
    .where('application', '=', row.application)
    .where('ref', '=', row.ref)
    .where('before', '=', row.before)
    .where('after', '=', row.after)
    .where('receivedAtMs', '>=', since)
    .where('source', '<>', 'manual')
    .orderBy('receivedAtMs')
    .orderBy('id')
    .execute();
  const firsts = alike.filter((one) => one.duplicateOf === null);
  return firsts.find(
    (first) => !alike.some((one) => one.source === row.source && (one.id === first.id || one.duplicateOf === first.id)),
  );
}

async function numberOf(db: Kysely<Tables>, delivery: string): Promise<number | undefined> {
  const run = await db
    .selectFrom('runs')
    .select('number')
    .where('delivery', '=', delivery)
    .where('round', '=', 1)
    .executeTakeFirst();
  return run?.number;
}

async function duplicateOf(db: Kysely<Tables>, row: DeliveryTable): Promise<DeliveryAnswer> {
  const number = await numberOf(db, row.duplicateOf ?? row.id);
  return { result: 'duplicate', application: row.application, number };
}

async function answerOf(db: Kysely<Tables>, row: DeliveryTable): Promise<DeliveryAnswer> {
  if (row.duplicateOf !== null) return duplicateOf(db, row);
  if (row.ignored !== null) return { result: 'ignored', application: row.application, reason: row.ignored };
  const number = await numberOf(db, row.id);
  if (number === undefined) throw new DomainError('internal', `the delivery ${row.id} has no run`);
  return { result: 'accepted', application: row.application, number };
}
