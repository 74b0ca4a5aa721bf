// I1, I3: what nobody told Loam of is found; what a restored database has forgotten is neither done twice nor is its number another commit's.
import { copyFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync, backup } from 'node:sqlite';
import { Client, Connection } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tell } from '../support/faults.ts';
import { createLedger, servedFiles } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, createWorkingCopy, processesOf, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import { addApplication, curl, releasesOf, runsOf, silence, urlOf, waitForEnd } from '../support/runs.ts';
import { kill, killAll, waitForAnother } from '../support/victims.ts';

let ledger: Ledger;
let loam: Loam;

beforeAll(async () => {
  ledger = await createLedger();
  loam = await createLoam({ ...ledger.env, LOAM_HEADS_SECONDS: '1' });
  await loam.start();
});

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
});

it('K11: a push of which neither hook nor webhook tells is found, also one from while Loam was down, and is one run (I1)', async () => {
  const repositoryUrl = await addApplication(loam, 'missed');
  const files = { 'loam.yaml': 'version: 1\nworkflow:\n  only: {type: repo_job, network: none, cmd: "true"}\n' };
  const copy = await createWorkingCopy(loam, repositoryUrl, files);
  const told = await copy.push('The hook tells of this');
  expect(await waitForEnd(loam, 'missed/1')).toMatchObject({ status: 'succeeded', commit: told.sha });
  await silence(repositoryUrl);

  await killAll(loam);
  await copy.push('Nobody tells of this');
  const head = await copy.push('Nor of this');
  await loam.start();
  const found = await waitForEnd(loam, 'missed/2');
  const killed = await kill(loam, 'api', '');
  const later = await copy.push('Nor of this, while the API is down');
  await waitForAnother(loam, 'api', '', killed);
  const foundLater = await waitForEnd(loam, 'missed/3');

  expect(found).toMatchObject({ status: 'succeeded', commit: head.sha });
  expect(foundLater).toMatchObject({ status: 'succeeded', commit: later.sha });
  // Looks went on all the while, by two processes one after the other.
  expect((await runsOf(loam, 'missed')).map(({ id }) => id)).toEqual(['missed/3', 'missed/2', 'missed/1']);
});

/** What Temporal knows of a run, whatever the database has forgotten. */
async function inTemporal(run: string): Promise<{ readonly status: string; readonly commit: string | undefined }> {
  const connection = await Connection.connect({ address: loam.endpoint().temporalAddress });
  try {
    const handle = new Client({ connection, namespace: 'loam' }).workflow.getHandle(`run/${run}`);
    const { status, typedSearchAttributes } = await handle.describe();
    const commit = typedSearchAttributes.get(defineSearchAttributeKey('LoamCommit', 'KEYWORD'));
    return { status: status.name, commit };
  } finally {
    await connection.close();
  }
}

async function backUp(to: string): Promise<void> {
  const database = new DatabaseSync(path.join(loam.dataFolder, 'loam.db'), { readOnly: true });
  await backup(database, to);
  database.close();
}

async function restore(from: string): Promise<void> {
  for (const end of ['-wal', '-shm']) await rm(path.join(loam.dataFolder, `loam.db${end}`), { force: true });
  await copyFile(from, path.join(loam.dataFolder, 'loam.db'));
  tell('the database of an hour ago is put back');
}

it('K13: after the database was restored from a backup no number is bound to another commit, and nothing is deployed twice (I1, I3)', async () => {
  const repositoryUrl = await addApplication(loam, 'restored', { place: {} });
  const copy = await createWorkingCopy(loam, repositoryUrl, servedFiles(ledger, 'restored'));
  const saved = path.join(loam.folder, 'backup.db');
  async function push(label: string): ReturnType<typeof copy.push> {
    await copy.write('label', label);
    return copy.push(label);
  }
  ledger.open('restored A');
  const a = await push('A');
  expect((await waitForEnd(loam, 'restored/1')).status).toBe('succeeded');
  await backUp(saved);
  ledger.open('restored B');
  const b = await push('B');
  expect((await waitForEnd(loam, 'restored/2')).status).toBe('succeeded');
  const pushed = push('C');
  await ledger.waitForNote('restored C starts'); // its deploy is under way

  await killAll(loam);
  const c = await pushed;
  await restore(saved);
  await loam.start();
  const url = await urlOf(loam, 'restored', 'place');
  await waitFor(
    'what served serves again',
    async () => (await curl(url).catch(() => undefined))?.text === 'restored B',
  );
  ledger.open('restored C');
  const again = await waitForEnd(loam, 'restored/4'); // the numbers 2 and 3 are known to Temporal
  await waitFor('the forgotten run has ended', async () => (await inTemporal('restored/3')).status !== 'RUNNING');
  const [servedC, releasesOfC] = [await curl(url), await releasesOf(loam, 'restored')];
  ledger.open('restored D');
  const d = await push('D');
  const last = await waitForEnd(loam, 'restored/5');

  expect(again).toMatchObject({ status: 'succeeded', commit: c.sha });
  expect(last).toMatchObject({ status: 'succeeded', commit: d.sha });
  expect([servedC.text, (await curl(url)).text]).toEqual(['restored C', 'restored D']);
  const live = releasesOfC.filter(({ status }) => status === 'live');
  expect(live.map(({ run, commit }) => [run, commit])).toEqual([['restored/4', c.sha]]);
  expect(await inTemporal('restored/3')).toEqual({ status: 'FAILED', commit: c.sha }); // it deployed nothing
  const rows = [...(await runsOf(loam, 'restored'))].reverse();
  expect(rows.map(({ id, commit }) => [id, commit])).toEqual([
    ['restored/1', a.sha],
    ['restored/4', c.sha],
    ['restored/5', d.sha],
  ]);
  for (const { id, commit } of rows) expect((await inTemporal(id)).commit).toBe(commit);
  expect(await inTemporal('restored/2')).toEqual({ status: 'COMPLETED', commit: b.sha });
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
