// I2: in mid-job Loam is away for a while, all of it or its worker alone. The job goes on meanwhile, as a process or in a container: all four at once.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectCountedOnce } from '../support/counted.ts';
import { startEngine } from '../support/engine-host.ts';
import type { EngineHost, TestEngine } from '../support/engine-host.ts';
import { isLong, tell } from '../support/faults.ts';
import { countingFiles, createLedger } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, processesOf, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import { addSilentApplication, peekLog, trigger } from '../support/runs.ts';
import { findVictim, kill, killAll, suspend } from '../support/victims.ts';

interface Bed {
  readonly executor: 'process' | 'docker';
  readonly away: 'everything' | 'worker';
  /** The ledger is everybody's: no two have an application of the same name. */
  readonly application: string;
  readonly loam: Loam;
}

let host: EngineHost;
let engine: TestEngine;
let ledger: Ledger;
let beds: readonly Bed[] = [];

beforeAll(async () => {
  ({ host, engine } = await startEngine());
  ledger = await createLedger(engine.hostAddress);
  beds = await Promise.all([
    makeBed('process', 'everything'),
    makeBed('process', 'worker'),
    makeBed('docker', 'everything'),
    makeBed('docker', 'worker'),
  ]);
}, 500_000);

afterAll(async () => {
  await Promise.all(beds.map(({ loam }) => loam.destroy()));
  await ledger.close();
  await host.stop();
});

async function makeBed(executor: Bed['executor'], away: Bed['away']): Promise<Bed> {
  const loam = await createLoam({
    ...ledger.env,
    LOAM_EXECUTOR: executor,
    LOAM_DOCKER_SOCKET: engine.socketPath,
    LOAM_DOCKER_IMAGE: engine.images.node,
  });
  await loam.start();
  const application = `${executor}-${away}`;
  const copy = await addSilentApplication(loam, application, countingFiles(ledger, executor));
  await copy.push('Count');
  return { executor, away, application, loam };
}

interface Counting extends Bed {
  readonly run: string;
  /** Its name in the ledger. */
  readonly job: string;
}

async function beginCounting(bed: Bed): Promise<Counting> {
  const run = await trigger(bed.loam, bed.application);
  await waitFor('some lines are stored', async () => (await peekLog(bed.loam, run, 'count')).includes('line 20\n'));
  return { ...bed, run, job: `${run} count` };
}

/** Returns how to bring it back. */
async function takeAway({ loam, away }: Bed): Promise<() => Promise<void>> {
  if (away === 'everything') {
    await killAll(loam);
    return () => loam.start();
  }
  const resume = suspend(loam, 'up'); // which would start another worker
  await kill(loam, 'worker', '');
  return () => {
    resume();
    return Promise.resolve();
  };
}

/** The length of the outage is what is tested: this lasts so long, and sees each job go on meanwhile. */
async function watch(jobs: readonly Counting[], seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    const before = jobs.map(({ job }) => ledger.asked(job));
    await waitFor('each job goes on', () => jobs.every(({ job }, index) => ledger.asked(job) > (before[index] ?? 0)));
  }
  for (const { loam } of jobs) expect(findVictim(loam, 'worker', '')).toBeUndefined();
  tell(`nothing came back for ${String(seconds)} s`);
}

async function letEnd({ loam, run, job }: Counting): Promise<void> {
  const stored = (await peekLog(loam, run, 'count')).length;
  await waitFor('the log goes on', async () => (await peekLog(loam, run, 'count')).length > stored);
  ledger.open(job);
}

it.each(isLong ? [2, 30, 300] : [2, 30])(
  'K1: Loam, or its worker alone, is away for %i s in mid-job: the job goes on and runs once, its log is whole, the run succeeds (I2)',
  async (seconds) => {
    const jobs = await Promise.all(beds.map(beginCounting));

    const returns = await Promise.all(jobs.map(takeAway));
    await watch(jobs, seconds).finally(() => Promise.all(returns.map((comeBack) => comeBack())));
    await Promise.all(jobs.map(letEnd));

    for (const { loam, run } of jobs) await expectCountedOnce(loam, ledger, run);
  },
);

it('leaves no process behind when it is ended', async () => {
  await Promise.all(beds.map(({ loam }) => loam.destroy()));

  expect(beds.flatMap(({ loam }) => processesOf(loam.folder))).toEqual([]);
});
