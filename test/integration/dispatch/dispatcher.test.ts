import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { createDispatcher } from '../../../src/dispatch/dispatcher.ts';
import type { Dispatcher } from '../../../src/dispatch/dispatcher.ts';
import { DomainError } from '../../../src/core/errors.ts';
import type { ApplicationName, RunId } from '../../../src/core/model/ids.ts';
import {
  formatRunId,
  parseApplicationName,
  parseDigest,
  parseEnvironmentName,
  parseSha,
  parseTaskName,
} from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import type { RunEngine } from '../../../src/ports/run-engine.ts';
import type { RunRow, Store } from '../../../src/ports/store.ts';
import { openTestStore } from '../../support/doors-store.ts';
import type { TestStore } from '../../support/doors-store.ts';
import { silentLogger, waitFor } from '../../support/run-rows.ts';
import { startStandIn } from '../../support/stand-in-worker.ts';
import type { StandIn } from '../../support/stand-in-worker.ts';

let standIn: StandIn;
let test: TestStore;
let store: Store;
let application: ApplicationName;
let dispatchers: Dispatcher[];

beforeAll(async () => {
  standIn = await startStandIn(inject('temporalAddress'));
});

afterAll(async () => {
  await standIn.stop();
});

beforeEach(async () => {
  test = await openTestStore();
  store = test.store;
  dispatchers = [];
  // The Temporal server is shared by all tests: its ids must not meet.
  application = parseApplicationName(`d-${randomUUID().slice(0, 8)}`);
  await store.applications.add(
    { name: application, repositoryUrl: '/nowhere', local: true, branches: [], trigger: randomUUID() },
    new Secret('s'.repeat(32)),
  );
});

afterEach(async () => {
  await Promise.all(dispatchers.map((one) => one.stop()));
  await test.destroy();
});

function startDispatcher(engine: RunEngine = standIn.engine, burstMs?: number): Dispatcher {
  const dispatcher = createDispatcher({
    store,
    engine,
    logger: silentLogger,
    pollMs: 100,
    reconcileMs: 50,
    graceMs: 200,
    ...(burstMs !== undefined && { burstMs }),
  });
  dispatchers.push(dispatcher);
  return dispatcher;
}

async function receivePush(): Promise<RunId> {
  const id = randomUUID();
  const answer = await store.deliveries.receive({
    application,
    source: 'hook',
    deliveryId: id,
    bodyDigest: parseDigest(`sha256:${id.replaceAll('-', '').repeat(2)}`),
    push: {
      ref: 'refs/heads/main',
      before: undefined,
      after: parseSha(id.replaceAll('-', '').padEnd(40, '0')),
      pushedAtMs: Date.now(),
      message: 'Say hello',
      author: 'Ann',
    },
    ignored: undefined,
  });
  if (answer.result !== 'accepted') throw new Error(answer.result);
  return formatRunId({ application, number: answer.number, round: 1 });
}

async function readRun(run: RunId): Promise<RunRow> {
  const row = await store.runs.get(run);
  if (row === undefined) throw new Error(`no row ${run}`);
  return row;
}

async function openGate(run: RunId): Promise<string> {
  const gate = parseTaskName('approve');
  const preview = {
    application,
    fromRelease: undefined,
    fromCommit: undefined,
    toCommit: 'a',
    commits: [],
    moreCommits: false,
    configAdded: [],
    configRemoved: [],
    configChanged: [],
    digest: undefined,
  };
  await store.gates.open({
    run,
    gate,
    environment: parseEnvironmentName('production'),
    subjects: [],
    preview,
    timeoutMs: 60_000,
  });
  const { decision } = await store.gates.decide(run, gate, { verdict: 'approved', by: 'ann', comment: '' });
  return decision.id;
}

