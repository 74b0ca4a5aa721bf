// I2, I3: a deploy waits for its build and for its environment, whoever dies meanwhile. What began when is told by the ledger.
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDice, isLong, tell } from '../support/faults.ts';
import { createLedger, servedFiles } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, processesOf, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import {
  addSilentApplication,
  curl,
  peekLog,
  readRun,
  releasesOf,
  statuses,
  trigger,
  urlOf,
  waitForEnd,
  waitForRun,
} from '../support/runs.ts';
import { createTokenProgram } from '../support/token-program.ts';
import { kill, killAll, suspend, waitForAnother } from '../support/victims.ts';

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

async function terminate(workflowId: string): Promise<void> {
  const connection = await Connection.connect({ address: loam.endpoint().temporalAddress });
  await new Client({ connection, namespace: 'loam' }).workflow.getHandle(workflowId).terminate('by the test');
  await connection.close();
  tell(`terminated the workflow ${workflowId}`);
}

async function restart(how: 'kill -9' | 'Ctrl-C'): Promise<void> {
  if (how === 'kill -9') await killAll(loam);
  else {
    await loam.interrupt();
    tell('Ctrl-C');
  }
  await loam.start();
}

async function killWorker(): Promise<void> {
  await waitForAnother(loam, 'worker', '', await kill(loam, 'worker', ''));
}

async function fenceOf(run: string): Promise<number> {
  return Number(/\(fence (\d+)\)/.exec(await peekLog(loam, run, 'deploy'))?.[1]);
}

it('K9a: no deploy begins before its build has ended, though everything is restarted twice and slots are free', async () => {
  const copy = await addSilentApplication(loam, 'built', servedFiles(ledger, 'built', { build: 'slow' }), {
    place: {},
  });
  await copy.push('Build slowly');
  const run = await trigger(loam, 'built');
  await ledger.waitForNote(`${run} build begins`);
  ledger.open('built 1'); // a deploy that began too early would not have to wait

  await restart('kill -9');
  await restart('Ctrl-C');
  await waitForRun(loam, run, 'the build is known to run', ({ tasks }) =>
    tasks.some(({ name, status }) => name === 'build' && status === 'running'),
  );
  const meanwhile = await readRun(loam, run);
  ledger.open(`${run} build`);
  const ended = await waitForEnd(loam, run);

  expect(meanwhile.tasks.map(({ name, status }) => [name, status])).toEqual([
    ['build', 'running'],
    ['template', 'pending'],
    ['deploy', 'pending'],
  ]);
  expect(ended.status).toBe('succeeded');
  expect(ledger.notes().filter((note) => note.startsWith(`${run} `) || note.startsWith('built '))).toEqual([
    `${run} build begins`,
    `${run} is built`,
    'built 1 starts',
  ]);
});

const queued = isLong ? 10 : 5;

