// I2: each process of Loam is killed in the middle of a job. A ledger outside Loam counts what the job did.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectCountedOnce } from '../support/counted.ts';
import { countingFiles, createLedger, servedFiles, withoutHead } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, createWorkingCopy, processesOf, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import { addApplication, curl, peekLog, readLog, urlOf, waitForEnd } from '../support/runs.ts';
import { kill, waitForAnother } from '../support/victims.ts';
import type { Victim } from '../support/victims.ts';

let ledger: Ledger;
let loam: Loam;
let copy: WorkingCopy;
let url: string;

beforeAll(async () => {
  ledger = await createLedger();
  loam = await createLoam(ledger.env);
  await loam.start();
  const servedUrl = await addApplication(loam, 'served', { place: {} });
  const served = await createWorkingCopy(loam, servedUrl, servedFiles(ledger, 'served'));
  ledger.open('served 1');
  await served.push('Serve');
  expect((await waitForEnd(loam, 'served/1')).status).toBe('succeeded');
  url = await urlOf(loam, 'served', 'place');
  copy = await createWorkingCopy(loam, await addApplication(loam, 'counting'), countingFiles(ledger));
});

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
});

/** Without one of these the URL does not answer for a moment. */
const serving: readonly Victim[] = ['front', 'application', 'keeper'];
const victims: readonly Victim[] = ['worker', 'api', 'relay', 'front', 'application', 'keeper', 'temporal', 'up'];

it.each(victims.map((victim, index) => ({ victim, run: `counting/${String(index + 1)}` })))(
  'K1: kill -9 of $victim in mid-job: the job runs once, its log is whole, the run succeeds, the URL serves (I2)',
  async ({ victim, run }) => {
    const job = `${run} count`;
    const peek = (): Promise<string> => peekLog(loam, run, 'count');
    const pushed = copy.push(`Kill ${victim}`);
    await ledger.waitForNote(`${job} begins`);
    await waitFor('some lines are stored', async () => (await peek()).includes('line 20\n'));

    const killed = await kill(loam, victim, 'served/place');
    const before = ledger.notes().length;
    if (!serving.includes(victim)) expect((await curl(url)).status).toBe(200);
    if (victim === 'up') await loam.start();
    await waitForAnother(loam, victim, 'served/place', killed);
    const stored = (await peek()).length;
    await waitFor('the log goes on', async () => (await peek()).length > stored);
    ledger.open(job);

    await expectCountedOnce(loam, ledger, run);
    expect(withoutHead(await readLog(loam, run, 'after'))).toBe('done\n');
    expect(
      ledger
        .notes()
        .slice(before)
        .filter((note) => note === 'served 1 starts'),
    ).toHaveLength(['application', 'keeper'].includes(victim) ? 1 : 0);
    await waitFor('the URL serves', async () => (await curl(url).catch(() => undefined))?.status === 200);
    expect((await pushed).code).toBe(0);
  },
);

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
