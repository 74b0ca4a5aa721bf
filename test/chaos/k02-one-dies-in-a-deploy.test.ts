// I2, I3, I6: each process of Loam is killed in the middle of a deploy, and the worker at each of its stages, also of one that fails. Each fault hits a deploy of processes and one of containers.
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src/adapters/engine/engine.ts';
import { startEngine } from '../support/engine-host.ts';
import type { EngineHost, TestEngine } from '../support/engine-host.ts';
import { tell } from '../support/faults.ts';
import { holdWrites } from '../support/hold-writes.ts';
import type { HeldWrites } from '../support/hold-writes.ts';
import { createLedger } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, processesOf, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import { addPlaces, every, expectLive, recorded, replicas, running, scale, served, serves } from '../support/places.ts';
import type { Ground, Place } from '../support/places.ts';
import { curl, readRun, waitForEnd } from '../support/runs.ts';
import { kill, killAndRevive, waitForAnother } from '../support/victims.ts';
import type { Victim } from '../support/victims.ts';
import { sendVisitor } from '../support/visitor.ts';

let host: EngineHost;
let testEngine: TestEngine;
let ledger: Ledger;
let loam: Loam;
let ground: Ground;

beforeAll(async () => {
  ({ host, engine: testEngine } = await startEngine());
  ledger = await createLedger(testEngine.hostAddress);
  loam = await createLoam({
    ...ledger.env,
    LOAM_DOCKER_SOCKET: testEngine.socketPath,
    LOAM_JOBS_CAPACITY: '12',
  });
  await loam.start();
  ground = { loam, ledger, engine: openEngine(testEngine.socketPath), baseImage: testEngine.images.node };
}, 500_000);

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
  await host.stop();
});

/** The worker is not among them: the other test kills it. */
const victims: readonly { readonly victim: Victim | 'all'; readonly processStarts: number }[] = [
  { victim: 'api', processStarts: 1 },
  { victim: 'temporal', processStarts: 1 },
  { victim: 'front', processStarts: 1 },
  { victim: 'keeper', processStarts: 2 },
  { victim: 'application', processStarts: 2 },
  { victim: 'up', processStarts: 1 },
  { victim: 'all', processStarts: 2 },
];

describe('K2: a deploy whose new release is not healthy yet', () => {
  let copy: WorkingCopy;
  let places: readonly Place[];

  beforeAll(async () => {
    [copy, places] = await addPlaces(ground, 'served', ['place']);
  });

  it.each(victims.map((one, index) => ({ ...one, number: index + 2 })))(
    'goes on after kill -9 of $victim, and one release is live; only what was killed starts again (I2, I3)',
    async ({ victim, processStarts, number }) => {
      const pushed = copy.push(`Kill ${victim}`);
      for (const { environment } of places) await ledger.waitForNote(`${environment} ${String(number)} starts`);

      await killAndRevive(loam, victim, 'served/place-process');
      await waitFor('the last release serves meanwhile', () => every(places, (place) => serves(place, number - 1)));
      for (const { environment } of places) ledger.open(`${environment} ${String(number)}`);
      const ended = await waitForEnd(loam, `served/${String(number)}`);

      expect(ended).toMatchObject({ status: 'succeeded', reason: null });
      expect(ended.tasks.map(({ attempt, status }) => [attempt, status])).toEqual(
        ended.tasks.map(() => [1, 'succeeded']),
      );
      expect(ledger.count(`served/${String(number)} is built`)).toBe(1);
      const others = Array.from({ length: number - 1 }, () => 'superseded');
      for (const place of places) await expectLive(place, number, ['live', ...others]);
      expect(ledger.count(`place-process ${String(number)} starts`)).toBe(processStarts);
      expect(ledger.count(`place-docker ${String(number)} starts`)).toBe(1);
      await pushed;
    },
  );
});

