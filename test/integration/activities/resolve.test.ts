// I4, I9, I10 of activities/resolve.ts and resolve-environments.ts
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseEnvironmentName, parseTaskName } from '../../../src/core/model/ids.ts';
import {
  call,
  dyingRoom,
  loseRemote,
  makeActivityRoom,
  makeEnvironment,
  push,
  resolveRun,
  thingy,
} from '../../support/activity-room.ts';
import { Secret } from '../../../src/ports/secret.ts';
import type { ActivityRoom } from '../../support/activity-room.ts';

const staging = parseEnvironmentName('staging');
const production = parseEnvironmentName('production');

const plan = `
version: 1
applications:
  thingy: {start: node server.mjs}
environments:
  staging: {compute: process}
  production: {compute: process, trust: demo}
workflow:
  test: {type: repo_job, cmd: npm test}
  build: {type: build_image, depends_on: test}
  template: {type: generate_template, application: thingy, image: {get_output: build.digest}}
  staging: {type: deploy_stack, environment: staging, template: {get_output: template}}
  approve: {type: approval, depends_on: staging, environment: production}
  production: {type: deploy_stack, environment: production, depends_on: approve, template: {get_output: template}}
`;

let room: ActivityRoom;

beforeEach(async () => {
  room = await makeActivityRoom();
  await room.store.trusts.put({ name: 'demo', provider: 'exec', settings: {} });
});

afterEach(() => room.close());

