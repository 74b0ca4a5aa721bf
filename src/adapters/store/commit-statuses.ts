import { type Kysely, sql } from 'kysely';
import type { ApplicationName, RunId, TaskName } from '../../core/model/ids.ts';
import type { DueStatus, StatusKey, StatusPlace, StatusStore } from '../../ports/commit-status.ts';
import type { Secret } from '../../ports/secret.ts';
import type { Database } from './database.ts';
import { contexts } from './sealed.ts';
import type { Tables } from './tables.ts';
import { checkedText, cutText, present } from './values.ts';

/** The place of a run's own status among those of its gates. */
const ofRun = '';

function rowOf({ run, gate }: StatusKey): { readonly run: RunId; readonly gate: TaskName | '' } {
  return { run, gate: gate ?? ofRun };
}

/** Runs that are told of, oldest first. */
function reportedRuns(db: Kysely<Tables>, limit: number) {
  return (
    db
      .selectFrom('runs as r')
      .innerJoin('statusPlaces as p', 'p.application', 'r.application')
      .whereRef('r.number', '>', 'p.fromRun')
      // A forge tells statuses apart by commit and context only: an older run must not have the last word.
      .where((eb) =>
        eb.not(
          eb.exists(
            eb
              .selectFrom('runs as n')
              .select('n.id')
              .whereRef('n.application', '=', 'r.application')
              .whereRef('n.commit', '=', 'r.commit')
              .where((eb) =>
                eb.or([
                  eb('n.number', '>', eb.ref('r.number')),
                  eb.and([eb('n.number', '=', eb.ref('r.number')), eb('n.round', '>', eb.ref('r.round'))]),
                ]),
              ),
          ),
        ),
      )
      .orderBy('r.createdAtMs')
      .orderBy('r.number')
      .limit(limit)
  );
}

export class SqlStatusStore implements StatusStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async connect(application: ApplicationName, { apiUrl, repository }: StatusPlace, token: Secret): Promise<void> {
    const place = {
      apiUrl: checkedText(apiUrl, 'the address of the forge', 2_000),
      repository: checkedText(repository, 'the repository', 300),
      token: this.#database.secretBox.seal(token.reveal(), contexts.statusToken(application)),
      error: null,
    };
    await this.#database.write(async (db) => {
      const { lastRun } = await db
        .selectFrom('applications')
        .select('lastRun')
        .where('name', '=', application)
        .executeTakeFirstOrThrow();
      await db
        .insertInto('statusPlaces')
        .values({ application, ...place, fromRun: lastRun })
        .onConflict((conflict) => conflict.column('application').doUpdateSet(place))
        .execute();
      await db
        .updateTable('statuses')
        .set({ heldUntilMs: 0 })
        .where('run', 'in', db.selectFrom('runs').select('id').where('application', '=', application))
        .execute();
    });
  }

  async disconnect(application: ApplicationName): Promise<void> {
    await this.#database.write((db) => db.deleteFrom('statusPlaces').where('application', '=', application).execute());
  }

  async place(application: ApplicationName): ReturnType<StatusStore['place']> {
    const row = await this.#database.read((db) =>
      db.selectFrom('statusPlaces').selectAll().where('application', '=', application).executeTakeFirst(),
    );
    return row && { apiUrl: row.apiUrl, repository: row.repository, error: present(row.error) };
  }

  async token(application: ApplicationName): Promise<Secret | undefined> {
    const row = await this.#database.read((db) =>
      db.selectFrom('statusPlaces').select('token').where('application', '=', application).executeTakeFirst(),
    );
    return row && this.#database.secretBox.open(row.token, contexts.statusToken(application));
  }

  async due(limit: number): Promise<readonly DueStatus[]> {
    const now = this.#database.now();
    return this.#database.read(async (db) => {
      const reported = reportedRuns(db, limit);
      const runs = await reported
        .leftJoin('statuses as s', (join) => join.onRef('s.run', '=', 'r.id').on('s.gate', '=', ofRun))
        .where((eb) => eb.or([eb('s.run', 'is', null), eb('s.told', '!=', eb.ref('r.status'))]))
        .where((eb) => eb.or([eb('s.run', 'is', null), eb('s.heldUntilMs', '<=', now)]))
        .select(['r.id as run', 'r.application', 'r.commit', 'r.status as state', 'r.reason'])
        .execute();
      const gateState = sql<string>`g.opening || '/' || g.status || '/' || coalesce(d.verdict, '')`;
      const gates = await reported
        .innerJoin('gates as g', 'g.run', 'r.id')
        .leftJoin('decisions as d', (join) =>
          join.onRef('d.run', '=', 'g.run').onRef('d.gate', '=', 'g.gate').onRef('d.opening', '=', 'g.opening'),
        )
        .leftJoin('statuses as s', (join) => join.onRef('s.run', '=', 'g.run').onRef('s.gate', '=', 'g.gate'))
        .where((eb) =>
          eb.not(
            eb.exists(
              eb
                .selectFrom('gates as later')
                .select('later.gate')
                .whereRef('later.run', '=', 'g.run')
                .whereRef('later.gate', '=', 'g.gate')
                .whereRef('later.opening', '>', 'g.opening'),
            ),
          ),
        )
        .where((eb) => eb.or([eb('s.run', 'is', null), eb('s.told', '!=', gateState)]))
        .where((eb) => eb.or([eb('s.run', 'is', null), eb('s.heldUntilMs', '<=', now)]))
        .select(['r.id as run', 'g.gate', 'r.application', 'r.commit', gateState.as('state'), 'd.by as reason'])
        .execute();
      return [...runs.map((row) => ({ ...row, gate: undefined })), ...gates].map((row) => ({
        ...row,
        reason: present(row.reason),
      }));
    });
  }

  async claim(key: StatusKey, forMs: number): Promise<boolean> {
    const now = this.#database.now();
    const heldUntilMs = now + forMs;
    const claimed = await this.#database.write((db) =>
      db
        .insertInto('statuses')
        .values({ ...rowOf(key), told: '', heldUntilMs })
        .onConflict((conflict) =>
          conflict.columns(['run', 'gate']).doUpdateSet({ heldUntilMs }).where('statuses.heldUntilMs', '<=', now),
        )
        .returning('run')
        .executeTakeFirst(),
    );
    return claimed !== undefined;
  }

  async markTold(due: DueStatus): Promise<void> {
    const { run, gate } = rowOf(due);
    await this.#database.write(async (db) => {
      const change = { told: due.state, heldUntilMs: 0 };
      await db.updateTable('statuses').set(change).where('run', '=', run).where('gate', '=', gate).execute();
      await db.updateTable('statusPlaces').set({ error: null }).where('application', '=', due.application).execute();
    });
  }

  async putOff(due: DueStatus, forMs: number, error?: string): Promise<void> {
    const { run, gate } = rowOf(due);
    const heldUntilMs = this.#database.now() + forMs;
    await this.#database.write(async (db) => {
      await db.updateTable('statuses').set({ heldUntilMs }).where('run', '=', run).where('gate', '=', gate).execute();
      if (error === undefined) return;
      const change = { error: cutText(error, 500) };
      await db.updateTable('statusPlaces').set(change).where('application', '=', due.application).execute();
    });
  }
}