describe('dispatcher', () => {
  it('starts what was received before it began, and what comes later when woken (I1)', async () => {
    const early = await receivePush();
    const dispatcher = startDispatcher();
    await waitFor('the early run starts', async () => (await readRun(early)).temporalRunId);
    const late = await receivePush();

    dispatcher.wake();

    await waitFor('the late run starts', async () => (await readRun(late)).temporalRunId);
    expect(await standIn.engine.isOpen(`run/${early}`)).toBe(true);
    expect(await standIn.engine.isOpen(`run/${late}`)).toBe(true);
  });

  it('starts a run once although two dispatchers see it', async () => {
    const runs = await Promise.all([receivePush(), receivePush(), receivePush()]);

    startDispatcher();
    startDispatcher();

    for (const run of runs) await waitFor(`${run} starts`, async () => (await readRun(run)).temporalRunId);
    expect((await store.runs.list({ application, limit: 10 })).map((row) => row.id).toSorted()).toEqual(
      runs.toSorted(),
    );
  });

  it.each([
    { burstMs: 600_000, together: 1 },
    { burstMs: 0, together: 4 },
  ])('starts $together at once within $burstMs ms after a delivery', async ({ burstMs, together }) => {
    let [under, most] = [0, 0];
    const counting: RunEngine = {
      ...standIn.engine,
      startRun: async (row) => {
        most = Math.max(most, (under += 1));
        // Returns once as many as expected have come: a start that waits alone shows that there was no other.
        if (burstMs === 0) await waitFor('all starts are under way', () => most === together || undefined);
        try {
          return await standIn.engine.startRun(row);
        } finally {
          under -= 1;
        }
      },
    };
    const runs = await Promise.all(Array.from({ length: 4 }, receivePush));

    startDispatcher(counting, burstMs).wake(); // the rows are read only after this turn

    for (const run of runs) await waitFor('the run starts', async () => (await readRun(run)).temporalRunId);
    expect(most).toBe(together);
  });

  it('passes over a number that Temporal knows with another delivery', async () => {
    const run = await receivePush();
    await standIn.engine.startRun({ ...(await readRun(run)), delivery: 'of the lost database' });

    startDispatcher();

    const next = formatRunId({ application, number: 2, round: 1 });
    await waitFor('the run has the next number', async () => (await store.runs.get(next))?.temporalRunId);
    expect(await store.runs.get(run)).toBeUndefined();
  });

  it('goes on once Temporal is back, and does not give up meanwhile (I1)', async () => {
    const run = await receivePush();
    let isAway = true;
    let asked = 0;
    const startRun: RunEngine['startRun'] = (row) => {
      asked += 1;
      if (isAway) return Promise.reject(new DomainError('temporal-unavailable', 'away'));
      return standIn.engine.startRun(row);
    };
    startDispatcher({ ...standIn.engine, startRun });
    await waitFor('it was asked again', () => asked >= 3);
    expect((await readRun(run)).status).toBe('pending');

    isAway = false;

    await waitFor('the run starts', async () => (await readRun(run)).temporalRunId);
  });

  it('ends a run that Temporal refuses for good, and starts the others', async () => {
    const [bad, good] = [await receivePush(), await receivePush()];
    const startRun: RunEngine['startRun'] = (row) =>
      row.id === bad
        ? Promise.reject(new DomainError('internal', 'Temporal refused it'))
        : standIn.engine.startRun(row);

    startDispatcher({ ...standIn.engine, startRun });

    await waitFor('the good one starts', async () => (await readRun(good)).temporalRunId);
    await waitFor('the bad one ends', async () => (await readRun(bad)).status === 'failed');
    expect(await readRun(bad)).toMatchObject({ code: 'internal', reason: 'Temporal refused it' });
  });

  it('delivers a decision, also one that was written while it was away (I4)', async () => {
    const run = await receivePush();
    const dispatcher = startDispatcher();
    await waitFor('the run starts', async () => (await readRun(run)).temporalRunId);
    await dispatcher.stop();
    const decision = await openGate(run);

    startDispatcher();

    await expect(standIn.client.workflow.getHandle(`run/${run}`).result()).resolves.toMatchObject({
      reason: `${run} ${decision}`,
    });
    await waitFor('nothing is left', async () => (await store.gates.undelivered(10)).length === 0);
  });

  it('forgets a decision whose run has gone', async () => {
    const run = await receivePush();
    await store.runs.markStarted(run, 'lost');
    await openGate(run);

    startDispatcher();

    await waitFor('nothing is left', async () => (await store.gates.undelivered(10)).length === 0);
  });

  it('ends a run that was cancelled before it began, without a workflow', async () => {
    const run = await receivePush();
    await store.runs.requestCancel(run, 'ann');

    startDispatcher();

    await waitFor('the run ends', async () => (await readRun(run)).status === 'cancelled');
    expect((await readRun(run)).reason).toBe('cancelled by ann before it began');
    expect(await standIn.engine.isOpen(`run/${run}`)).toBe(false);
  });

  it('cancels a running run, and writes down how its workflow closed', async () => {
    const run = await receivePush();
    const dispatcher = startDispatcher();
    await waitFor('the run starts', async () => (await readRun(run)).temporalRunId);
    await store.runs.requestCancel(run, 'ann');

    dispatcher.wake();

    await waitFor('the row ends', async () => (await readRun(run)).status === 'cancelled');
    expect(await readRun(run)).toMatchObject({ reason: 'cancelled by ann' });
    expect(await store.runs.undeliveredCancels(10)).toEqual([]);
  });

  it('marks a start that was cut off before it was marked, and does not cancel it twice', async () => {
    const run = await receivePush();
    await standIn.engine.startRun(await readRun(run));
    await store.runs.requestCancel(run, 'ann');

    startDispatcher();

    await waitFor('the row ends', async () => (await readRun(run)).status === 'cancelled');
    expect((await readRun(run)).temporalRunId).toBeDefined();
    expect(await standIn.engine.closedStatus(run)).toBe('cancelled');
  });

  it('ends rows whose workflow was terminated, failed to record, or is unknown', async () => {
    const [terminated, completed, unknown] = [await receivePush(), await receivePush(), await receivePush()];
    await store.runs.markStarted(unknown, 'lost');
    startDispatcher();
    await waitFor(
      'both start',
      async () => (await readRun(terminated)).temporalRunId && (await readRun(completed)).temporalRunId,
    );

    await standIn.client.workflow.getHandle(`run/${terminated}`).terminate('by hand');
    await openGate(completed); // the stand-in ends with the decision and writes no last record

    await waitFor('all end', async () => (await store.runs.open()).length === 0);
    expect(await readRun(terminated)).toMatchObject({
      status: 'cancelled',
      reason: expect.stringContaining('terminated in Temporal') as string,
    });
    expect(await readRun(completed)).toMatchObject({ status: 'failed', code: 'internal' });
    expect(await readRun(unknown)).toMatchObject({
      status: 'failed',
      reason: expect.stringContaining('does not know') as string,
    });
  });

  it('leaves open runs alone', async () => {
    const run = await receivePush();
    let looks = 0;
    const closedStatus: RunEngine['closedStatus'] = (id) => {
      looks += 1;
      return standIn.engine.closedStatus(id);
    };
    startDispatcher({ ...standIn.engine, closedStatus });

    await waitFor('it was looked at for longer than the grace', () => looks > 10);

    expect((await readRun(run)).status).toBe('pending');
  });

  it('starts the next round like a run', async () => {
    const run = await receivePush();
    await store.runs.markStarted(run, 'first');
    await store.runs.finish(run, { status: 'failed', code: undefined, reason: 'red' });
    const second = await store.runs.newRound(run, []);

    startDispatcher();

    await waitFor('the round starts', async () => (await readRun(second.id)).temporalRunId);
    expect(await standIn.engine.isOpen(`run/${application}/1/2`)).toBe(true);
  });
});
