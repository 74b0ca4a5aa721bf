// Rollback and scale at the door: which runs they start, and what is refused before anything waits for a lock.
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lockHolder, parseEnvironmentName } from '../../../src/core/model/ids.ts';
import { shaOf, startTestApi } from '../../support/api.ts';
import type { Answer, TestApi } from '../../support/api.ts';
import { addThingy, digestOf, startRun, task, thingy } from '../../support/doors-runs.ts';

const staging = parseEnvironmentName('staging');

let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
  await addThingy(test.store);
  await test.store.environments.put(thingy, staging, { target: 'process' });
});

afterEach(async () => {
  await test.destroy();
});

function post(action: string, json: object, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return test.call('POST', `/v1/applications/thingy/environments/staging/${action}`, {
    role: 'developer',
    json,
    headers,
  });
}

/** A release as a run of a plan leaves it. */
async function release(isLive = true): Promise<void> {
  const run = await startRun(test.store, test.blobs);
  const row = await test.store.runs.get(run);
  const holder = lockHolder(run, task('ship'), 1);
  const fence = await test.store.environments.takeFence(thingy, staging, holder, 0);
  const plan = {
    version: 1,
    graph: { version: 1, onFailure: 'fail-fast', tasks: [{ name: 'ship', type: 'deploy_stack', timeoutMs: 1 }] },
    applications: [],
    environments: [],
  };
  for (const text of ['template', 'image']) test.blobs.set(digestOf(text), text);
  test.blobs.set(digestOf('ship'), JSON.stringify(plan));
  const begun = await test.store.releases.begin({
    application: thingy,
    environment: staging,
    fence,
    run,
    task: task('ship'),
    attempt: 1,
    commit: row?.commit ?? shaOf('x'),
    image: digestOf('image'),
    template: digestOf('template'),
    planDigest: digestOf('ship'),
    config: {},
  });
  await (isLive
    ? test.store.releases.makeLive(begun, undefined)
    : test.store.releases.fail(begun, { status: 'failed', reason: 'unhealthy' }));
}

it('starts a run of the release that was live before, with a plan and tasks of its own', async () => {
  await release();
  await release();

  const answer = await post('rollback', {});

  expect(answer).toMatchObject({ status: 202, body: { result: 'accepted', run: 'thingy/3' } });
  const run = await test.store.runs.newest(thingy, 3);
  const first = await test.store.runs.newest(thingy, 1);
  expect(run).toMatchObject({
    message: 'Roll staging back to release 1',
    author: 'the-developer',
    commit: first?.commit,
    ref: first?.ref,
    snapshot: first?.snapshot,
  });
  const plan = JSON.parse(test.blobs.get(run?.planDigest ?? '') ?? '{}') as { graph: { tasks: object[] } };
  expect(plan.graph.tasks).toMatchObject([{ name: 'deploy', redeploy: { release: 1 } }]);
  expect((await test.call('GET', '/v1/runs/thingy/3')).body['tasks']).toMatchObject([
    { name: 'deploy', type: 'deploy_stack', status: 'pending' },
  ]);
  expect(test.wakes()).toBe(1);
});

it('asks for an approval where the environment is protected (I4)', async () => {
  await release();
  await test.store.environments.put(thingy, staging, { protected: true });

  await post('scale', { replicas: 3 });

  const tasks = await test.store.tasks.list((await test.store.runs.newest(thingy, 2))?.id ?? ('' as never));
  expect(tasks.map(({ name }) => name)).toEqual(['approve', 'deploy']);
});

it('makes one run of a request that is sent again (I1)', async () => {
  await release();
  await release();
  const key = { 'idempotency-key': 'once' };

  const answers = [await post('rollback', { release: 1 }, key), await post('rollback', { release: 1 }, key)];

  expect(answers.map(({ body }) => [body['result'], body['run']])).toEqual([
    ['accepted', 'thingy/3'],
    ['duplicate', 'thingy/3'],
  ]);
});

it('refuses what cannot be gone back to, and says what can', async () => {
  const nothing = await post('rollback', {});
  await release();
  const only = await post('rollback', {});
  await release(false);
  await release();
  const answers = [
    await post('rollback', { release: 9 }),
    await post('rollback', { release: 2 }),
    await post('rollback', { release: 3 }),
  ];

  for (const answer of [nothing, only]) expect(answer.body).toMatchObject({ status: 404, code: 'release-unknown' });
  expect(answers.map(({ body }) => [body['code'], body['detail']])).toEqual([
    ['release-unknown', 'Release 9 of staging does not exist; these were live before: 1'],
    ['release-unknown', 'Release 2 of staging was never live (failed); these were live before: 1'],
    ['deploy-refused', 'Release 3 is live in staging already'],
  ]);
  expect((await post('rollback', { release: 0 })).status).toBe(422);
  expect((await test.call('POST', '/v1/applications/thingy/environments/nowhere/rollback', { json: {} })).body).toEqual(
    expect.objectContaining({ code: 'environment-unknown' }),
  );
});

it('refuses a release whose artifact is gone', async () => {
  await release();
  await release();
  test.blobs.delete(digestOf('image'));

  const answer = await post('rollback', { release: 1 });

  expect(answer.body).toMatchObject({ status: 422, code: 'artifact-invalid' });
  expect(answer.body['detail']).toContain('loam trigger --commit');
  expect(await test.store.runs.list({ limit: 10 })).toHaveLength(2);
});

it('refuses to scale where nothing is live, to the number that it has, and to what no target takes', async () => {
  const nothing = await post('scale', { replicas: 2 });
  await release();

  expect(nothing.body).toMatchObject({ status: 404, code: 'release-unknown' });
  expect((await post('scale', { replicas: 1 })).body).toMatchObject({ status: 422, code: 'deploy-refused' });
  for (const replicas of [0, 21, 1.5]) expect((await post('scale', { replicas })).status).toBe(422);
});
