// I1: one run per push, however often it is told and whoever is down meanwhile.
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deliver, deliverToRelay, generic, github, waitForDelivery } from '../support/deliveries.ts';
import type { Delivery } from '../support/deliveries.ts';
import { createLoam, createWorkingCopy, processesOf, run, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import { addApplication, addSilentApplication, runsOf, waitForEnd } from '../support/runs.ts';
import { findVictim, kill, suspend, waitForAnother } from '../support/victims.ts';

const files = { 'loam.yaml': 'version: 1\nworkflow:\n  only: {type: repo_job, network: none, cmd: "true"}\n' };

let loam: Loam;

beforeAll(async () => {
  loam = await createLoam();
  await loam.start();
});

afterAll(async () => {
  await loam.destroy();
});

async function idsOf(application: string): Promise<readonly string[]> {
  return (await runsOf(loam, application)).map(({ id }) => id);
}

it('K3: makes one run of ten deliveries at the same moment and of five in a row, in both forms, also under another id', async () => {
  const copy = await addSilentApplication(loam, 'silent', files);
  const first = await copy.push('One');
  const second = await copy.push('Two');
  const forms = [
    { id: 'silent/1', delivery: generic(first.sha) },
    { id: 'silent/2', delivery: github(second.sha, first.sha) },
  ];

  for (const { id, delivery } of forms) {
    const atOnce = await Promise.all(Array.from({ length: 10 }, () => deliver(loam, 'silent', delivery)));
    const inARow = [];
    for (let count = 0; count < 5; count += 1) inARow.push(await deliver(loam, 'silent', delivery));
    const underAnotherId = await deliver(loam, 'silent', {
      ...delivery,
      headers: { ...delivery.headers, ...anotherId(delivery) },
    });

    expect(atOnce.map(({ result }) => result).sort()).toEqual(['accepted', ...Array<string>(9).fill('duplicate')]);
    expect(new Set([...inARow, underAnotherId].map(({ result }) => result))).toEqual(new Set(['duplicate']));
    expect(new Set([...atOnce, ...inARow, underAnotherId].map((answer) => answer.run))).toEqual(new Set([id]));
    expect((await waitForEnd(loam, id)).status).toBe('succeeded');
  }
  expect([...(await idsOf('silent'))].sort()).toEqual(['silent/1', 'silent/2']);
});

function anotherId({ headers }: Delivery): Readonly<Record<string, string>> {
  return { ['x-loam-delivery' in headers ? 'x-loam-delivery' : 'x-github-delivery']: randomUUID() };
}

it('K3: makes a run each of A to B, back to A, again to B, though hook and webhook both tell of each, and none after a restart', async () => {
  const copy = await createWorkingCopy(loam, await addApplication(loam, 'back'), files);
  const a = (await copy.push('A')).sha;
  const b = (await copy.push('B')).sha;
  const moves = [
    [undefined, a],
    [a, b],
    [b, a],
    [a, b],
  ] as const;
  const told: Delivery[] = [];
  const answers = [];
  for (const [index, [before, after]] of moves.entries()) {
    if (index > 1) await run('git', ['push', '--force', 'origin', `${after}:refs/heads/main`], { cwd: copy.folder });
    told.push(generic(after, before));
    answers.push(await deliver(loam, 'back', told[index] ?? generic(after)));
  }
  const ids = moves.map((_, index) => `back/${String(index + 1)}`);
  for (const id of ids) expect((await waitForEnd(loam, id)).status).toBe('succeeded');

  await loam.interrupt();
  await loam.start();
  const again = [];
  for (const delivery of told) again.push(await deliver(loam, 'back', delivery));

  expect(answers).toMatchObject(ids.map((id) => ({ result: 'duplicate', run: id })));
  expect(again).toMatchObject(ids.map((id) => ({ result: 'duplicate', run: id })));
  expect([...(await idsOf('back'))].sort()).toEqual(ids);
  expect((await runsOf(loam, 'back')).map(({ commit }) => commit)).toEqual([b, a, b, a]);
});

it('K5: starts a run whose delivery was answered just before the API was killed', async () => {
  const copy = await addSilentApplication(loam, 'answered', files);
  const { sha } = await copy.push('One');
  const delivery = generic(sha);
  const pid = findVictim(loam, 'api', '') ?? 0;

  const answer = await deliver(loam, 'answered', delivery);
  process.kill(pid, 'SIGKILL');
  await waitForAnother(loam, 'api', '', pid);

  expect(answer).toMatchObject({ result: 'accepted', run: 'answered/1' });
  expect((await waitForEnd(loam, 'answered/1')).status).toBe('succeeded');
  expect(await deliver(loam, 'answered', delivery)).toMatchObject({ result: 'duplicate', run: 'answered/1' });
  expect(await idsOf('answered')).toEqual(['answered/1']);
});

it('K4: takes a delivery while Temporal is down, and starts its run when it is back', async () => {
  const copy = await addSilentApplication(loam, 'patient', files);
  const { sha } = await copy.push('One');
  const resume = suspend(loam, 'up');
  const killed = await kill(loam, 'temporal', '');

  const answer = await deliver(loam, 'patient', generic(sha));
  resume();
  await waitForAnother(loam, 'temporal', '', killed);

  expect(answer).toMatchObject({ result: 'accepted', run: 'patient/1' });
  expect((await waitForEnd(loam, 'patient/1')).status).toBe('succeeded');
});

it('K1: keeps a push in the spool while the API is down, says so, and starts its run when the API is back', async () => {
  const copy = await createWorkingCopy(loam, await addApplication(loam, 'spooled'), files);
  const spooled = async (): Promise<readonly string[]> =>
    (await readdir(path.join(loam.dataFolder, 'spool'))).filter((name) => name.endsWith('.json'));
  const resume = suspend(loam, 'up');
  const killed = await kill(loam, 'api', '');

  const pushed = await copy.push('One');
  const kept = await spooled();
  resume();
  await waitForAnother(loam, 'api', '', killed);

  expect(pushed.code).toBe(0);
  expect(pushed.stderr).toMatch(/nobody answers.*is kept and starts its run when Loam is up/);
  expect(kept).toHaveLength(1);
  expect(await waitForEnd(loam, 'spooled/1')).toMatchObject({ status: 'succeeded', commit: pushed.sha });
  await waitFor('the spool is empty', async () => (await spooled()).length === 0);
  expect(await idsOf('spooled')).toEqual(['spooled/1']);
});

it('K3: makes one run of what the relay was sent ten times at once, and tells of each delivery what became of it', async () => {
  const copy = await addSilentApplication(loam, 'relayed', files);
  const { sha } = await copy.push('One');
  const delivery = generic(sha);

  const taken = await Promise.all(Array.from({ length: 10 }, () => deliverToRelay(loam, 'relayed', delivery)));

  for (const id of taken) await waitForDelivery(loam, id, 'relayed/1');
  expect(new Set(taken).size).toBe(10);
  expect((await waitForEnd(loam, 'relayed/1')).status).toBe('succeeded');
  expect(await idsOf('relayed')).toEqual(['relayed/1']);
});

it('K1: loses nothing that the relay took while the API was down, also when the relay is killed then', async () => {
  const copy = await addSilentApplication(loam, 'kept', files);
  const first = await copy.push('One');
  const second = await copy.push('Two');
  const resume = suspend(loam, 'up');
  const killed = await kill(loam, 'api', '');

  const taken = [
    await deliverToRelay(loam, 'kept', generic(first.sha)),
    await deliverToRelay(loam, 'kept', generic(second.sha, first.sha)),
  ];
  const relay = await kill(loam, 'relay', '');
  resume();
  await waitForAnother(loam, 'api', '', killed);
  await waitForAnother(loam, 'relay', '', relay);

  expect(await waitForEnd(loam, 'kept/1')).toMatchObject({ status: 'succeeded', commit: first.sha });
  expect(await waitForEnd(loam, 'kept/2')).toMatchObject({ status: 'succeeded', commit: second.sha });
  for (const [index, id] of taken.entries()) await waitForDelivery(loam, id, `kept/${String(index + 1)}`);
  expect([...(await idsOf('kept'))].sort()).toEqual(['kept/1', 'kept/2']);
});

it('leaves no process behind when it is ended', async () => {
  await loam.destroy();

  expect(processesOf(loam.folder)).toEqual([]);
});