it(`K9b: of ${String(queued)} runs for one environment never two deploy at once, restarts and a terminated holder in between; fences only grow`, async () => {
  const dice = createDice();
  const copy = await addSilentApplication(loam, 'queued', servedFiles(ledger, 'queued'), { place: {} });
  await copy.push('Queue');
  const runs = await Promise.all(Array.from({ length: queued }, () => trigger(loam, 'queued')));
  const starts = (): readonly string[] => ledger.notes().filter((note) => /^queued \d+ starts$/.test(note));
  const holders: string[] = [];
  // A release that is terminated keeps its number: the n-th deploy makes release n.
  const terminated = dice.between(2, queued - 1);
  const faults = [() => restart('kill -9'), killWorker, () => restart('Ctrl-C')];

  for (let release = 1; release <= queued; release += 1) {
    await ledger.waitForNote(`queued ${String(release)} starts`);
    const holder = (await releasesOf(loam, 'queued')).find(({ number }) => number === release)?.run ?? '';
    holders.push(holder);
    const waiting = ({ status }: { status: string }): boolean => ['pending', 'running', 'waiting'].includes(status);
    for (const run of runs.filter((one) => !holders.includes(one)))
      expect((await readRun(loam, run)).tasks.filter(({ name }) => name === 'deploy').every(waiting)).toBe(true);

    if (release === terminated) {
      await terminate(`run/${holder}`);
      continue;
    }
    await faults.shift()?.();
    expect(new Set(starts())).toEqual(
      new Set(Array.from({ length: release }, (_, index) => `queued ${String(index + 1)} starts`)),
    );
    ledger.open(`queued ${String(release)}`);
    expect((await waitForEnd(loam, holder)).status).toBe('succeeded');
  }

  expect([...holders].sort()).toEqual([...runs].sort());
  const fences = await Promise.all(holders.map(fenceOf));
  expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b));
  const releases = await releasesOf(loam, 'queued');
  expect(releases.filter(({ status }) => status === 'live').map(({ number }) => number)).toEqual([queued]);
  expect(releases.find(({ number }) => number === terminated)?.status).toBe('failed');
  expect((await readRun(loam, holders[terminated - 1] ?? '')).status).toBe('cancelled');
  expect((await curl(await urlOf(loam, 'queued', 'place'))).text).toBe(`queued ${String(queued)}`);
});

it('K9b: when the workflow of a lock is terminated under its holder, the next deploy gets a higher fence and the stale holder is refused', async () => {
  const copy = await addSilentApplication(loam, 'stale', servedFiles(ledger, 'stale'), { place: {} });
  await copy.push('Hold');
  const first = await trigger(loam, 'stale');
  await ledger.waitForNote('stale 1 starts');

  await terminate('environment/stale/place');
  const second = await trigger(loam, 'stale');
  await ledger.waitForNote('stale 2 starts');
  ledger.open('stale 1');
  const stale = await waitForEnd(loam, first);
  ledger.open('stale 2');
  const ended = await waitForEnd(loam, second);

  expect(stale.tasks.find(({ name }) => name === 'deploy')).toMatchObject({ status: 'failed', code: 'fence-stale' });
  expect(ended.status).toBe('succeeded');
  expect(await fenceOf(second)).toBeGreaterThan(await fenceOf(first));
  expect((await releasesOf(loam, 'stale')).map(({ number, status }) => [number, status])).toEqual([
    [2, 'live'],
    [1, 'failed'],
  ]);
  expect((await curl(await urlOf(loam, 'stale', 'place'))).text).toBe('stale 2');
});

it('K7: a deploy that waits for longer than its token lives, with nobody there to renew it, gets a fresh one', async () => {
  const provider = await createTokenProgram(loam, 'lapsing', 4_000);
  const environment = { place: { trust: provider.trust } };
  const copy = await addSilentApplication(loam, 'lapsing', servedFiles(ledger, 'lapsing'), environment);
  await copy.push('Queue');
  const first = await trigger(loam, 'lapsing');
  await ledger.waitForNote('lapsing 1 starts');
  const second = await trigger(loam, 'lapsing');
  await waitForRun(loam, second, 'it waits for the lock', (run) => statuses(run)['deploy'] === 'waiting');

  const resume = suspend(loam, 'up');
  const killed = await kill(loam, 'worker', '');
  await waitFor('all tokens have expired', () => provider.draws().every(({ expiresAtMs }) => expiresAtMs < Date.now()));
  const [before, expiredAtMs] = [provider.draws().length, Date.now()];
  resume();
  await waitForAnother(loam, 'worker', '', killed);
  for (const release of [1, 2]) ledger.open(`lapsing ${String(release)}`);
  const ended = [await waitForEnd(loam, first), await waitForEnd(loam, second)];

  expect(ended.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
  expect(before).toBeGreaterThan(0);
  const [note, ...others] = ledger.notes().filter((one) => one.startsWith('lapsing 2 holds '));
  const held = provider.draws().find(({ hash }) => note === `lapsing 2 holds ${hash}`);
  expect(held?.expiresAtMs).toBeGreaterThan(expiredAtMs);
  expect(others).toEqual([]);
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
