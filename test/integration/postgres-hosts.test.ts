// Several hosts on one PostgreSQL, and a server that goes away in the middle.
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';
import { createStore } from '../../src/adapters/store/store.ts';
import { DomainError } from '../../src/core/errors.ts';
import type { DeliveryAnswer } from '../../src/core/model/delivery.ts';
import { parseApplicationName, type ApplicationName } from '../../src/core/model/ids.ts';
import { createDispatcher } from '../../src/dispatch/dispatcher.ts';
import type { RunEngine } from '../../src/ports/run-engine.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { Store } from '../../src/ports/store.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { silentLogger, waitFor } from '../support/run-rows.ts';
import { startStandIn } from '../support/stand-in-worker.ts';
import { addApplication, makeDelivery } from './contracts/store-builders.ts';

const secretBox = createSecretBox({ key: new Uint8Array(32).fill(7) });
let postgres: TestPostgres;
let url: string;
let hosts: readonly [Store, Store];
let application: ApplicationName;

beforeAll(async () => {
  postgres = await startPostgres();
});

afterAll(async () => {
  await postgres.close();
});

afterEach(async () => {
  await Promise.all(hosts.map((store) => store.close()));
});

beforeEach(async () => {
  url = await postgres.createDatabase();
  hosts = await Promise.all([openHost(), openHost()]);
  // Temporal is shared by all tests: its ids must not meet.
  application = parseApplicationName(`h-${randomUUID().slice(0, 8)}`);
  await addApplication(hosts[0], { name: application, trigger: randomUUID() });
});

function openHost(busyWaitMs = 30_000): Promise<Store> {
  const pickFrontPort = (): Promise<number> => Promise.resolve(7_800);
  return createStore({ url: new Secret(url), secretBox, pickFrontPort, busyWaitMs });
}

/** As a relay does: again until there is an answer. */
async function insist(store: Store, name: string): Promise<DeliveryAnswer> {
  for (;;) {
    try {
      return await store.deliveries.receive({ ...makeDelivery(name), source: 'manual', application });
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'store-unavailable') throw error;
    }
  }
}

function names(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `${application}-${String(at)}`);
}

function numberOf(answer: DeliveryAnswer): number {
  if (answer.result === 'ignored' || answer.number === undefined) throw new Error(JSON.stringify(answer));
  return answer.number;
}

async function expectEachOnce(count: number, answers: readonly DeliveryAnswer[]): Promise<void> {
  const runs = await hosts[0].runs.list({ application, limit: 1_000 });
  const all = Array.from({ length: count }, (_, at) => at + 1);
  expect(runs.map((run) => run.number).toSorted((a, b) => a - b)).toEqual(all);
  expect([...new Set(answers.map(numberOf))].toSorted((a, b) => a - b)).toEqual(all);
}

it('loses and doubles nothing when every connection is cut again and again in mid-write (I1)', async () => {
  const answers: DeliveryAnswer[] = [];
  const writing = Promise.all(
    names(120).map(async (name, at) => {
      answers.push(await insist(hosts[at % 2 === 0 ? 0 : 1], name));
    }),
  );
  let cut = 0;
  for (let round = 0; round < 8; round += 1) cut += await postgres.cutConnections(url);
  await writing;

  expect(cut).toBeGreaterThan(0);
  expect(answers).toHaveLength(120);
  await expectEachOnce(120, answers);
});

it('waits for a server that crashed in mid-write and comes back (I1)', async () => {
  const answers: DeliveryAnswer[] = [];
  const writing = Promise.all(
    names(60).map(async (name, at) => {
      answers.push(await insist(hosts[at % 2 === 0 ? 0 : 1], name));
    }),
  );
  await waitFor('some are taken', () => answers.length > 0, 30_000);
  await postgres.stop('immediate');
  await postgres.start();
  await writing;

  await expectEachOnce(60, answers);
});

it('says that the database is away when it stays away, and goes on afterwards', async () => {
  const hasty = await openHost(100);
  try {
    await postgres.stop();
    const answer = hasty.deliveries.receive({ ...makeDelivery('x'), application });
    await expect(answer).rejects.toMatchObject({ code: 'store-unavailable' });
    await postgres.start();

    expect(numberOf(await hasty.deliveries.receive({ ...makeDelivery('x'), application }))).toBe(1);
  } finally {
    await postgres.start();
    await hasty.close();
  }
});

it('starts each run once although two hosts take each delivery and two dispatchers see each row (I1)', async () => {
  const standIn = await startStandIn(inject('temporalAddress'));
  const started = new Map<string, Set<string>>();
  const watching: RunEngine = {
    ...standIn.engine,
    startRun: async (row) => {
      const answer = await standIn.engine.startRun(row);
      if (answer.type === 'started') {
        const known = started.get(row.delivery) ?? new Set();
        started.set(row.delivery, known.add(`${row.id} ${answer.temporalRunId}`));
      }
      return answer;
    },
  };
  const dispatchers = hosts.map((store) =>
    createDispatcher({ store, engine: watching, logger: silentLogger, pollMs: 20, burstMs: 0 }),
  );
  try {
    const answers = await Promise.all(names(25).flatMap((name) => hosts.map((store) => insist(store, name))));

    await expectEachOnce(25, answers);
    expect(answers.filter(({ result }) => result === 'accepted')).toHaveLength(25);
    await waitFor(
      'all runs have started',
      async () => {
        const runs = await hosts[0].runs.list({ application, limit: 100 });
        return runs.every((run) => run.temporalRunId !== undefined);
      },
      60_000,
    );
  } finally {
    await Promise.all(dispatchers.map((one) => one.stop()));
    await standIn.stop();
  }
  expect(started.size).toBe(25);
  expect([...started.values()].map((executions) => executions.size)).toEqual(Array(25).fill(1));
});

it('gives both hosts the same administrator, whoever puts the token first', async () => {
  const token = new Secret(`the-token-of-both-hosts-${randomUUID()}`);
  const admin = { name: 'admin', grants: [{ role: 'admin' }], expiresAtMs: undefined } as const;

  await Promise.all(Array.from({ length: 10 }, (_, at) => hosts[at % 2 === 0 ? 0 : 1].tokens.put(admin, token)));

  expect(await hosts[0].tokens.authenticate(token)).toMatchObject({ name: 'admin', grants: admin.grants });
  expect(await hosts[1].tokens.list()).toHaveLength(1);
});