describe('resolve', () => {
  it('claims the run, keeps tree and plan by digest, and answers the graph (I9)', async () => {
    const run = await push(room, plan);

    const ready = await resolveRun(room, run);

    const row = await room.store.runs.get(run);
    expect(row).toMatchObject({ status: 'running', planDigest: ready.planDigest });
    expect(ready.graph.tasks.map(({ name }) => name)).toContain('production');
    expect(ready).toMatchObject({ seeded: [], trusts: ['demo'] });
    expect(new TextDecoder().decode(await room.blobs.read(row?.snapshot ?? ready.planDigest))).toContain('loam.yaml');
    expect(await room.store.tasks.list(run)).toHaveLength(ready.graph.tasks.length);
  });

  it('begins nothing of a run that was asked to end while its start was on its way', async () => {
    const run = await push(room, plan);
    await room.store.runs.requestCancel(run, 'ada');
    const environment = makeEnvironment();

    const beats = Promise.withResolvers<undefined>();
    let count = 0;
    environment.on('heartbeat', () => {
      if ((count += 1) === 20) beats.resolve(undefined);
    });
    const resolving = call(room, 'resolve', { run }, environment);
    await Promise.race([beats.promise, resolving]);
    environment.cancel('CANCELLED');

    await expect(resolving).rejects.toThrow();
    expect(await room.store.runs.get(run)).not.toHaveProperty('planDigest', expect.anything());
    expect(await room.store.tasks.list(run)).toEqual([]);
  });

  it('answers the same when it runs twice, also after a death before its answer (I9)', async () => {
    const run = await push(room, plan);
    const dying = dyingRoom(room, 'runs', 'setPlan', 'after');

    await expect(call(dying, 'resolve', { run })).rejects.toThrow();
    const first = await resolveRun(room, run);
    await loseRemote(room);
    const second = await resolveRun(room, run);

    expect(second).toEqual(first);
  });

  it('registers process environments of an application of this machine, and says so (I4)', async () => {
    const run = await push(room, plan);

    await resolveRun(room, run);

    expect(await room.store.environments.get(thingy, staging)).toMatchObject({ target: 'process', protected: false });
    const warnings = (await room.store.runs.get(run))?.warnings.join('\n');
    expect(warnings).toContain('environment staging was not registered');
  });

  it('leaves the settings of a registered environment alone (I4)', async () => {
    await room.store.environments.put(thingy, production, { target: 'process', protected: true });

    await resolveRun(room, await push(room, plan));

    expect(await room.store.environments.get(thingy, production)).toMatchObject({ protected: true });
  });

  it('refuses unregistered environments of others, all at once, with the command', async () => {
    const foreign = await makeActivityRoom({ isLocal: false });
    try {
      const answer = await call(foreign, 'resolve', { run: await push(foreign, plan) });

      expect(answer).toMatchObject({ type: 'failed', code: 'environment-unregistered' });
      expect(JSON.stringify(answer)).toContain('loam env put thingy staging; loam env put thingy production');
      expect(await foreign.store.environments.list()).toEqual([]);
    } finally {
      await foreign.close();
    }
  });

  it('refuses a branch that an environment does not take', async () => {
    await room.store.environments.put(thingy, production, { target: 'process', branches: ['release/*'] });

    const answer = await call(room, 'resolve', { run: await push(room, plan) });

    expect(answer).toMatchObject({ type: 'failed', code: 'deploy-refused' });
    expect(JSON.stringify(answer)).toContain('production takes only the branches release/*, and this is main');
  });

  it('ends as skipped when the plan is for other branches, with the reason', async () => {
    const run = await push(room, `on: {branches: [release/*]}\n${plan}`);

    const answer = await call(room, 'resolve', { run });

    expect(answer).toEqual({ type: 'skipped', reason: 'the plan is for the branches release/*, and this is main' });
  });

  it('fails without a plan', async () => {
    expect(await call(room, 'resolve', { run: await push(room, undefined) })).toMatchObject({
      type: 'failed',
      code: 'plan-missing',
    });
  });

  it('names each problem of a plan with its place (I10)', async () => {
    const run = await push(
      room,
      plan.replace('cmd: npm test', 'cmd: 3, colour: red').replace('type: approval', 'type: aproval'),
    );

    const answer = await call(room, 'resolve', { run });

    expect(answer).toMatchObject({ type: 'failed', code: 'plan-invalid' });
    const lines = (answer as { reason: string }).reason.split('\n');
    expect(lines.length).toBeGreaterThanOrEqual(2);
    for (const line of lines) expect(line).toMatch(/^loam\.yaml:\d+:\d+: /);
  });

  it('refuses a tree that is too large, and a plan that is too large (I10)', async () => {
    const limits = { ...room.dependencies.limits, snapshotBytes: 10 };
    const tight = { dependencies: { ...room.dependencies, limits } };
    const small = { dependencies: { ...room.dependencies, limits: { ...room.dependencies.limits, graphBytes: 10 } } };

    const tree = await call(tight, 'resolve', { run: await push(room, plan) });
    const graph = await call(small, 'resolve', { run: await push(room, plan) });

    expect(tree).toMatchObject({ type: 'failed', code: 'input-too-large' });
    expect(graph).toMatchObject({ type: 'failed', code: 'plan-invalid' });
  });

  it.each([
    ['tells a run that may outlive its trust so before it begins', 60_000, 1],
    ['tells nothing of a trust that ends long after the run', 10 * 365 * 86_400_000, 0],
  ])('%s', async (_title, leftMs, count) => {
    const expiresAt = new Date(Date.now() + leftMs).toISOString();
    const trust = { name: 'demo', provider: 'static', settings: { expiresAt } } as const;
    await room.store.trusts.put(trust, new Secret('canary-of-the-trust'));
    const run = await push(room, plan);

    const ready = await resolveRun(room, run);

    const told = ((await room.store.runs.get(run))?.warnings ?? []).filter((one) => one.includes('trust demo ends'));
    expect(told).toEqual(
      count === 0 ? [] : [`trust demo ends at ${expiresAt}: a later deploy waits until a person has reconnected it`],
    );
    expect(ready.trusts).toEqual([]); // nothing renews it, so nothing keeps it
    expect(JSON.stringify(ready)).not.toContain('canary');
  });

  it('names a trust that is not registered', async () => {
    const answer = await call(room, 'resolve', { run: await push(room, plan.replace('trust: demo', 'trust: other')) });

    expect(answer).toMatchObject({ type: 'failed', code: 'trust-unknown' });
  });

  it('tries again while the repository cannot be reached', async () => {
    const run = await push(room, plan);
    await loseRemote(room);

    await expect(call(room, 'resolve', { run })).rejects.toMatchObject({
      type: 'git-unavailable',
      nonRetryable: false,
    });
  });

  it('seeds a later round from the rows, without reading the commit again (I2, I9)', async () => {
    const run = await push(room, plan);
    const first = await resolveRun(room, run);
    await endTask(run, 'test', 'succeeded');
    await endTask(run, 'build', 'failed');
    await call(room, 'finish', { run, status: 'failed', records: [] });
    const { id } = await room.store.runs.newRound(run, []);
    await loseRemote(room);

    const second = await resolveRun(room, id);

    expect(second.planDigest).toBe(first.planDigest);
    expect(second.seeded).toEqual([
      { task: 'test', succeeded: true, attempts: 1 },
      { task: 'build', succeeded: false, attempts: 1 },
    ]);
  });
});

async function endTask(
  run: Parameters<typeof resolveRun>[1],
  name: string,
  status: 'succeeded' | 'failed',
): Promise<void> {
  const key = { run, task: parseTaskName(name), attempt: 1 };
  const begin = await room.store.tasks.begin(key, 'host-1');
  if (begin.type !== 'begun') throw new Error('it has ended');
  await room.store.tasks.finish(key, begin.owner, { outcome: { status }, outputs: {}, log: undefined });
}
