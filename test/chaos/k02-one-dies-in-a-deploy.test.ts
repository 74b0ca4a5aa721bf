// I2, I3, I6: each process of Loam is killed in the middle of a deploy, and the worker at each of its stages. Each fault hits a deploy of processes and one of containers.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openEngine } from '../../src/adapters/engine/engine.ts';
import { installationOf } from '../../src/adapters/target/docker/container-spec.ts';
import { startEngine } from '../support/engine.ts';
import type { TestEngine } from '../support/engine.ts';
import type { EngineHost } from '../support/engine-host.ts';
import { tell } from '../support/faults.ts';
import { holdWrites } from '../support/hold-writes.ts';
import type { HeldWrites } from '../support/hold-writes.ts';
import { createLedger, placesFiles } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, createWorkingCopy, processesOf, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import { addApplication, curl, releasesOf, urlOf, waitForEnd } from '../support/runs.ts';
import { kill, killAndRevive, waitForAnother } from '../support/victims.ts';
import type { Victim } from '../support/victims.ts';

type Target = 'process' | 'docker';
const targets: readonly Target[] = ['process', 'docker'];

let host: EngineHost;
let testEngine: TestEngine;
let engine: Docker;
let ledger: Ledger;
let loam: Loam;

beforeAll(async () => {
  ({ host, engine: testEngine } = await startEngine());
  engine = openEngine(testEngine.socketPath);
  ledger = await createLedger(testEngine.hostAddress);
  loam = await createLoam({
    ...ledger.env,
    LOAM_DOCKER_SOCKET: testEngine.socketPath,
    LOAM_JOBS_CAPACITY: '12',
  });
  await loam.start();
}, 500_000);

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
  await host.stop();
});

/** One environment of an application. */
interface Place {
  readonly application: string;
  readonly target: Target;
  /** Its releases call themselves so in the ledger, with their number. */
  readonly environment: string;
  readonly url: string;
}

/** Adds the application with a place of each name on each target, and deploys its first release to all. */
async function addPlaces(application: string, names: readonly string[]): Promise<[WorkingCopy, readonly Place[]]> {
  const settings = names.flatMap((name) => targets.map((target) => [`${name}-${target}`, { target }] as const));
  const repositoryUrl = await addApplication(loam, application, Object.fromEntries(settings));
  const copy = await createWorkingCopy(loam, repositoryUrl, placesFiles(ledger, names, testEngine.images.node));
  for (const [environment] of settings) ledger.open(`${environment} 1`);
  await copy.push('Serve');
  expect((await waitForEnd(loam, `${application}/1`)).status).toBe('succeeded');
  const places: Place[] = [];
  for (const [environment, { target }] of settings)
    places.push({ application, target, environment, url: await urlOf(loam, application, environment) });
  return [copy, places];
}

async function served({ url }: Place): Promise<string | undefined> {
  const answer = await curl(url).catch(() => undefined); // the front may be starting again
  return answer?.status === 200 ? answer.text : undefined;
}

async function serves(place: Place, number: number): Promise<boolean> {
  return (await served(place)) === `${place.environment} ${String(number)}`;
}

async function every(places: readonly Place[], condition: (place: Place) => Promise<boolean>): Promise<boolean> {
  return (await Promise.all(places.map(condition))).every(Boolean);
}

/** Numbers of the releases that have a process or a container. */
async function running({ application, environment, target }: Place): Promise<readonly number[]> {
  if (target === 'docker') {
    const label = [`loam.installation=${installationOf(loam.dataFolder)}`, `loam.environment=${environment}`];
    const containers = await engine.listContainers({ all: true, filters: { label } });
    return [...new Set(containers.map(({ Labels }) => Number(Labels['loam.release'])))];
  }
  const folder = path.join(loam.dataFolder, 'releases', application, environment);
  const releases = readdirSync(folder).filter((name) => /^\d+-\d+$/.test(name));
  const numbers = releases.map((name) => Number.parseInt(name, 10));
  return numbers.filter((number) => processesOf(`${folder}/${String(number)}-`).length > 0);
}

/** Status of each of its releases, newest first. */
async function recorded({ application, environment }: Place): Promise<readonly string[]> {
  const releases = await releasesOf(loam, application);
  return releases.filter((release) => release.environment === environment).map(({ status }) => status);
}

/** The record agrees with the world: one release is live, that one answers, and nothing else runs. */
async function expectLive(place: Place, number: number): Promise<void> {
  const others = Array.from({ length: number - 1 }, () => 'superseded');
  expect(await recorded(place)).toEqual(['live', ...others]);
  expect(await served(place)).toBe(`${place.environment} ${String(number)}`);
  expect(await running(place)).toEqual([number]);
}

