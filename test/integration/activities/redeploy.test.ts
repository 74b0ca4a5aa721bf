// I4, I5 of activities/redeploy.ts: what rollback and scale deploy.
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { DeployInput } from '../../../activities/types.ts';
import type { Redeploy } from '../../../src/core/graph/graph.ts';
import { lockHolder, parseDigest } from '../../../src/core/model/ids.ts';
import type { CompiledPlan } from '../../../src/core/plan/plan.ts';
import { makeRedeployPlan } from '../../../src/core/plan/redeploy-plan.ts';
import { canonicalJson } from '../../../src/core/template/canonical-json.ts';
import { logOf, prepareDeploy, recorded, releases, running, staging } from '../../support/activity-deploy.ts';
import {
  call,
  dyingRoom,
  findTask,
  loseRemote,
  makeActivityRoom,
  resolveRun,
  thingy,
} from '../../support/activity-room.ts';
import type { ActivityRoom } from '../../support/activity-room.ts';

let room: ActivityRoom;

beforeEach(async () => {
  room = await makeActivityRoom();
});

afterEach(() => room.close());

/** A run of a plan of Loam's own, up to its deploy, as the door makes it. */
async function prepareRedeploy(redeploy: Redeploy, isProtected = false): Promise<DeployInput> {
  const release = await room.store.releases.get(thingy, staging, redeploy.release);
  if (release === undefined) throw new Error('no such release');
  const made = JSON.parse(new TextDecoder().decode(await room.blobs.read(release.planDigest))) as CompiledPlan;
  const plan = makeRedeployPlan(made, release, { redeploy, isProtected });
  const { digest } = await room.blobs.put(canonicalJson(plan));
  const id = `redeploy ${String((await room.store.runs.list({ limit: 100 })).length)}`;
  const answer = await room.store.deliveries.receive({
    application: thingy,
    source: 'manual',
    deliveryId: id,
    bodyDigest: parseDigest(`sha256:${createHash('sha256').update(id).digest('hex')}`),
    push: {
      ref: 'refs/heads/main',
      before: undefined,
      after: release.commit,
      pushedAtMs: 0,
      message: id,
      author: 'Ann',
    },
    plan: {
      planDigest: digest,
      snapshot: digest,
      tasks: plan.graph.tasks.map(({ name, type }) => ({ name, type })),
    },
    ignored: undefined,
  });
  if (answer.result !== 'accepted') throw new Error(answer.result);
  const [row] = await room.store.runs.list({ application: thingy, limit: 1 });
  if (row === undefined) throw new Error('no run');
  const ready = await resolveRun(room, row.id);
  const task = findTask(ready, 'deploy', 'deploy_stack');
  const holder = lockHolder(row.id, task.name, 1);
  const fence = await call(room, 'takeFence', { application: thingy, environment: staging, holder });
  return { run: row.id, planDigest: ready.planDigest, attempt: 1, task, holder, fence };
}

async function deploy(version: string): Promise<void> {
  expect(await call(room, 'deploy_stack', await prepareDeploy(room, version))).toMatchObject({ status: 'succeeded' });
}

it('goes back to artifact, template and settings of a release, without its repository (I5)', async () => {
  await deploy('1');
  const first = room.target.specs.at(-1);
  await deploy('2');
  await room.store.environments.put(thingy, staging, { config: { PLACE: 'moved since' } });
  await loseRemote(room);

  const input = await prepareRedeploy({ release: 1 });
  const outcome = await call(room, 'deploy_stack', input);

  expect(outcome).toMatchObject({ status: 'succeeded' });
  const spec = room.target.specs.at(-1);
  expect(spec).toMatchObject({ artifact: first?.artifact, env: first?.env, replicas: 1 });
  expect(spec?.env).toMatchObject({ GREETING: 'hello 1', PLACE: 'staging' });
  expect(await recorded(room)).toBe(3);
  expect(running(room)).toEqual([3]);
  expect(await logOf(room, input)).toContain('which is release 1 again');
});

it('scales the live release, and the environment keeps the number once it is live', async () => {
  await deploy('1');

  const input = await prepareRedeploy({ release: 1, replicas: 3 });
  const before = (await room.store.environments.get(thingy, staging))?.replicas;
  await call(room, 'deploy_stack', input);

  expect(before).toBe(1);
  expect(room.target.specs.at(-1)).toMatchObject({ replicas: 3, env: { GREETING: 'hello 1' } });
  expect(await room.store.environments.get(thingy, staging)).toMatchObject({ replicas: 3, liveRelease: 2 });
  await deploy('2');
  expect(room.target.specs.at(-1)).toMatchObject({ replicas: 3, env: { GREETING: 'hello 2' } });
});

it('keeps the number of an environment whose scale did not become healthy (I6)', async () => {
  await deploy('1');
  room.target.health = () => ({ type: 'unhealthy', reason: 'too many', output: '' });

  const outcome = await call(room, 'deploy_stack', await prepareRedeploy({ release: 1, replicas: 3 }));

  expect(outcome).toMatchObject({ status: 'failed', code: 'deploy-unhealthy' });
  expect(await room.store.environments.get(thingy, staging)).toMatchObject({ replicas: 1, liveRelease: 1 });
});

it('has scaled also when it died around the moment of going live (I2)', async () => {
  await deploy('1');
  for (const [when, replicas] of [
    ['before', 2],
    ['after', 3],
  ] as const) {
    const input = await prepareRedeploy({ release: (await recorded(room)) ?? 0, replicas });
    const dying = dyingRoom(room, 'releases', 'makeLive', when);

    await expect(call(dying, 'deploy_stack', input)).rejects.toThrow('unexpected Error');

    expect(await call(room, 'deploy_stack', input)).toMatchObject({ status: 'succeeded' });
    expect((await room.store.environments.get(thingy, staging))?.replicas).toBe(replicas);
  }
  expect((await releases(room)).map(({ status }) => status)).toEqual(['superseded', 'superseded', 'live']);
});

it('does not scale a release that another deploy has replaced meanwhile', async () => {
  await deploy('1');
  const input = await prepareRedeploy({ release: 1, replicas: 3 });
  await deploy('2');
  const holder = `${input.holder} again`;
  const fence = await call(room, 'takeFence', { application: thingy, environment: staging, holder });

  const outcome = await call(room, 'deploy_stack', { ...input, holder, fence });

  expect(outcome).toMatchObject({ status: 'failed', code: 'deploy-refused' });
  expect(outcome.reason).toContain('not live in staging any more');
  expect(await recorded(room)).toBe(2);
});

it('demands the approval of a protected environment also for a release that was live there before (I4)', async () => {
  await deploy('1');
  await deploy('2');
  await room.store.environments.put(thingy, staging, { protected: true });

  const outcome = await call(room, 'deploy_stack', await prepareRedeploy({ release: 1 }, true));

  expect(outcome).toMatchObject({ status: 'failed', code: 'approval-required' });
  expect(await recorded(room)).toBe(2);
});

it('shows at the gate which settings change back', async () => {
  await deploy('1');
  await deploy('2');
  const { run, planDigest } = await prepareRedeploy({ release: 1 }, true);
  const ready = await resolveRun(room, run);

  await call(room, 'open_gate', { run, planDigest, attempt: 1, task: findTask(ready, 'approve', 'approval') });

  const [gate] = await room.store.gates.list({ run });
  expect(gate?.subjects).toMatchObject([{ task: 'deploy' }]);
  expect(gate?.preview).toMatchObject({ fromRelease: 2, configChanged: ['GREETING'], commits: [] });
});
