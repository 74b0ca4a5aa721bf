// I2, I8: what a machine has begun is its own while it is heard of; one that comes back late ends what it does not own any more.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { countedLines, countingFiles, createLedger, numberedLines } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, isAlive, processesOf, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import { addSilentApplication, peekLog, readLog, readRun, trigger, waitForEnd } from '../support/runs.ts';
import { findVictim, freezeHost } from '../support/victims.ts';
import type { FrozenHost } from '../support/victims.ts';

const root = path.resolve(import.meta.dirname, '../..');
const leaseSeconds = 15;
const beatSeconds = leaseSeconds / 6;

let ledger: Ledger;
let loam: Loam;
let second: ChildProcess | undefined;
let first: FrozenHost | undefined;

beforeAll(async () => {
  ledger = await createLedger();
  loam = await createLoam({
    ...ledger.env,
    LOAM_HOST_ID: 'first',
    LOAM_HOST_LEASE_SECONDS: String(leaseSeconds),
  });
  await loam.start();
});

afterAll(async () => {
  first?.thaw(); // what is stopped cannot end
  await endSecond();
  await loam.destroy();
  await ledger.close();
});

/** A worker with a data folder of its own: what machines share is there by links. */
async function startSecond(): Promise<void> {
  const folder = path.join(loam.folder, 'second');
  await mkdir(folder);
  for (const name of ['loam.db', 'key', 'blobs', 'logs'])
    await symlink(path.join(loam.dataFolder, name), path.join(folder, name));
  const ofFirst = new Map<string, string>();
  for (const line of readFileSync(`/proc/${String(findVictim(loam, 'worker', ''))}/environ`, 'utf8').split('\0')) {
    const [name = '', ...value] = line.split('=');
    if (name !== '') ofFirst.set(name, value.join('='));
  }
  second = spawn(process.execPath, ['src/main/worker.ts'], {
    cwd: root,
    stdio: 'ignore',
    env: {
      ...Object.fromEntries(ofFirst),
      LOAM_DATA_DIR: folder,
      LOAM_HOST_ID: 'second',
    },
  });
  await waitFor('the second worker is ready', () => existsSync(path.join(folder, 'processes/worker.json')));
}

/** A host that holds the lock of the database's file would freeze the other one too: only SQLite has such a lock, and no two machines share such a file. */
function freezeOutsideOfTransactions(): FrozenHost {
  const database = new DatabaseSync(path.join(loam.dataFolder, 'loam.db'), { timeout: 60_000 });
  try {
    database.exec('begin immediate');
    return freezeHost(loam);
  } finally {
    database.close();
  }
}

async function endSecond(): Promise<void> {
  if (second?.pid === undefined || second.exitCode !== null || second.signalCode !== null) return;
  const ended = once(second, 'exit');
  second.kill('SIGTERM');
  await ended;
}

it('K14: of two hosts one is frozen for longer than its lease: its job runs on one of them at a time, its leftovers are ended (I2, I8)', async () => {
  const copy = await addSilentApplication(loam, 'counting', countingFiles(ledger));
  await copy.push('Count');
  const run = await trigger(loam, 'counting');
  const name = `${run} count`;
  await ledger.waitForNote(`${name} begins`);
  await waitFor('some lines are stored', async () => (await peekLog(loam, run, 'count')).includes('line 20\n'));
  await startSecond();
  const worker = findVictim(loam, 'worker', '');

  first = freezeOutsideOfTransactions();
  const { jobs } = first;
  const frozenAt = performance.now();
  await waitFor('the second host has the job', () => ledger.count(`${name} begins`) === 2);
  const awaySeconds = (performance.now() - frozenAt) / 1000;
  await waitFor(
    'its lines are stored',
    async () => (await peekLog(loam, run, 'count')).split('line 20\n').length === 3,
  );
  first.thaw();
  await waitFor('the leftovers of the first host are ended', () => !jobs.some(isAlive));
  const meanwhile = await readRun(loam, run);
  ledger.open(name);
  const ended = await waitForEnd(loam, run);

  expect(awaySeconds).toBeGreaterThan(leaseSeconds - beatSeconds - 1);
  expect(jobs.length).toBeGreaterThan(1);
  expect(meanwhile.tasks[0]).toMatchObject({ name: 'count', attempt: 1, status: 'running' });
  expect(ended.status).toBe('succeeded');
  expect(ledger.count(`${name} begins`)).toBe(2);
  const log = await readLog(loam, run, 'count');
  const [before = '', after] = log.split('loam: the sandbox of the job is gone; the job is started again\n');
  expect(after).toBe(countedLines(ledger, name)); // ended once, on the second host
  expect(before).toContain(numberedLines(20));
  // The worker that was frozen goes on with what is new.
  expect(findVictim(loam, 'worker', '')).toBe(worker);
  await endSecond();
  const next = await trigger(loam, 'counting');
  ledger.open(`${next} count`);
  expect((await waitForEnd(loam, next)).status).toBe('succeeded');
});

it('leaves no process behind when it is ended', async () => {
  await endSecond();
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
