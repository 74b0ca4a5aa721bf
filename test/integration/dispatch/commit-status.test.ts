// Statuses of commits: at least once, the newest last, whatever the forge or this process does meanwhile. The forge is a server of the test, with GitHub's answers.
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createGitHubStatus } from '../../../src/adapters/status/github-status.ts';
import { reportStatuses } from '../../../src/dispatch/commit-status.ts';
import type { Lane } from '../../../src/dispatch/lane.ts';
import { parseRunId } from '../../../src/core/model/ids.ts';
import type { RunId } from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { addThingy, openGate, receiveRun, runTask, startRun, task, thingy } from '../../support/doors-runs.ts';
import { silentLogger, waitFor } from '../../support/run-rows.ts';
import { created, refuse, startStatusForge } from '../../support/status-forge.ts';
import type { ForgeAnswer, StatusForge } from '../../support/status-forge.ts';

const token = 'github_pat_canary-of-the-statuses';
const place = '/v1/applications/thingy/commit-statuses';

let test: TestApi;
let forge: StatusForge;
let lanes: Lane[];

beforeEach(async () => {
  lanes = [];
  test = await startTestApi();
  await addThingy(test.store);
  forge = await startStatusForge();
});

afterEach(async () => {
  await Promise.all(lanes.map((lane) => lane.stop()));
  forge.close();
  await test.destroy();
});

function report(retryMs = 100): Lane {
  const lane = reportStatuses({
    ...{ store: test.store, sender: createGitHubStatus(), logger: silentLogger, pollMs: 20, retryMs },
    runUrl: ({ run }) => `https://loam.example/runs/${parseRunId(run).number}`,
  });
  lanes.push(lane);
  return lane;
}

function connect(secret = token) {
  return test.call('PUT', place, { json: { token: secret, repository: 'acme/thingy', apiUrl: forge.apiUrl } });
}

function waitForLast(context: string, state: string): Promise<boolean> {
  return waitFor(`${context} is ${state}`, () => forge.statesOf(context).at(-1) === state);
}

async function approve(run: RunId): Promise<void> {
  await test.store.gates.decide(run, task('approve'), { verdict: 'approved', by: 'ann', comment: '' });
  await test.store.gates.close(run, task('approve'), 1, 'decided');
}

