// I4, I6, I8: what people ask for is done once, by those who may, and whole: approvals and cancels.
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { createLedger, servedFiles, treeFiles } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, createWorkingCopy, processesOf, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import {
  addApplication,
  addSilentApplication,
  curl,
  decide,
  readRun,
  releasesOf,
  statuses,
  trigger,
  urlOf,
  waitForEnd,
  waitForGate,
  waitForRun,
} from '../support/runs.ts';
import { kill, killAll, suspend, waitForAnother } from '../support/victims.ts';

let ledger: Ledger;
let loam: Loam;
let gated: WorkingCopy;

beforeAll(async () => {
  ledger = await createLedger();
  loam = await createLoam({ ...ledger.env, LOAM_JOBS_CAPACITY: '8' });
  await loam.start();
  const repositoryUrl = await addApplication(loam, 'gated', { place: { protected: true } });
  gated = await createWorkingCopy(loam, repositoryUrl, servedFiles(ledger, 'gated', { gate: 'approve' }));
  for (const release of [1, 2]) ledger.open(`gated ${String(release)}`);
});

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
});

async function tokenOf(role: string, name: string): Promise<string> {
  const answer = await loam.json(['token', 'add', name, '--role', role]);
  return z.object({ token: z.string() }).parse(answer).token;
}

const Decided = z.object({ decision: z.object({ verdict: z.string(), by: z.string() }), repeated: z.boolean() });

/** Nobody has decided, and nothing was built for or started in the protected environment. */
async function expectUndecided(id: string, release: number): Promise<void> {
  const run = await readRun(loam, id);
  expect(run.gates.at(-1)?.status).toBe('open');
  expect(statuses(run)).toMatchObject({ approve: 'paused', deploy: 'pending' });
  expect(ledger.count(`gated ${String(release)} starts`)).toBe(0);
}

it('K8: neither a raw message to Temporal nor somebody without the role decides; of two people at once one does, and it arrives', async () => {
  await gated.push('Ask');
  await waitForGate(loam, 'gated/1');
  const connection = await Connection.connect({ address: loam.endpoint().temporalAddress });
  const handle = new Client({ connection, namespace: 'loam' }).workflow.getHandle('run/gated/1');

  await expect(handle.executeUpdate('decide', { args: ['approve', randomUUID()] })).rejects.toThrow('Update failed');
  await handle.signal('decide', 'approve', randomUUID());
  await handle.signal('lockGranted', { holder: 'run/gated/1/deploy#1', fence: 99 });
  await connection.close();
  const developer = await tokenOf('developer', 'dora');
  expect((await decide(loam, 'gated/1', 'approve', 'approved', developer)).status).toBe(403);
  expect((await decide(loam, 'gated/1', 'approve', 'approved', 'not-a-token')).status).toBe(401);
  await expectUndecided('gated/1', 1);

  const [anna, bert] = [await tokenOf('approver', 'anna'), await tokenOf('approver', 'bert')];
  const answers = await Promise.all([
    decide(loam, 'gated/1', 'approve', 'approved', anna),
    decide(loam, 'gated/1', 'approve', 'rejected', bert),
  ]);
  const ended = await waitForEnd(loam, 'gated/1');
  const decided = answers.map(({ body }) => Decided.parse(body));
  const late = await decide(loam, 'gated/1', 'approve', 'approved', anna);

  expect(decided.map(({ repeated }) => repeated).sort()).toEqual([false, true]);
  expect(new Set(decided.map(({ decision }) => decision.by)).size).toBe(1);
  const isApproved = decided[0]?.decision.verdict === 'approved';
  expect(ended.status).toBe(isApproved ? 'succeeded' : 'failed');
  expect(ledger.count('gated 1 starts')).toBe(isApproved ? 1 : 0);
  expect(Decided.parse(late.body)).toEqual({ ...decided[0], repeated: true });
});