/** How a place looks while a deploy of release 2 stands still at a stage: its newest row, who answers, what runs. */
const looks = {
  begun: { status: 'deploying', front: 1, running: [1] },
  started: { status: 'deploying', front: 1, running: [1, 2] },
  switched: { status: 'deploying', front: 2, running: [1, 2] },
  draining: { status: 'live', front: 2, running: [1, 2] },
  drained: { status: 'live', front: 2, running: [2] },
} as const;
type Stage = keyof typeof looks;

/** The same where that release, of this number, never gets healthy. Once it is called failed it is ended at once: that may be over before anybody looks. */
function looksOfFailing(number: number) {
  return {
    begun: { status: 'deploying', front: 1, running: [1] },
    started: { status: 'deploying', front: 1, running: [1, number] },
    failed: { status: 'failed', front: 1 },
    ended: { status: 'failed', front: 1, running: [1] },
  };
}
const stageMs = 120_000;

interface Look {
  readonly status: string | undefined;
  readonly front: number;
  readonly running: readonly number[];
}

async function look(place: Place): Promise<Look> {
  const front = Number((await served(place))?.split(' ').at(-1));
  return { status: (await recorded(place))[0], front, running: (await running(place)).toSorted() };
}

function standAt(expected: Partial<Look>, among: readonly Place[]): Promise<boolean> {
  return every(among, async (place) => {
    const seen = await look(place);
    return isDeepStrictEqual({ ...seen, ...expected }, seen);
  });
}

/** Lets one write after the other pass. `patienceMs`: what a deploy that has just written may take to come to its next write. */
async function stepTo(
  expected: Partial<Look>,
  among: readonly Place[],
  { writes, patienceMs }: { readonly writes: HeldWrites; readonly patienceMs: number },
): Promise<void> {
  const isThere = (): Promise<boolean> =>
    waitFor('the stage', () => standAt(expected, among), patienceMs).then(
      () => true,
      () => false,
    );
  const deadline = performance.now() + stageMs;
  while (!(await isThere())) {
    if (performance.now() > deadline)
      throw new Error(`not at ${JSON.stringify(expected)}: ${JSON.stringify(await Promise.all(among.map(look)))}`);
    await writes.step();
  }
}

async function killWorker(writes: HeldWrites, among: readonly Place[]): Promise<void> {
  for (const place of among) tell(`${place.environment}: ${JSON.stringify(await look(place))}`);
  const killed = await kill(loam, 'worker', '');
  writes.release();
  await waitForAnother(loam, 'worker', '', killed);
}

describe('K2: a deploy whose worker is killed at one of its stages', () => {
  let places: readonly Place[];

  beforeAll(async () => {
    [, places] = await addPlaces(ground, 'staged', Object.keys(looks));
  });

  /** Where a deploy is to be cut off at one of these stages: a place of each target. */
  function at(...wanted: readonly Stage[]): readonly Place[] {
    return places.filter(({ environment }) => wanted.some((stage) => environment.startsWith(`${stage}-`)));
  }

  function open(stages: readonly Stage[], door: '1 waits' | '2'): void {
    for (const { environment } of at(...stages)) ledger.open(`${environment} ${door}`);
  }

  it('goes on, and the record agrees with the world (I2, I3, I6)', async () => {
    const runs: string[] = [];
    for (const place of at('begun')) {
      runs.push(await scale(place));
      const writes = holdWrites(loam);
      await stepTo(looks.begun, [place], { writes, patienceMs: 0 });
      await killWorker(writes, [place]);
      open(['begun'], '2');
    }

    const later = ['started', 'switched', 'draining', 'drained'] as const;
    runs.push(...(await Promise.all(at(...later).map(scale))));
    await waitFor('the new releases are started', () => standAt(looks.started, at('started')));
    // Requests that the releases of before have still to answer keep them from ending.
    const waiting = at('draining', 'drained').map(({ url }) => curl(`${url}/wait`).then(({ text }) => text, String));
    open(['draining', 'drained'], '2');
    await waitFor(
      'the old releases drain',
      async () =>
        (await standAt(looks.draining, at('draining'))) &&
        (await every(at('drained'), async (place) => (await recorded(place))[0] === 'live')),
    );
    const writes = holdWrites(loam);
    open(['switched'], '2');
    // Two deploys are to be there at once.
    await stepTo(looks.switched, at('switched'), { writes, patienceMs: 500 });
    open(['drained'], '1 waits');
    await waitFor('the old releases have ended', () => standAt(looks.drained, at('drained')));
    await killWorker(writes, at(...later));
    open(['started'], '2');
    open(['draining'], '1 waits');

    for (const run of runs) {
      const ended = await waitForEnd(loam, run);
      expect(ended).toMatchObject({ status: 'succeeded', reason: null });
      expect(ended.tasks).toMatchObject([{ name: 'deploy', attempt: 1, status: 'succeeded' }]);
    }
    for (const place of places) {
      await expectLive(place, 2, ['live', 'superseded']);
      expect(ledger.count(`${place.environment} 2 starts`)).toBe(replicas);
    }
    expect(await Promise.all(waiting)).toEqual(at('draining', 'drained').map(({ environment }) => `${environment} 1`));
  });
});

