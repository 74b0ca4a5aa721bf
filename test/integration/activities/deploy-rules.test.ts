// I4, I5, I7 of activities/deploy-stack.ts, deploy-admission.ts, release-config.ts, release-health.ts
import { rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeployInput } from '../../../activities/types.ts';
import { parseTaskName } from '../../../src/core/model/ids.ts';
import type { Digest } from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import { build, deployPlan, logOf, prepareDeploy, releases, staging } from '../../support/activity-deploy.ts';
import { call, makeActivityRoom, push, resolveRun, thingy } from '../../support/activity-room.ts';
import type { ActivityRoom } from '../../support/activity-room.ts';

let room: ActivityRoom;

beforeEach(async () => {
  room = await makeActivityRoom();
});

afterEach(() => room.close());

describe('deploy_stack', () => {
  it('gives the release the config of template, plan and environment, the narrower place last, and secrets by name (I5, I7)', async () => {
    await push(room, deployPlan('0')).then((run) => resolveRun(room, run));
    await room.store.environments.put(thingy, staging, {
      config: { PLACE: 'registered', EXTRA: 'secret:looks like one' },
    });

    const input = await prepareDeploy(room, '1');
    await call(room, 'deploy_stack', input);

    const spec = room.target.specs.at(-1);
    expect(spec?.env).toMatchObject({ GREETING: 'hello 1', PLACE: 'registered', EXTRA: 'secret:looks like one' });
    expect(spec).toMatchObject({ start: 'node server.mjs', health: '/health', replicas: 1 });
    const image = await room.store.tasks.output(input.run, { task: build, key: 'digest' });
    expect(spec?.artifact).toBe(await room.blobs.file(image as Digest));
  });
});

describe('deploy_stack of a protected environment', () => {
  beforeEach(async () => {
    await room.store.environments.put(thingy, staging, { target: 'process', protected: true });
  });

  it('demands an approval, whatever the graph says, and names the remedy (I4)', async () => {
    const outcome = await call(room, 'deploy_stack', await prepareDeploy(room, '1'));

    expect(outcome).toMatchObject({ status: 'failed', code: 'approval-required' });
    expect(outcome.reason).toContain('type: approval');
    expect(room.target.done).toEqual([]);
  });

  it('takes an approval of exactly these digests, and no other (I4)', async () => {
    const first = await prepareDeploy(room, '1');
    await approve(first, first);
    const outcome = await call(room, 'deploy_stack', first);
    const second = await prepareDeploy(room, '2');
    await approve(second, first);

    const refused = await call(room, 'deploy_stack', second);

    expect(outcome.status).toBe('succeeded');
    expect(refused).toMatchObject({ status: 'failed', code: 'approval-required' });
  });

  async function approve(input: DeployInput, of: DeployInput): Promise<void> {
    const gate = parseTaskName('approve');
    const template = (await room.store.tasks.output(of.run, { task: parseTaskName('template'), key: '' })) as Digest;
    const image = (await room.store.tasks.output(of.run, { task: build, key: 'digest' })) as Digest;
    await room.store.gates.open({
      run: input.run,
      gate,
      environment: staging,
      subjects: [{ task: input.task.name, template, image }],
      preview: {
        application: 'thingy',
        fromRelease: undefined,
        fromCommit: undefined,
        toCommit: '',
        commits: [],
        moreCommits: false,
        configAdded: [],
        configRemoved: [],
        configChanged: [],
        digest: image,
      },
      timeoutMs: 60_000,
    });
    await room.store.gates.decide(input.run, gate, { verdict: 'approved', by: 'ann', comment: '' });
  }
});