it('K8: an approval is for what was shown: the next commit asks anew, and an opening that was never shown is refused', async () => {
  const before = (await releasesOf(loam, 'gated')).length;
  await gated.write('server.txt', 'changed');
  await gated.push('Ask for something else');
  await waitForGate(loam, 'gated/2');
  await expectUndecided('gated/2', before + 1);
  const body = { verdict: 'approved', opening: 2 };

  const wrong = await loam.api('POST', '/v1/runs/gated/2/gates/approve/decisions', body);
  await expectUndecided('gated/2', before + 1);
  const right = await loam.api('POST', '/v1/runs/gated/2/gates/approve/decisions', { ...body, opening: 1 });

  expect([wrong.status, right.status]).toEqual([409, 201]);
  expect((await waitForEnd(loam, 'gated/2')).status).toBe('succeeded');
  expect(ledger.count(`gated ${String(before + 1)} starts`)).toBe(1);
});

async function cancel(id: string): Promise<void> {
  expect((await loam.api('POST', `/v1/runs/${id}/cancel`, {})).status).toBe(202);
}

it('K10: a cancel after a restart ends each state whole: a process tree, a gate, a deploy, a wait for the lock', async () => {
  const marker = randomUUID();
  const tree = await addSilentApplication(loam, 'tree', treeFiles(ledger, marker));
  const served = await addSilentApplication(loam, 'served', servedFiles(ledger, 'served'), { place: {} });
  const asking = await addSilentApplication(loam, 'asking', servedFiles(ledger, 'asking', { gate: 'approve' }), {
    place: {},
  });
  await Promise.all([tree, served, asking].map((copy) => copy.push('Begin')));
  ledger.open('served 1');
  expect((await waitForEnd(loam, await trigger(loam, 'served'))).status).toBe('succeeded');
  const runs = ['tree/1', 'asking/1', 'served/2', 'served/3'];
  for (const application of ['tree', 'asking', 'served']) await trigger(loam, application);
  await ledger.waitForNote('served 2 starts');
  await trigger(loam, 'served');
  await ledger.waitForNote('tree/1 tree stands');
  await waitForGate(loam, 'asking/1');
  await waitForRun(loam, 'served/3', 'it waits for the lock', (run) => statuses(run)['deploy'] === 'waiting');
  expect(processesOf(marker).length).toBeGreaterThanOrEqual(4);

  await killAll(loam);
  await loam.start();
  await Promise.all(runs.map(cancel));
  const ended = await Promise.all(runs.map((id) => waitForEnd(loam, id)));

  expect(ended.map(({ status }) => status)).toEqual(runs.map(() => 'cancelled'));
  expect(processesOf(marker)).toEqual([]);
  expect((await decide(loam, 'asking/1', 'approve', 'approved')).status).toBe(409);
  const url = await urlOf(loam, 'served', 'place');
  await waitFor('the URL serves', async () => (await curl(url).catch(() => undefined))?.text === 'served 1'); // it is starting again too
  expect((await releasesOf(loam, 'served')).map(({ number, status }) => [number, status])).toEqual([
    [2, 'cancelled'],
    [1, 'live'],
  ]);
  expect(ledger.notes().filter((note) => note === 'served 3 starts' || note === 'asking 1 starts')).toEqual([]);
  ledger.open('served 3');
  expect((await waitForEnd(loam, await trigger(loam, 'served'))).status).toBe('succeeded'); // the lock is free
});

it('K10: a cancel that comes before the run could start ends it without a job', async () => {
  const files = treeFiles(ledger, randomUUID());
  const copy = await addSilentApplication(loam, 'early', files);
  await copy.push('Begin');
  const resume = suspend(loam, 'up');
  const killed = await kill(loam, 'temporal', '');

  const id = await trigger(loam, 'early');
  await cancel(id);
  resume();
  await waitForAnother(loam, 'temporal', '', killed);
  const ended = await waitForEnd(loam, id);

  expect(ended.status).toBe('cancelled');
  expect(ledger.count(`${id} tree stands`)).toBe(0);
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();
  await waitFor('all is gone', () => processesOf(loam.folder).length === 0);
});
