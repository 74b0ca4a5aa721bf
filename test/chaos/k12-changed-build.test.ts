// I9: a run goes on with another build of Loam than it began with, as far as that build may take it over; one that may not leaves it alone.
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tell } from '../support/faults.ts';
import { createLedger, servedFiles } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, processesOf, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import { addSilentApplication, decide, readRun, trigger, waitForEnd, waitForGate } from '../support/runs.ts';

const root = path.resolve(import.meta.dirname, '../..');
const resolving = '  const resolved = await resolve(id);\n';

let ledger: Ledger;
let loam: Loam;

beforeAll(async () => {
  ledger = await createLedger();
  loam = await createLoam(ledger.env);
  await loam.start();
});

afterAll(async () => {
  await loam.destroy();
  await ledger.close();
});

/** A copy of Loam whose run does something else first. */
async function makeBuild(name: string, first: string): Promise<string> {
  const folder = path.join(loam.folder, name);
  for (const part of ['src', 'workflows', 'activities', 'docs', 'package.json', 'package-lock.json'])
    await cp(path.join(root, part), path.join(folder, part), { recursive: true });
  await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  const file = path.join(folder, 'workflows/run.ts');
  const text = await readFile(file, 'utf8');
  const [head, rest, ...more] = text.split(resolving);
  if (head === undefined || rest === undefined || more.length > 0)
    throw new Error(`${file} does not hold the line once`);
  const imports = "import { patched, sleep } from '@temporalio/workflow';\n";
  await writeFile(file, `${imports}${head}${first}${resolving}${rest}`);
  return folder;
}

async function restartWith(build: string): Promise<void> {
  await loam.interrupt();
  await loam.start(build);
  tell(`started again with the build "${path.basename(build)}"`);
}

async function isPatched(run: string): Promise<boolean> {
  const connection = await Connection.connect({ address: loam.endpoint().temporalAddress });
  try {
    const { events } = await new Client({ connection, namespace: 'loam' }).workflow
      .getHandle(`run/${run}`)
      .fetchHistory();
    return (events ?? []).some((event) => event.markerRecordedEventAttributes?.markerName === 'core_patch');
  } finally {
    await connection.close();
  }
}

it('K12: a run that is open while Loam is changed ends as it should: under a build with a patch; one without leaves it as it stands (I2, I9)', async () => {
  const files = servedFiles(ledger, 'gated', { gate: 'approve' });
  const copy = await addSilentApplication(loam, 'gated', files, { place: {} });
  await copy.push('Ask');
  const [reordered, patched] = [
    await makeBuild('reordered', '  await sleep(1);\n'),
    await makeBuild('patched', "  if (patched('first-sleep')) await sleep(1);\n"),
  ];
  for (const release of [1, 2]) ledger.open(`gated ${String(release)}`);
  const open = await trigger(loam, 'gated');
  await waitForGate(loam, open);

  await restartWith(reordered);
  expect((await decide(loam, open, 'approve', 'approved')).status).toBe(201);
  const log = path.join(loam.dataFolder, 'processes/worker.log');
  await waitFor('the worker cannot replay it', async () => (await readFile(log, 'utf8')).includes('TMPRL1100'));
  const meanwhile = await readRun(loam, open);
  await restartWith(patched);
  const ended = await waitForEnd(loam, open);
  const fresh = await trigger(loam, 'gated');
  await waitForGate(loam, fresh);
  await decide(loam, fresh, 'approve', 'approved');
  const endedFresh = await waitForEnd(loam, fresh);

  expect(meanwhile.status).toBe('paused');
  expect([ended.status, endedFresh.status]).toEqual(['succeeded', 'succeeded']);
  expect([await isPatched(open), await isPatched(fresh)]).toEqual([false, true]);
  for (const run of [open, fresh]) expect(ledger.count(`${run} is built`)).toBe(1);
  for (const release of [1, 2]) expect(ledger.count(`gated ${String(release)} starts`)).toBe(1);
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
