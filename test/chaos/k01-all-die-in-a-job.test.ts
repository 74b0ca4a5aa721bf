// I1, I2, I4: everything dies at once, or ends in good order, and the next start goes on.
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectCountedOnce } from '../support/counted.ts';
import { countingFiles, createLedger, servedFiles } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, createWorkingCopy, processesOf, run, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import { addApplication, curl, decide, peekLog, urlOf, waitForEnd, waitForGate } from '../support/runs.ts';
import { kill, killAll, suspend, waitForAnother } from '../support/victims.ts';

const root = path.resolve(import.meta.dirname, '../..');

let ledger: Ledger;
let loam: Loam;
let gated: WorkingCopy;

beforeAll(async () => {
  ledger = await createLedger();
  loam = await createLoam(ledger.env);
  await loam.start();
  const repositoryUrl = await addApplication(loam, 'gated', { place: { protected: true } });
  gated = await createWorkingCopy(loam, repositoryUrl, servedFiles(ledger, 'gated', { gate: 'approve' }));
  for (const release of [1, 2, 3]) ledger.open(`gated ${String(release)}`);
});

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
});

async function askAndServe(number: number, between: () => Promise<void>): Promise<void> {
  const id = `gated/${String(number)}`;
  await gated.push(`Ask ${String(number)}`);
  await waitForGate(loam, id);

  await between();
  const ended = await waitForEnd(loam, id);

  expect(ended.status).toBe('succeeded');
  expect((await curl(await urlOf(loam, 'gated', 'place'))).text).toBe(`gated ${String(number)}`);
  expect(ledger.count(`gated ${String(number)} starts`)).toBe(1);
  expect(ledger.count(`${id} is built`)).toBe(1);
}

async function approve(id: string): Promise<void> {
  expect((await decide(loam, id, 'approve', 'approved')).status).toBeLessThan(300);
}

it('K8: takes an approval after Ctrl-C and a new start (I4)', async () => {
  await askAndServe(1, async () => {
    await loam.interrupt();
    await loam.start();
    await approve('gated/1');
  });
});

it('K8: takes an approval after kill -9 of everything and a new start; what served serves again (I4)', async () => {
  const url = await urlOf(loam, 'gated', 'place');
  await askAndServe(2, async () => {
    await killAll(loam);
    await loam.start();
    await waitFor('the URL serves', async () => (await curl(url).catch(() => undefined))?.text === 'gated 1');
    await approve('gated/2');
  });
});

it('K8: keeps an approval that is given while no worker runs, though the API is killed right after its answer (I4)', async () => {
  await askAndServe(3, async () => {
    const resume = suspend(loam, 'up');
    const killed = await kill(loam, 'worker', '');
    await approve('gated/3');
    await kill(loam, 'api', '');
    resume();
    await waitForAnother(loam, 'worker', '', killed);
  });
});

describe('K1: a job that is under way', () => {
  let copy: WorkingCopy;

  beforeAll(async () => {
    copy = await createWorkingCopy(loam, await addApplication(loam, 'counting'), countingFiles(ledger));
  });

  /** Returns what to wait for once the hook, which follows the run, can end. */
  async function count(run: string): Promise<() => Promise<unknown>> {
    const pushed = copy.push('Count');
    await ledger.waitForNote(`${run} count begins`);
    await waitFor('some lines are stored', async () => (await peekLog(loam, run, 'count')).includes('line 20\n'));
    return () => pushed;
  }

  async function expectOnce(run: string): Promise<void> {
    await expectCountedOnce(loam, ledger, run);
    const url = await urlOf(loam, 'gated', 'place');
    await waitFor('the URL serves', async () => (await curl(url).catch(() => undefined))?.text === 'gated 3');
  }

  it('keeps its outcome when it ends while nothing of Loam lives (I2)', async () => {
    const pushed = await count('counting/1');

    expect((await killAll(loam)).length).toBeGreaterThan(5);
    await pushed();
    ledger.open('counting/1 count');
    await waitFor('the job has ended', () => ledger.notes().some((note) => note.startsWith('counting/1 count ends')));
    await loam.start();

    await expectOnce('counting/1');
  });

  it('goes on after Ctrl-C and a new start (I2)', async () => {
    const pushed = await count('counting/2');

    await loam.interrupt();
    await loam.start();
    const stored = (await peekLog(loam, 'counting/2', 'count')).length;
    await waitFor('the log goes on', async () => (await peekLog(loam, 'counting/2', 'count')).length > stored);
    ledger.open('counting/2 count');

    await expectOnce('counting/2');
    await pushed();
  });
});

it('is found by a second start, which says so and leaves it alone', async () => {
  const second = await run(process.execPath, ['src/main/up.ts', '--no-demo'], {
    cwd: root,
    env: { ...process.env, LOAM_DATA_DIR: loam.dataFolder },
  });

  expect(second.code).toBe(0);
  expect(second.stdout).toContain(`Loam runs already on ${loam.dataFolder}`);
  expect(second.stdout).toContain(loam.endpoint().apiUrl);
  expect((await loam.api('GET', '/v1/runs')).status).toBe(200);
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
