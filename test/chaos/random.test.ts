// All of it (I1, I2, I3): the Temporal server dies again and again, then anything does, at random, while commits come in. A ledger outside Loam counts.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectCountedOnce } from '../support/counted.ts';
import { generic, postUntilTaken } from '../support/deliveries.ts';
import type { Door } from '../support/deliveries.ts';
import { conclude, createDice, isLong } from '../support/faults.ts';
import type { Dice } from '../support/faults.ts';
import { countingFiles, createLedger, servedFiles } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, processesOf, run, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import {
  addSilentApplication,
  curl,
  peekLog,
  releasesOf,
  runsOf,
  trigger,
  urlOf,
  waitForEnds,
} from '../support/runs.ts';
import { kill, killAndRevive, waitForAnother } from '../support/victims.ts';
import type { Victim } from '../support/victims.ts';

let ledger: Ledger;
let loam: Loam;

beforeAll(async () => {
  ledger = await createLedger();
  loam = await createLoam({ ...ledger.env, LOAM_JOBS_CAPACITY: '12' });
  await loam.start();
});

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
});

const [deaths, lasting] = isLong ? [20, 30] : [3, 6];

it(`the Temporal server is killed ${String(deaths)} times over ${String(lasting)} runs: every run ends as it should, and none twice (I1, I2)`, async () => {
  const copy = await addSilentApplication(loam, 'lasting', countingFiles(ledger));
  await copy.push('Last');
  const runs: string[] = [];
  const isOpen = (run: string): boolean => !ledger.notes().some((note) => note.startsWith(`${run} count ends at `));

  for (let death = 1; death <= deaths; death += 1) {
    const wanted = Math.ceil((death * lasting) / deaths);
    while (runs.length < wanted) runs.push(await trigger(loam, 'lasting'));
    const newest = runs.at(-1) ?? '';
    await ledger.waitForNote(`${newest} count begins`);
    const killed = await kill(loam, 'temporal', '');
    // The oldest ends while there is no server; the newest goes on over its death.
    const oldest = runs.find(isOpen);
    if (oldest !== undefined && oldest !== newest) ledger.open(`${oldest} count`);
    await waitForAnother(loam, 'temporal', '', killed);
    const stored = (await peekLog(loam, newest, 'count')).length;
    await waitFor('the log goes on', async () => (await peekLog(loam, newest, 'count')).length > stored);
  }
  for (const run of runs) ledger.open(`${run} count`);
  await waitForEnds(loam, runs, 600_000);

  for (const run of runs) await expectCountedOnce(loam, ledger, run);
  conclude(`${String(runs.length)} runs: 0 lost, 0 double, 0 wrong ends`);
});

interface Stream {
  readonly application: string;
  readonly copy: WorkingCopy;
  readonly pushed: string[];
}

interface Telling {
  readonly door: Door;
  /** Again though it was answered well. */
  readonly isTwice: boolean;
}

/** Pushes a commit of its own. Returns how to tell of it as a forge does: again and again until somebody answers well. */
async function pushOne(
  { application, copy, pushed }: Stream,
  { door, isTwice }: Telling,
): Promise<() => Promise<void>> {
  const label = String(pushed.length + 1);
  ledger.open(`${application} ${label}`);
  await copy.write('label', label);
  const { sha, code } = await copy.push(label);
  // The git that takes a push may be among what was killed: whoever pushes sees that, and pushes again.
  const isPushed = async (): Promise<boolean> =>
    (await run('git', ['push', 'origin', 'HEAD:refs/heads/main'], { cwd: copy.folder })).code === 0;
  if (code !== 0) await waitFor('the commit is pushed', isPushed);
  const delivery = generic(sha, pushed.at(-1));
  pushed.push(sha);
  return async () => {
    await postUntilTaken(loam, door, application, delivery);
    if (isTwice) await postUntilTaken(loam, door, application, delivery);
  };
}

const victims: readonly [Victim | 'all', ...(Victim | 'all')[]] = [
  'worker',
  'worker',
  'api',
  'relay',
  'temporal',
  'front',
  'up',
  'all',
];

