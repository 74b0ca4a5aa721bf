import type { Kysely } from 'kysely';
import { createTable } from './table-builder.ts';

export async function createFirstTables(db: Kysely<unknown>): Promise<void> {
  await createPlaces(db);
  await createDoors(db);
  await createRuns(db);
  await createTasks(db);
  await createGates(db);
  await createReleases(db);
  await createIndexes(db);
}

async function createPlaces(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'applications',
    {
      name: 'text',
      repository_url: 'text',
      local: 'number',
      branches: 'text',
      trigger: 'text',
      trigger_secret: 'text',
      last_run: 'number',
      created_at_ms: 'number',
    },
    { key: ['name'], unique: [['trigger']] },
  );
  await createTable(
    db,
    'environments',
    {
      application: 'text',
      name: 'text',
      target: 'text',
      protected: 'number',
      branches: 'text',
      trust: 'text?',
      replicas: 'number',
      config: 'text',
      lock_policy: 'text',
      front_port: 'number',
      fence: 'number',
      fence_step: 'text?',
      live_release: 'number?',
    },
    { key: ['application', 'name'], unique: [['front_port']] },
  );
  await createTable(
    db,
    'fences',
    { application: 'text', environment: 'text', holder: 'text', fence: 'number' },
    { key: ['application', 'environment', 'holder'] },
  );
}

async function createDoors(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'deliveries',
    {
      id: 'text',
      application: 'text',
      source: 'text',
      delivery_id: 'text',
      body_digest: 'text',
      ref: 'text',
      before: 'text',
      after: 'text',
      pushed_at_ms: 'number',
      message: 'text',
      author: 'text',
      received_at_ms: 'number',
      ignored: 'text?',
      duplicate_of: 'text?',
    },
    {
      key: ['id'],
      unique: [
        ['application', 'delivery_id'],
        ['application', 'body_digest'],
      ],
    },
  );
  await createTable(
    db,
    'trusts',
    {
      name: 'text',
      provider: 'text',
      settings: 'text',
      state: 'text',
      reason: 'text?',
      generation: 'number',
      token: 'text?',
      drawn_at_ms: 'number?',
      expires_at_ms: 'number?',
      lease_owner: 'text?',
      lease_until_ms: 'number',
    },
    { key: ['name'] },
  );
  await createTable(
    db,
    'secrets',
    { application: 'text', environment: 'text', name: 'text', value: 'text', changed_at_ms: 'number' },
    { key: ['application', 'environment', 'name'] },
  );
  await createTable(
    db,
    'tokens',
    { name: 'text', role: 'text', hash: 'text', created_at_ms: 'number' },
    { key: ['name'], unique: [['hash']] },
  );
}

async function createRuns(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'runs',
    {
      id: 'text',
      application: 'text',
      number: 'number',
      round: 'number',
      delivery: 'text',
      commit: 'text',
      ref: 'text',
      message: 'text',
      author: 'text',
      status: 'text',
      status_seq: 'number',
      code: 'text?',
      reason: 'text?',
      plan_digest: 'text?',
      snapshot: 'text?',
      warnings: 'text',
      temporal_run_id: 'text?',
      cancel_requested_by: 'text?',
      cancel_delivered: 'number',
      created_at_ms: 'number',
      started_at_ms: 'number?',
      finished_at_ms: 'number?',
    },
    { key: ['id'], unique: [['application', 'number', 'round']] },
  );
}

async function createTasks(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'tasks',
    {
      run: 'text',
      name: 'text',
      position: 'number',
      type: 'text',
      status: 'text',
      attempt: 'number',
      seq: 'number',
      code: 'text?',
      reason: 'text?',
      kept: 'number',
      started_at_ms: 'number?',
      finished_at_ms: 'number?',
    },
    { key: ['run', 'name'], ofRun: true },
  );
  await createTable(
    db,
    'attempts',
    {
      run: 'text',
      task: 'text',
      attempt: 'number',
      owner: 'number',
      host: 'text',
      status: 'text',
      exit_code: 'number?',
      code: 'text?',
      reason: 'text?',
      outputs: 'text',
      log: 'text?',
      started_at_ms: 'number',
      finished_at_ms: 'number?',
    },
    { key: ['run', 'task', 'attempt'], ofRun: true },
  );
  await createTable(
    db,
    'logs',
    { run: 'text', task: 'text', attempt: 'number', source: 'number', stored: 'number', sealed: 'text?' },
    { key: ['run', 'task', 'attempt'] },
  );
}

async function createGates(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'gates',
    {
      run: 'text',
      gate: 'text',
      opening: 'number',
      environment: 'text',
      subjects: 'text',
      preview: 'text',
      opened_at_ms: 'number',
      deadline_at_ms: 'number',
      status: 'text',
    },
    { key: ['run', 'gate', 'opening'], ofRun: true },
  );
  await createTable(
    db,
    'decisions',
    {
      id: 'text',
      run: 'text',
      gate: 'text',
      opening: 'number',
      verdict: 'text',
      by: 'text',
      comment: 'text',
      at_ms: 'number',
      delivered: 'number',
    },
    { key: ['id'], unique: [['run', 'gate', 'opening']], ofRun: true },
  );
}

async function createReleases(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'releases',
    {
      application: 'text',
      environment: 'text',
      number: 'number',
      fence: 'number',
      run: 'text',
      task: 'text',
      attempt: 'number',
      commit: 'text',
      image: 'text?',
      template: 'text',
      plan_digest: 'text',
      config: 'text',
      status: 'text',
      reason: 'text?',
      created_at_ms: 'number',
      live_at_ms: 'number?',
    },
    { key: ['application', 'environment', 'number'], unique: [['run', 'task', 'attempt']] },
  );
}

async function createIndexes(db: Kysely<unknown>): Promise<void> {
  const indexes: Readonly<Record<string, readonly [table: string, columns: readonly string[]]>> = {
    deliveries_push: ['deliveries', ['application', 'ref', 'after', 'before', 'received_at_ms']],
    runs_age: ['runs', ['created_at_ms', 'number', 'round', 'application']],
    runs_status: ['runs', ['status']],
    runs_delivery: ['runs', ['delivery']],
    decisions_delivered: ['decisions', ['delivered']],
    gates_status: ['gates', ['status']],
  };
  for (const [name, [table, columns]] of Object.entries(indexes)) {
    await db.schema
      .createIndex(name)
      .on(table)
      .columns([...columns])
      .execute();
  }
}
