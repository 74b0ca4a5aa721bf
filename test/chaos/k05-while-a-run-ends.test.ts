// I1, I2, I8: the worker is killed at each write with which a run ends, one after the other. The run ends all the same, once, as it should.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectCountedOnce } from '../support/counted.ts';
import { isLong, tell } from '../support/faults.ts';
import { holdWrites } from '../support/hold-writes.ts';
import { countingFiles, createLedger } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, processesOf, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import { addSilentApplication, readRun, trigger } from '../support/runs.ts';
import { kill, waitForAnother } from '../support/victims.ts';

let ledger: Ledger;
let loam: Loam;

beforeAll(async () => {
  ledger = await createLedger();
  loam = await createLoam({ ...ledger.env, LOAM_JOBS_CAPACITY: '8' });
  await loam.start();
});

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
});

const points = isLong ? 40 : 8;

it(`K5: a run ends as it should though its worker is killed at each of the ${String(points)} writes after its job's end (I1, I2)`, async () => {
  const files = {
    ...countingFiles(ledger),
    'loam.yaml': 'version: 1\nworkflow:\n  count: {type: repo_job, network: none, cmd: node job.mjs}\n',
  };
  const copy = await addSilentApplication(loam, 'ending', files);
  await copy.push('End');
  const runs: string[] = [];
  const states = new Set<string>();
  for (let point = 0; point < points; point += 1) {
    const run = await trigger(loam, 'ending');
    runs.push(run);
    await ledger.waitForNote(`${run} count begins`);
    const writes = holdWrites(loam);
    ledger.open(`${run} count`);
    await waitFor('the job has ended', () => ledger.notes().some((note) => note.startsWith(`${run} count ends at `)));
    let passed = 0;
    while (passed < point && (await writes.step())) passed += 1;
    const { status, tasks } = await readRun(loam, run);
    states.add(`run ${status}, task ${String(tasks[0]?.status)}`);
    tell(`write ${String(passed + 1)} of ${run}: run ${status}, task ${String(tasks[0]?.status)}`);
    const killed = await kill(loam, 'worker', '');
    writes.release();
    await waitForAnother(loam, 'worker', '', killed);
  }

  for (const run of runs) await expectCountedOnce(loam, ledger, run);
  // It was killed before the end of the task was written, and after that.
  expect(states.size).toBeGreaterThan(1);
  await waitFor('no sandbox is left', () =>
    readdirSync(path.join(loam.dataFolder, 'jobs')).every((name) => name.startsWith('.')),
  );
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