const replicas = 2;

/** Deploys the live release once more: a run of nothing but this deploy. */
async function scale({ application, environment }: Place): Promise<string> {
  const route = `/v1/applications/${application}/environments/${environment}/scale`;
  const { status, body } = await loam.api('POST', route, { replicas });
  if (status !== 202) throw new Error(`a scale was answered ${String(status)}: ${JSON.stringify(body)}`);
  return z.object({ run: z.string() }).parse(body).run;
}

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
    [copy, places] = await addPlaces('served', ['place']);
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
      for (const place of places) await expectLive(place, number);
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
/** More writes than lead from one stage to the next. */
const maxSteps = 100;

describe('K2: a deploy whose worker is killed at one of its stages', () => {
  let places: readonly Place[];

  beforeAll(async () => {
    [, places] = await addPlaces('staged', Object.keys(looks));
  });

  /** Where a deploy is to be cut off at one of these stages: a place of each target. */
  function at(...wanted: readonly Stage[]): readonly Place[] {
    return places.filter(({ environment }) => wanted.some((stage) => environment.startsWith(`${stage}-`)));
  }

  function open(stages: readonly Stage[], door: '1 waits' | '2'): void {
    for (const { environment } of at(...stages)) ledger.open(`${environment} ${door}`);
  }

  async function look(place: Place): Promise<object> {
    const front = Number((await served(place))?.split(' ').at(-1));
    return { status: (await recorded(place))[0], front, running: (await running(place)).toSorted() };
  }

  async function stand(stage: Stage, among = at(stage)): Promise<boolean> {
    return every(among, async (place) => isDeepStrictEqual(await look(place), looks[stage]));
  }

  /** Lets one write after the other pass. Where two deploys are to be there at once, the one that has just written gets time to come to its next write. */
  async function stepTo(stage: Stage, among: readonly Place[], writes: HeldWrites): Promise<void> {
    const patienceMs = among.length === 1 ? 0 : 500;
    const isThere = (): Promise<boolean> =>
      waitFor(stage, () => stand(stage, among), patienceMs).then(
        () => true,
        () => false,
      );
    for (let step = 0; !(await isThere()); step += 1)
      if (step === maxSteps || !(await writes.step()))
        throw new Error(`not at the stage ${stage}: ${JSON.stringify(await Promise.all(among.map(look)))}`);
  }

  async function killWorker(writes: HeldWrites, among: readonly Place[]): Promise<void> {
    for (const place of among) tell(`${place.environment}: ${JSON.stringify(await look(place))}`);
    const killed = await kill(loam, 'worker', '');
    writes.release();
    await waitForAnother(loam, 'worker', '', killed);
  }

  it('goes on, and the record agrees with the world (I2, I3, I6)', async () => {
    const runs: string[] = [];
    for (const place of at('begun')) {
      runs.push(await scale(place));
      const writes = holdWrites(loam);
      await stepTo('begun', [place], writes);
      await killWorker(writes, [place]);
      open(['begun'], '2');
    }

    const later = ['started', 'switched', 'draining', 'drained'] as const;
    runs.push(...(await Promise.all(at(...later).map(scale))));
    await waitFor('the new releases are started', () => stand('started'));
    // Requests that the releases of before have still to answer keep them from ending.
    const waiting = at('draining', 'drained').map(({ url }) => curl(`${url}/wait`).then(({ text }) => text, String));
    open(['draining', 'drained'], '2');
    await waitFor(
      'the old releases drain',
      async () =>
        (await stand('draining')) &&
        (await every(at('drained'), async (place) => (await recorded(place))[0] === 'live')),
    );
    const writes = holdWrites(loam);
    open(['switched'], '2');
    await stepTo('switched', at('switched'), writes);
    open(['drained'], '1 waits');
    await waitFor('the old releases have ended', () => stand('drained'));
    await killWorker(writes, at(...later));
    open(['started'], '2');
    open(['draining'], '1 waits');

    for (const run of runs) {
      const ended = await waitForEnd(loam, run);
      expect(ended).toMatchObject({ status: 'succeeded', reason: null });
      expect(ended.tasks).toMatchObject([{ name: 'deploy', attempt: 1, status: 'succeeded' }]);
    }
    for (const place of places) {
      await expectLive(place, 2);
      expect(ledger.count(`${place.environment} 2 starts`)).toBe(replicas);
    }
    expect(await Promise.all(waiting)).toEqual(at('draining', 'drained').map(({ environment }) => `${environment} 1`));
  });
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