describe('K2: a deploy whose release never gets healthy, and whose worker is killed at its stages', () => {
  let places: readonly Place[];

  beforeAll(async () => {
    [, places] = await addPlaces(ground, 'failing', ['failing']);
  });

  async function expectFailed(place: Place, run: string, number: number): Promise<void> {
    const ended = await waitForEnd(loam, run);
    const reason = new RegExp(
      `^release ${String(number)} did not become healthy: .*ended with exit code 1 .*; release 1 still serves in ${place.environment}$`,
    );
    expect(ended.status).toBe('failed');
    expect(ended.tasks).toMatchObject([
      {
        name: 'deploy',
        attempt: 1,
        status: 'failed',
        code: 'deploy-unhealthy',
        reason: expect.stringMatching(reason) as string,
      },
    ]);
    await expectLive(place, 1, [...Array.from({ length: number - 1 }, () => 'failed'), 'live']);
  }

  it('ends with the old release live, which has answered all the while; nothing of the new one is left (I2, I3, I6)', async () => {
    const visitors = places.map(({ url }) => sendVisitor(url));
    const runs: string[] = [];
    for (const place of places) {
      runs.push(await scale(place));
      const writes = holdWrites(loam);
      await stepTo(looksOfFailing(2).begun, [place], { writes, patienceMs: 0 });
      await killWorker(writes, places);
      await waitFor('the new release is started', () => standAt(looksOfFailing(2).started, [place]));
    }
    // The other place waits for health meanwhile.
    for (const [index, place] of places.entries()) {
      const writes = holdWrites(loam);
      ledger.open(`${place.environment} 2 crashes`);
      await stepTo(looksOfFailing(2).failed, [place], { writes, patienceMs: 0 });
      await killWorker(writes, places);
      await expectFailed(place, runs[index] ?? '', 2);
    }
    for (const place of places) {
      const run = await scale(place);
      await waitFor('the new release is started', () => standAt(looksOfFailing(3).started, [place]));
      const writes = holdWrites(loam);
      ledger.open(`${place.environment} 3 crashes`);
      await stepTo(looksOfFailing(3).failed, [place], { writes, patienceMs: 0 });
      await stepTo(looksOfFailing(3).ended, [place], { writes, patienceMs: 3_000 });
      expect((await readRun(loam, run)).status).toBe('running');
      await killWorker(writes, [place]);
      await expectFailed(place, run, 3);
    }

    for (const visitor of visitors) await visitor.leave();
    expect(visitors.map((visitor) => visitor.answers())).toEqual(
      places.map(({ environment }) => [`200 ${environment} 1`]),
    );
  });
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