describe('deploy_stack refuses', () => {
  it('a branch that the environment does not take', async () => {
    const input = await prepareDeploy(room, '1');
    await room.store.environments.put(thingy, staging, { branches: ['release/*'] });

    const outcome = await call(room, 'deploy_stack', input);

    expect(outcome).toMatchObject({ status: 'failed', code: 'deploy-refused' });
    expect(outcome.reason).toContain('release/*');
  });

  it('an environment of another target', async () => {
    const input = await prepareDeploy(room, '1');
    await room.store.environments.put(thingy, staging, { target: 'docker' });

    expect(await call(room, 'deploy_stack', input)).toMatchObject({ status: 'failed', code: 'deploy-refused' });
  });

  it('a limit that a local process would not keep', async () => {
    const input = await prepareDeploy(room, '1');
    await room.store.environments.put(thingy, staging, { memoryMb: 64 });

    const outcome = await call(room, 'deploy_stack', input);

    expect(outcome).toMatchObject({ status: 'failed', code: 'deploy-refused' });
    expect(outcome.reason).toContain('loam env put thingy staging --no-memory --no-cpus');
  });

  it('an artifact that is gone', async () => {
    const input = await prepareDeploy(room, '1');
    const image = await room.store.tasks.output(input.run, { task: build, key: 'digest' });
    await rm(await room.blobs.file(image as Digest));

    expect(await call(room, 'deploy_stack', input)).toMatchObject({ status: 'failed', code: 'blob-missing' });
  });
});

describe('deploy_stack with a trust', () => {
  beforeEach(async () => {
    await room.store.trusts.put({ name: 'demo', provider: 'exec', settings: {} });
    await room.store.environments.put(thingy, staging, { target: 'process', trust: 'demo' });
  });

  it('draws a token by itself when there is none, and gives it to the release alone (I7)', async () => {
    const input = await prepareDeploy(room, '1');

    await call(room, 'deploy_stack', input);

    expect(room.target.specs[0]?.trustToken?.reveal()).toBe('canary-token-1');
    expect(JSON.stringify(room.target.specs)).not.toContain('canary');
    expect((await logOf(room, input)) + room.workerLog.join('\n')).not.toContain('canary');
  });

  it('takes no token of a trust that was withdrawn, however long it lives, and asks the provider again', async () => {
    room.trustProvider.lifetimeMs = 60_000;
    await room.store.trusts.lease('demo', 'test', 1_000);
    await room.store.trusts.saveToken('demo', 'test', 0, new Secret('canary-token-of-old'), Date.now() + 60_000);
    await room.store.trusts.unlease('demo', 'test');
    await room.store.trusts.setState('demo', 'revoked', 'withdrawn');
    room.trustProvider.failure = 'trust-revoked';

    expect(await call(room, 'deploy_stack', await prepareDeploy(room, '1'))).toMatchObject({ code: 'trust-revoked' });

    room.trustProvider.failure = undefined;
    expect(await call(room, 'deploy_stack', await prepareDeploy(room, '2'))).toEqual({ status: 'succeeded' });
    expect(room.target.specs.at(-1)?.trustToken?.reveal()).toBe('canary-token-1');
  });

  it('fails with the code of the trust, and leaves the old release', async () => {
    room.trustProvider.failure = 'trust-revoked';

    const outcome = await call(room, 'deploy_stack', await prepareDeploy(room, '1'));

    expect(outcome).toMatchObject({ status: 'failed', code: 'trust-revoked' });
    expect(await room.store.trusts.get('demo')).toMatchObject({ state: 'revoked' });
    expect((await releases(room)).map(({ status }) => status)).toEqual(['failed']);
  });

  it('masks secrets in what an unhealthy application wrote (I7)', async () => {
    await room.store.secrets.put(thingy, staging, 'PASSWORD', new Secret('canary-secret'));
    room.target.health = () => ({ type: 'unhealthy', reason: 'said canary-token-1', output: 'token canary-token-1\n' });
    const input = await prepareDeploy(room, '1');

    const outcome = await call(room, 'deploy_stack', input);

    expect((await logOf(room, input)) + JSON.stringify(outcome)).not.toContain('canary');
  });
});
