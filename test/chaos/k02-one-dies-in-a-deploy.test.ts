// I2, I3, I6: each process of Loam is killed in the middle of a deploy, while the new release is not healthy yet.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLedger, servedFiles } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, createWorkingCopy, processesOf, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import { addApplication, curl, urlOf, waitForEnd } from '../support/runs.ts';
import { kill, killAll, waitForAnother } from '../support/victims.ts';
import type { Victim } from '../support/victims.ts';

let ledger: Ledger;
let loam: Loam;
let copy: WorkingCopy;
let url: string;

beforeAll(async () => {
  ledger = await createLedger();
  loam = await createLoam(ledger.env);
  await loam.start();
  const repositoryUrl = await addApplication(loam, 'served', { place: {} });
  copy = await createWorkingCopy(loam, repositoryUrl, servedFiles(ledger, 'served'));
  ledger.open('served 1');
  await copy.push('Serve');
  expect((await waitForEnd(loam, 'served/1')).status).toBe('succeeded');
  url = await urlOf(loam, 'served', 'place');
});

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
});

async function liveReleases(): Promise<readonly number[]> {
  const { releases } = (await loam.json(['releases', 'served'])) as { releases: { number: number; status: string }[] };
  return releases.filter(({ status }) => status === 'live').map(({ number }) => number);
}

async function killAndRevive(victim: Victim | 'all'): Promise<void> {
  if (victim === 'all') {
    await killAll(loam);
    await loam.start();
    return;
  }
  const killed = await kill(loam, victim, 'served/place');
  if (victim === 'up') await loam.start();
  await waitForAnother(loam, victim, 'served/place', killed);
}

/** How often the new release is started: only what was killed starts again. */
const cases: readonly { readonly victim: Victim | 'all'; readonly starts: number }[] = [
  { victim: 'worker', starts: 1 },
  { victim: 'api', starts: 1 },
  { victim: 'temporal', starts: 1 },
  { victim: 'front', starts: 1 },
  { victim: 'keeper', starts: 2 },
  { victim: 'application', starts: 2 },
  { victim: 'up', starts: 1 },
  { victim: 'all', starts: 2 },
];

it.each(cases.map((one, index) => ({ ...one, number: index + 2 })))(
  'K2: kill -9 of $victim in mid-deploy: the deploy goes on, and one release is live (I2, I3)',
  async ({ victim, starts, number }) => {
    const name = `served ${String(number)}`;
    const pushed = copy.push(`Kill ${victim}`);
    await ledger.waitForNote(`${name} starts`);

    await killAndRevive(victim);
    await waitFor('the last release serves meanwhile', async () => {
      const answer = await curl(url).catch(() => undefined);
      return answer?.status === 200 && answer.text === `served ${String(number - 1)}`;
    });
    ledger.open(name);
    const ended = await waitForEnd(loam, `served/${String(number)}`);

    expect(ended).toMatchObject({ status: 'succeeded', reason: null });
    expect(ended.tasks.find((task) => task.name === 'deploy')).toMatchObject({ attempt: 1, status: 'succeeded' });
    expect((await curl(url)).text).toBe(name);
    expect(await liveReleases()).toEqual([number]);
    expect(ledger.count(`${name} starts`)).toBe(starts);
    expect(ledger.count(`served/${String(number)} is built`)).toBe(1);
    await pushed;
  },
);

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
