// I7 of activities/keep-trusts.ts and trust-token.ts
import { ActivityCancellationDetails } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call, makeActivityRoom, makeEnvironment, push, waitFor } from '../../support/activity-room.ts';
import type { ActivityRoom } from '../../support/activity-room.ts';
import type { RunId } from '../../../src/core/model/ids.ts';

let room: ActivityRoom;
let run: RunId;

beforeEach(async () => {
  room = await makeActivityRoom();
  run = await push(room, undefined);
  await room.store.trusts.put({ name: 'demo', provider: 'exec', settings: {} });
});

afterEach(() => room.close());

function keep(environment = makeEnvironment(), trusts: readonly string[] = ['demo']): Promise<void> {
  return call(room, 'keepTrusts', { run, trusts }, environment);
}

async function generation(): Promise<number> {
  return (await room.store.trusts.get('demo'))?.generation ?? 0;
}

describe('keepTrusts', () => {
  it('draws, renews at about half the lifetime, and ends when it is cancelled', async () => {
    room.trustProvider.lifetimeMs = 1_000;
    const environment = makeEnvironment();
    const keeper = keep(environment);

    await waitFor('three renewals', async () => (await generation()) >= 4);
    environment.cancel();

    await expect(keeper).rejects.toMatchObject({ name: 'CancelledFailure' });
    const { drawnAtMs } = room.trustProvider;
    const gaps = drawnAtMs.slice(1).map((at, index) => at - (drawnAtMs[index] ?? 0));
    for (const gap of gaps) {
      expect(gap).toBeGreaterThanOrEqual(430);
      expect(gap).toBeLessThan(900);
    }
    expect(await room.store.trusts.get('demo')).toMatchObject({ state: 'valid' });
  });

  it('heartbeats which token there is, and never the token (I7)', async () => {
    const environment = makeEnvironment();
    const beats: unknown[] = [];
    environment.on('heartbeat', (details: unknown) => beats.push(details));
    const keeper = keep(environment);

    await waitFor('a beat with a token', () => JSON.stringify(beats).includes('"generation":1'));
    environment.cancel();
    await expect(keeper).rejects.toThrow();

    expect(beats.at(-1)).toEqual([
      { trust: 'demo', generation: 1, expiresAt: expect.stringMatching(/^20.*Z$/) as string },
    ]);
    expect(JSON.stringify(beats) + room.workerLog.join('\n')).not.toContain('canary');
  });

  it('lets one of many keepers renew while the others watch', async () => {
    room.trustProvider.lifetimeMs = 1_000;
    const environments = [makeEnvironment(), makeEnvironment(), makeEnvironment()];
    const keepers = environments.map((environment) => keep(environment));

    await waitFor('two renewals', async () => (await generation()) >= 3);
    for (const environment of environments) environment.cancel();
    await Promise.allSettled(keepers);

    expect(room.trustProvider.drawnAtMs.length).toBeLessThanOrEqual((await generation()) + 1);
  });

  it.each([
    ['trust-revoked', 'revoked'],
    ['trust-expired', 'expired'],
  ] as const)('ends for good with %s, and the row says why', async (code, state) => {
    room.trustProvider.failure = code;

    await expect(keep()).rejects.toMatchObject({ type: code, nonRetryable: true });

    expect(await room.store.trusts.get('demo')).toMatchObject({ state, reason: `the provider says ${code}` });
  });

  it('ends for good when the trust is not registered', async () => {
    await expect(keep(makeEnvironment(), ['demo', 'other'])).rejects.toMatchObject({
      type: 'trust-unknown',
      nonRetryable: true,
    });
  });

  it('draws nothing for a run that is over, though nobody has told it yet', async () => {
    room.trustProvider.lifetimeMs = 300;
    const keeper = keep();
    await waitFor('a renewal', async () => (await generation()) >= 2);

    await room.store.runs.finish(run, { status: 'succeeded', code: undefined, reason: undefined });
    await keeper;

    const { length } = room.trustProvider.drawnAtMs;
    expect(await generation()).toBe(length);
  });

  it('draws anew, with the new settings, when a person has reconnected the trust meanwhile', async () => {
    room.trustProvider.lifetimeMs = 1_000;
    const environment = makeEnvironment();
    const keeper = keep(environment);
    await waitFor('a token', async () => (await generation()) === 1);

    await room.store.trusts.put({ name: 'demo', provider: 'exec', settings: { command: ['other'] } });
    await waitFor('the next token', async () => (await room.store.trusts.token('demo'))?.generation === 2);
    environment.cancel();

    await expect(keeper).rejects.toThrow();
    expect(room.trustProvider.settings.at(-1)).toEqual({ command: ['other'] });
  });

  it('keeps trying while the provider cannot be reached, and recovers', async () => {
    room.trustProvider.failure = 'trust-failed';
    const environment = makeEnvironment();
    const keeper = keep(environment);
    await waitFor('the state', async () => (await room.store.trusts.get('demo'))?.state === 'provider-unreachable');

    room.trustProvider.failure = undefined;
    await waitFor('a token', async () => (await generation()) === 1);
    environment.cancel();

    await expect(keeper).rejects.toMatchObject({ name: 'CancelledFailure' });
    expect(await room.store.trusts.get('demo')).toMatchObject({ state: 'valid' });
  });

  it('goes on at the present generation on another worker', async () => {
    const environment = makeEnvironment();
    const first = keep(environment);
    await waitFor('a token', async () => (await generation()) === 1);
    environment.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));
    await expect(first).rejects.toMatchObject({ type: 'host-lost', nonRetryable: false });
    const other = makeEnvironment();
    const beats: unknown[] = [];
    other.on('heartbeat', (details: unknown) => beats.push(details));

    const second = keep(other);
    await waitFor('a beat', () => JSON.stringify(beats).includes('"generation":1'));
    other.cancel();

    await expect(second).rejects.toThrow();
    expect(room.trustProvider.drawnAtMs).toHaveLength(1);
  });
});
