// I1, I10: a full disk refuses deliveries and loses none. Two small disks of their own: of Loam's data folder, and of its relay's spool.
import { closeSync, openSync, writeSync } from 'node:fs';
import { mkdir, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { generic, post } from '../support/deliveries.ts';
import { tell } from '../support/faults.ts';
import { createLoam, processesOf, run, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import { addSilentApplication, runsOf, waitForEnd } from '../support/runs.ts';
import { findVictim } from '../support/victims.ts';

const Problem = z.object({ code: z.string() });
const files = { 'loam.yaml': 'version: 1\nworkflow:\n  only: {type: repo_job, network: none, cmd: "true"}\n' };

let loam: Loam;
let spoolDisk: string;
const mounted: string[] = [];

beforeAll(async () => {
  loam = await createLoam();
  spoolDisk = path.join(loam.folder, 'spool-disk');
  await mount(loam.dataFolder, '64m');
  await mount(spoolDisk, '2m');
  await mkdir(path.join(spoolDisk, 'relay'));
  await symlink(path.join(spoolDisk, 'relay'), path.join(loam.dataFolder, 'relay'));
  await loam.start();
});

afterAll(end);

async function end(): Promise<void> {
  await loam.interrupt();
  if (mounted.length > 0) await loam.cli(['down', '--apps']);
  for (const folder of mounted.splice(0)) await command('umount', ['--lazy', folder]);
  await loam.destroy();
}

async function command(program: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(program, args, { cwd: '/' });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}

async function mount(folder: string, size: string): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  await command('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', folder]);
  mounted.push(folder);
}

/** Leaves no byte free. Returns how to end that. */
function fill(folder: string): () => Promise<void> {
  const file = path.join(folder, 'filler');
  const descriptor = openSync(file, 'w');
  for (let bytes = 1_048_576; bytes >= 1; bytes = Math.floor(bytes / 2)) while (hasTaken(descriptor, bytes));
  closeSync(descriptor);
  tell(`the disk of ${path.basename(folder)} is full`);
  return async () => {
    await rm(file);
    tell(`the disk of ${path.basename(folder)} has room again`);
  };
}

function hasTaken(descriptor: number, bytes: number): boolean {
  try {
    return writeSync(descriptor, Buffer.alloc(bytes)) > 0;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return false;
    throw error;
  }
}

it('K4: what comes while the disk is full is refused with 503, or is kept by a relay on another disk; nothing is lost (I1)', async () => {
  const copy = await addSilentApplication(loam, 'full', files);
  const commits: string[] = [];
  for (let count = 1; count <= 30; count += 1) commits.push((await copy.push(String(count))).sha);
  const deliveries = commits.map((sha, index) => ({ sha, delivery: generic(sha, commits[index - 1]) }));
  const taken: string[] = [];
  const refused: typeof deliveries = [];

  const before = pids();

  const makeRoom = fill(loam.dataFolder);
  // What SQLite has of room in its files it may still use; what it takes then must become a run.
  for (const one of deliveries) {
    const { status, text } = await post(loam, 'api', 'full', one.delivery);
    if (status < 300) taken.push(one.sha);
    else {
      expect([status, Problem.parse(JSON.parse(text)).code]).toEqual([503, 'store-unavailable']);
      refused.push(one);
    }
    if (refused.length === 3) break;
  }
  const kept = await Promise.all(refused.map(({ delivery }) => post(loam, 'relay', 'full', delivery)));
  await makeRoom();

  expect(refused).toHaveLength(3);
  expect(kept.map(({ status }) => status)).toEqual([202, 202, 202]);
  const sent = [...taken, ...refused.map(({ sha }) => sha)];
  await waitFor('each has its run', async () => (await runsOf(loam, 'full')).length >= sent.length);
  const runs = await runsOf(loam, 'full');
  expect(runs.map(({ commit }) => commit).sort()).toEqual([...sent].sort());
  for (const { id } of runs) expect((await waitForEnd(loam, id)).status).toBe('succeeded');
  expect(pids()).toEqual(before); // nobody died of it
});

function pids(): readonly (number | undefined)[] {
  return (['api', 'relay', 'worker', 'temporal', 'up'] as const).map((name) => findVictim(loam, name, ''));
}

it('K4: a relay whose disk is full refuses with 503 what it cannot keep, and takes it when there is room (I1, I10)', async () => {
  const copy = await addSilentApplication(loam, 'spooled', files);
  const { sha } = await copy.push('One');
  const delivery = generic(sha);

  const makeRoom = fill(spoolDisk);
  const refused = await post(loam, 'relay', 'spooled', delivery);
  await makeRoom();
  const again = await post(loam, 'relay', 'spooled', delivery);

  expect([refused.status, Problem.parse(JSON.parse(refused.text)).code]).toEqual([503, 'spool-unavailable']);
  expect(again.status).toBe(202);
  expect(await waitForEnd(loam, 'spooled/1')).toMatchObject({ status: 'succeeded', commit: sha });
  expect((await runsOf(loam, 'spooled')).map(({ id }) => id)).toEqual(['spooled/1']);
});

it('leaves no process behind when it is ended', async () => {
  await end();

  expect(processesOf(loam.folder)).toEqual([]);
});