const [chaosMs, pushes] = isLong ? [600_000, 200] : [60_000, 20];

async function waitUntil(dueAt: number): Promise<void> {
  await waitFor('the time has come', () => performance.now() >= dueAt, chaosMs);
}

/** Jobs of the commits before may end when another one comes: some do while nobody looks. */
async function pushAll(dice: Dice, streams: readonly [Stream, ...Stream[]]): Promise<void> {
  const begunAt = performance.now();
  const told: Promise<void>[] = [];
  for (let count = 0; count < pushes; count += 1) {
    await waitUntil(begunAt + (count * chaosMs) / pushes);
    const stream = dice.pick(streams);
    const tellOfIt = await pushOne(stream, { door: dice.pick(['api', 'relay']), isTwice: dice.between(1, 3) === 1 });
    told.push(tellOfIt());
    for (let number = 1; number < stream.pushed.length; number += 1) ledger.open(`jobs/${String(number)} count`);
  }
  await Promise.all(told);
}

async function killAllTheWhile(dice: Dice): Promise<void> {
  const overAt = performance.now() + chaosMs;
  while (performance.now() < overAt) {
    await waitUntil(performance.now() + dice.between(1_000, 6_000));
    await killAndRevive(loam, dice.pick(victims), '');
  }
}

/** One run for each commit, and it succeeded. */
async function expectOneEach({ application, pushed }: Stream): Promise<readonly string[]> {
  const hasAll = async (): Promise<boolean> => (await runsOf(loam, application)).length >= pushed.length;
  await waitFor(`every commit of ${application} has its run`, hasAll);
  const runs = await runsOf(loam, application);
  const ended = await waitForEnds(
    loam,
    runs.map(({ id }) => id),
    600_000,
  );
  expect(ended.map(({ commit }) => commit).sort()).toEqual([...pushed].sort());
  expect(ended.map(({ id, status, reason }) => ({ id, status, reason }))).toEqual(
    runs.map(({ id }) => ({ id, status: 'succeeded', reason: null })),
  );
  return runs.map(({ id }) => id);
}

/** One release for each commit; the record says which one is live, and so does the world. */
async function expectOneLive({ application, pushed }: Stream): Promise<void> {
  const releases = await releasesOf(loam, application);
  expect(releases.map(({ commit }) => commit).sort()).toEqual([...pushed].sort());
  const live = releases.filter(({ status }) => status === 'live');
  expect(live).toHaveLength(1);
  const label = `${application} ${String(pushed.indexOf(live[0]?.commit ?? '') + 1)}`;
  const url = await urlOf(loam, application, 'place');
  await waitFor('it serves', async () => (await curl(url).catch(() => undefined))?.text === label);
}

it(`anything is killed at random for ${String(chaosMs / 1000)} s while ${String(pushes)} commits come in: 0 lost, 0 double, 0 wrong ends (I1, I2, I3)`, async () => {
  const jobs = {
    application: 'jobs',
    copy: await addSilentApplication(loam, 'jobs', countingFiles(ledger)),
    pushed: [],
  };
  const served = {
    application: 'served',
    copy: await addSilentApplication(loam, 'served', servedFiles(ledger, 'served'), { place: {} }),
    pushed: [],
  };

  // The front lives from the first deploy on.
  await (
    await pushOne(served, { door: 'api', isTwice: false })
  )();
  await waitForEnds(loam, ['served/1']);
  await Promise.all([pushAll(createDice(), [jobs, served]), killAllTheWhile(createDice())]);
  for (let number = 1; number <= pushes; number += 1) ledger.open(`jobs/${String(number)} count`);

  for (const run of await expectOneEach(jobs)) await expectCountedOnce(loam, ledger, run);
  for (const run of await expectOneEach(served)) expect(ledger.count(`${run} is built`)).toBe(1);
  await expectOneLive(served);
  const [ofJobs, ofServed] = [jobs, served].map(({ pushed }: Stream) => String(pushed.length));
  conclude(`${String(ofJobs)} runs of jobs, ${String(ofServed)} of deploys: 0 lost, 0 double, 0 wrong ends`);
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