it('tells how a run and its gate stand, each with a context of its own, the newest last', async () => {
  expect((await connect()).body).toEqual({ repository: 'acme/thingy', apiUrl: forge.apiUrl, error: null });
  const run = await startRun(test.store, test.blobs);
  report();
  await waitForLast('loam/thingy', 'pending');
  await openGate(test.store, run);
  await waitForLast('loam/thingy/approve', 'pending');
  await approve(run);
  await waitForLast('loam/thingy/approve', 'success');
  const reason = `task test:\u001b[31m red\u202e\r\n${'x'.repeat(300)}`;
  await test.store.runs.finish(run, { status: 'failed', code: 'task-failed', reason });
  await waitForLast('loam/thingy', 'failure');

  const { commit } = (await test.store.runs.get(run)) ?? {};
  expect(new Set(forge.told.map(({ path }) => path))).toEqual(
    new Set([`POST /api/v3/repos/acme/thingy/statuses/${commit ?? ''}`]),
  );
  expect(new Set(forge.told.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${token}`]));
  expect(new Set(forge.told.map(({ url }) => url))).toEqual(new Set(['https://loam.example/runs/1']));
  const descriptions = forge.told.map(({ description }) => description);
  expect(descriptions).toContain('waits for a person: loam approve thingy/1 approve');
  expect(descriptions).toContain('approved by ann');
  expect(descriptions.at(-1)).toMatch(/^thingy\/1 failed: task test: \[31m red/);
  for (const one of descriptions) expect(one).toMatch(/^[^\p{Cc}\p{Cf}]{1,140}$/u);
});

it('tells again what the forge did not take, also after this process died, and never an older one last', async () => {
  await connect();
  const run = await startRun(test.store, test.blobs);
  const failures: ForgeAnswer[] = [
    (_one, response) => response.destroy(),
    refuse(502, 'Bad Gateway'),
    refuse(403, 'You have exceeded a secondary rate limit', { 'retry-after': '1' }),
    (_one, response) => response.writeHead(201).destroy(), // taken, but the answer is lost
  ];
  forge.answer = (one, response) => (failures.shift() ?? created)(one, response);
  await report().stop();
  report();
  report(); // of a second process
  await waitFor('it is taken', () => failures.length === 0 && forge.told.length >= 5);
  await test.store.runs.finish(run, { status: 'succeeded', code: undefined, reason: undefined });
  await waitForLast('loam/thingy', 'success');
  await waitFor('nothing is due', async () => (await test.store.statuses.due(10)).length === 0);

  const states = forge.statesOf('loam/thingy');
  expect(states.slice(states.indexOf('success'))).toEqual(['success']);
  expect((await test.store.runs.get(run))?.status).toBe('succeeded');
  expect((await test.call('GET', place)).body['error']).toBeNull();
});

it('shows what the forge refuses, holds up no run, and tells all of it with a token that works (I7)', async () => {
  forge.answer = refuse(401, 'Bad credentials');
  await connect('wrong-token');
  const run = await startRun(test.store, test.blobs);
  report();
  await waitFor('it is refused', async () => (await test.call('GET', place)).body['error'] !== null);
  const refused = await test.call('GET', place);
  await test.store.runs.finish(run, { status: 'succeeded', code: undefined, reason: undefined });
  forge.answer = created;
  await connect();
  await waitForLast('loam/thingy', 'success');
  await waitFor('it is well again', async () => (await test.call('GET', place)).body['error'] === null);

  expect(refused.body['error']).toBe('the forge refuses the status: 401 Bad credentials');
  expect(refused.text).not.toContain('wrong-token');
  expect(forge.told.at(-1)?.authorization).toBe(`Bearer ${token}`);
});

it('tells nothing of runs from before, nothing after it was removed, and of a commit only its newest run', async () => {
  const before = await receiveRun(test.store);
  await connect();
  const older = await startRun(test.store, test.blobs);
  await runTask(test.store, older, 'test', 'failed');
  const { commit } = (await test.store.runs.get(older)) ?? {};
  report();
  await waitForLast('loam/thingy', 'pending');
  await test.store.runs.finish(older, { status: 'failed', code: 'task-failed', reason: 'red' });
  await waitForLast('loam/thingy', 'failure');
  const { id: retry } = await test.store.runs.newRound(older, []);
  await waitForLast('loam/thingy', 'pending');
  await test.store.runs.finish(retry, { status: 'succeeded', code: undefined, reason: undefined });
  await waitForLast('loam/thingy', 'success');
  expect((await test.call('DELETE', place)).body).toEqual({ repository: null, apiUrl: null, error: null });
  const count = forge.told.length;
  await receiveRun(test.store);
  expect(await test.store.statuses.due(10)).toEqual([]);
  expect(forge.told).toHaveLength(count);

  const { commit: first } = (await test.store.runs.get(before)) ?? {};
  expect(forge.told.every(({ path }) => path.endsWith(commit ?? '') && !path.endsWith(first ?? ''))).toBe(true);
});

it('takes the repository from an address at GitHub, and refuses what would send the token elsewhere', async () => {
  const added = { name: 'shop', repository: 'git@github.com:acme/shop.git' };
  await test.call('POST', '/v1/applications', { json: added });
  const shop = '/v1/applications/shop/commit-statuses';
  const set = await test.call('PUT', shop, { json: { token } });
  const unknown = await test.call('PUT', place, { json: { token } });
  const wrong = ['http://github.example', 'https://name:word@github.example', 'file:///etc', 'https://x.example/?a=b'];
  const refused = [];
  for (const url of wrong)
    refused.push((await test.call('PUT', place, { json: { token, repository: 'acme/thingy', apiUrl: url } })).status);
  for (const repository of ['../x/y', 'acme', 'acme/x/y', 'acme/x?y'])
    refused.push((await test.call('PUT', place, { json: { token, repository } })).status);

  expect(set.body).toEqual({ repository: 'acme/shop', apiUrl: 'https://api.github.com', error: null });
  expect(unknown.body).toMatchObject({ code: 'input-invalid' });
  expect(new Set(refused)).toEqual(new Set([422]));
  await test.store.statuses.connect(thingy, { apiUrl: forge.apiUrl, repository: 'acme/thingy' }, new Secret(token));
  for (const { text: shown } of [set, await test.call('GET', place)]) expect(shown).not.toContain(token);
});
