import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { DeliveryAnswer, Push } from '../../core/model/delivery.ts';
import type { ApplicationName, Sha } from '../../core/model/ids.ts';
import type { DeliveryRow, DeliveryStore, KnownHeads, NewDelivery } from '../../ports/delivery-store.ts';
import { unknownApplication } from './applications.ts';
import type { Database } from './database.ts';
import { insertRun } from './new-run.ts';
import type { DeliveryTable, ReceiptTable, Tables } from './tables.ts';
import { checkedText, cutText } from './values.ts';

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
      if (repeated !== undefined) {
        const { id, application } = row;
        const receipt = { id, application, delivery: repeated.id, ignored: null, receivedAtMs: now };
        if (id !== repeated.id) await writeReceipt(db, receipt); // else a relay says again what it has not heard the answer of
        return duplicateOf(db, repeated, id);
      }
      if (await isKnown(db, row.id)) throw takenId(row.id);
      const samePush = await findSamePush(db, row, now - samePushMs);
      // Kept as a row of its own: its sender may repeat it when the ten minutes are over.
      await db
        .insertInto('deliveries')
        .values({ ...row, duplicateOf: samePush?.id ?? null })
        .execute();
      const { id, application } = row;
      if (samePush !== undefined) return duplicateOf(db, samePush, id);
      if (row.ignored !== null) return { result: 'ignored', delivery: id, application, reason: row.ignored };
      const number = owner.lastRun + 1;
      await db.updateTable('applications').set({ lastRun: number }).where('name', '=', row.application).execute();
      await insertRun(db, { delivery: row, number, plan: delivery.plan, now });
      return { result: 'accepted', delivery: id, application, number };
    });
  }

  async ignore({ id, application, reason }: Parameters<DeliveryStore['ignore']>[0]): Promise<DeliveryAnswer> {
    const delivery = id ?? randomUUID();
    const ignored = cutText(reason, maxMessage);
    const receipt = { id: delivery, application, delivery: null, ignored, receivedAtMs: this.#database.now() };
    await this.#database.write((db) => writeReceipt(db, receipt));
    return { result: 'ignored', delivery, application, reason: ignored };
  }

  async get(id: string): Promise<DeliveryRow | undefined> {
    return this.#database.read(async (db) => {
      const row = await rowOf(db, id);
      if (row !== undefined) return toDelivery(row, await answerOf(db, row), row);
      const receipt = await db.selectFrom('receipts').selectAll().where('id', '=', id).executeTakeFirst();
      if (receipt === undefined) return undefined;
      const first = receipt.delivery === null ? undefined : await rowOf(db, receipt.delivery);
      if (first !== undefined) return toDelivery(receipt, await duplicateOf(db, first, id), first);
      const { application, ignored } = receipt;
      return toDelivery(receipt, { result: 'ignored', delivery: id, application, reason: ignored ?? '' }, undefined);
    });
  }

  async heads(application: ApplicationName): Promise<KnownHeads> {
    return this.#database.read(async (db) => {
      const owner = await db
        .selectFrom('applications')
        .select('watched')
        .where('name', '=', application)
        .executeTakeFirst();
      if (owner === undefined) throw unknownApplication(application);
      const rows = await db
        .selectFrom('deliveries as one')
        .select(['one.ref', 'one.after', 'one.id', 'one.source'])
        .where('one.application', '=', application)
        .where((where) =>
          where.not(
            where.exists(
              where
                .selectFrom('deliveries as newer')
                .select('newer.id')
                .whereRef('newer.application', '=', 'one.application')
                .whereRef('newer.ref', '=', 'one.ref')
                .whereRef('newer.receivedAtMs', '>', 'one.receivedAtMs')
                .where('newer.source', '<>', 'manual'),
            ),
          ),
        )
        .execute();
      const newest = rows.map(({ ref, after, id, source }) => {
        return { ref, after: after === zeros ? undefined : after, delivery: id, isManual: source === 'manual' };
      });
      return { isWatched: owner.watched === 1, newest };
    });
  }

  async markWatched(application: ApplicationName): Promise<void> {
    await this.#database.write((db) =>
      db.updateTable('applications').set({ watched: 1 }).where('name', '=', application).execute(),
    );
  }
}

function toDelivery(
  { id, application, receivedAtMs }: Pick<ReceiptTable, 'id' | 'application' | 'receivedAtMs'>,
  answer: DeliveryAnswer,
  row: DeliveryTable | undefined,
): DeliveryRow {
  const brought = row && { source: row.source, deliveryId: row.deliveryId, push: toPush(row) };
  return { id, application, receivedAtMs, answer, brought };
}

async function rowOf(db: Kysely<Tables>, id: string): Promise<DeliveryTable | undefined> {
  return db.selectFrom('deliveries').selectAll().where('id', '=', id).executeTakeFirst();
}

async function isKnown(db: Transaction<Tables>, id: string): Promise<boolean> {
  const receipt = await db.selectFrom('receipts').select('id').where('id', '=', id).executeTakeFirst();
  return receipt !== undefined || (await rowOf(db, id)) !== undefined;
}

function takenId(id: string): DomainError {
  return new DomainError('input-invalid', `the id ${id} names another delivery; choose a fresh one for each delivery`);
}

async function writeReceipt(db: Transaction<Tables>, receipt: ReceiptTable): Promise<void> {
  if ((await rowOf(db, receipt.id)) !== undefined) throw takenId(receipt.id);
  const inserted = await db
    .insertInto('receipts')
    .values(receipt)
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  if (inserted !== undefined) return;
  const { id, application, delivery } = receipt;
  const known = await db.selectFrom('receipts').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  if (known.application !== application || known.delivery !== delivery) throw takenId(id);
}

function toRow(delivery: NewDelivery, now: number): DeliveryTable {
  const { push } = delivery;
  const ignored = reasonForNoRun(delivery);
  return {
    id: checkedText(delivery.id ?? randomUUID(), 'the id', 100),
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

async function duplicateOf(db: Kysely<Tables>, first: DeliveryTable, delivery: string): Promise<DeliveryAnswer> {
  const of = first.duplicateOf ?? first.id;
  return { result: 'duplicate', delivery, of, application: first.application, number: await numberOf(db, of) };
}

async function answerOf(db: Kysely<Tables>, row: DeliveryTable): Promise<DeliveryAnswer> {
  const { id: delivery, application } = row;
  if (row.duplicateOf !== null) return duplicateOf(db, row, delivery);
  if (row.ignored !== null) return { result: 'ignored', delivery, application, reason: row.ignored };
  const number = await numberOf(db, delivery);
  if (number === undefined) throw new DomainError('internal', `the delivery ${delivery} has no run`);
  return { result: 'accepted', delivery, application, number };
}
