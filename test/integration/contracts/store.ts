import { describe, expect, it } from 'vitest';
import { parseApplicationName, parseEnvironmentName } from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import {
  addApplication,
  makeApplication,
  makeDelivery,
  makeDigest,
  makePush,
  makeSha,
  runId,
  staging,
  thingy,
  type OpenStore,
} from './store-builders.ts';
import { testStoreDeliveries } from './store-deliveries.ts';
import { testStoreGates } from './store-gates.ts';
import { testStoreRuns } from './store-runs.ts';
import { testStoreStatuses } from './store-statuses.ts';
import { testStoreTasks } from './store-tasks.ts';
import { testStoreTrusts } from './store-trusts.ts';

/** Every adapter of the port passes this. */
export function testStore(name: string, open: () => Promise<OpenStore>): void {
  async function withStore(work: (opened: OpenStore) => Promise<void>): Promise<void> {
    const opened = await open();
    try {
      await work(opened);
    } finally {
      await opened.close();
    }
  }

  describe(`${name}: applications and environments`, () => testPlaces(withStore));
  describe(`${name}: deliveries`, () => testDeliveries(withStore));
  describe(`${name}: ids of deliveries and heads`, () => testStoreDeliveries(withStore));
  describe(`${name}: runs`, () => testStoreRuns(withStore));
  describe(`${name}: tasks`, () => testStoreTasks(withStore));
  describe(`${name}: gates and releases`, () => testStoreGates(withStore));
  describe(`${name}: statuses of commits`, () => testStoreStatuses(withStore));
  describe(`${name}: trusts, secrets, tokens, logs`, () => testStoreTrusts(withStore));
}

export type WithStore = (work: (opened: OpenStore) => Promise<void>) => Promise<void>;

function testPlaces(withStore: WithStore): void {
  it('keeps an application once, with its secret sealed', () =>
    withStore(async ({ store }) => {
      const added = await addApplication(store);

      expect(await store.applications.get(thingy)).toEqual(added);
      expect(await store.applications.list()).toEqual([added]);
      expect((await store.applications.triggerSecret(thingy)).reveal()).toBe('hook-secret');
      const found = await store.applications.byTrigger('abc');
      expect(found?.application).toEqual(added);
      expect(found?.secret.reveal()).toBe('hook-secret');
      expect(await store.applications.byTrigger('abd')).toBeUndefined();
      await expect(addApplication(store)).rejects.toMatchObject({ code: 'application-exists' });
    }));

  it('refuses an application without a secret', () =>
    withStore(async ({ store }) => {
      await expect(store.applications.add(makeApplication(), new Secret(''))).rejects.toMatchObject({
        code: 'input-invalid',
      });
    }));

  it('changes what it is told and keeps the rest of an application', () =>
    withStore(async ({ store }) => {
      const added = await addApplication(store);

      const changed = await store.applications.update(thingy, { branches: ['main', 'release/*'] });

      expect(changed).toEqual({ ...added, branches: ['main', 'release/*'] });
      const nobody = parseApplicationName('nobody');
      await expect(store.applications.update(nobody, {})).rejects.toMatchObject({ code: 'application-unknown' });
      await expect(store.applications.triggerSecret(nobody)).rejects.toMatchObject({ code: 'application-unknown' });
    }));

  it('registers an environment with defaults and changes only what it is told', () =>
    withStore(async ({ store }) => {
      await addApplication(store);

      const first = await store.environments.put(thingy, staging, { protected: true, trust: 'demo' });
      const second = await store.environments.put(thingy, staging, { replicas: 3, memoryMb: 64, cpus: 0.5 });
      const cleared = await store.environments.put(thingy, staging, { trust: undefined, memoryMb: undefined });

      expect(first).toMatchObject({ target: 'process', protected: true, trust: 'demo', replicas: 1, fence: 0 });
      expect(second).toEqual({ ...first, replicas: 3, memoryMb: 64, cpus: 0.5 });
      expect(cleared).toEqual({ ...second, trust: undefined, memoryMb: undefined });
      expect(await store.environments.get(thingy, staging)).toEqual(cleared);
    }));

  it('refuses an environment of an unknown application', () =>
    withStore(async ({ store }) => {
      await expect(store.environments.put(thingy, staging, {})).rejects.toMatchObject({ code: 'application-unknown' });
    }));

  it('gives every environment a front port of its own, also at the same moment', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const names = ['a', 'b', 'c', 'd'].map(parseEnvironmentName);

      await Promise.all(names.map((name) => store.environments.put(thingy, name, {})));
      const listed = await store.environments.list(thingy);

      expect(listed.map((one) => one.name)).toEqual(names);
      expect(new Set(listed.map((one) => one.frontPort)).size).toBe(4);
    }));

  it('moves a front to a port that no other environment has', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const other = await store.environments.put(thingy, parseEnvironmentName('production'), {});
      await store.environments.put(thingy, staging, {});

      const moved = await store.environments.moveFront(thingy, staging, 9_999);

      expect(moved.frontPort).toBe(9_999);
      await expect(store.environments.moveFront(thingy, staging, other.frontPort)).rejects.toMatchObject({
        code: 'input-invalid',
      });
      const unknown = parseEnvironmentName('nowhere');
      await expect(store.environments.moveFront(thingy, unknown, 1)).rejects.toMatchObject({
        code: 'environment-unknown',
      });
    }));

  it('gives each holder one fence, and only the newest passes (I3)', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      await store.environments.put(thingy, staging, {});

      const first = await store.environments.takeFence(thingy, staging, 'holder-1', 0);
      const again = await store.environments.takeFence(thingy, staging, 'holder-1', 0);
      const passed = await store.environments.checkFence(thingy, staging, first, 'start');
      const second = await store.environments.takeFence(thingy, staging, 'holder-2', 0);

      const isOf = (holder: string, fence: number) => store.environments.isFenceOf(thingy, staging, holder, fence);

      expect([first, again, second]).toEqual([1, 1, 2]);
      expect([await isOf('holder-1', 1), await isOf('holder-1', 2), await isOf('holder-3', 2)]).toEqual([
        true,
        false,
        false,
      ]);
      expect(passed).toBe(true);
      expect(await store.environments.checkFence(thingy, staging, first, 'switch')).toBe(false);
      expect(await store.environments.checkFence(thingy, staging, second, 'switch')).toBe(true);
      expect(await store.environments.takeFence(thingy, staging, 'holder-1', 0)).toBe(1);
      expect(await store.environments.takeFence(thingy, staging, 'holder-3', 7)).toBe(8);
      expect((await store.environments.get(thingy, staging))?.fence).toBe(8);
    }));
}

function testDeliveries(withStore: WithStore): void {
  it('makes one run of a delivery and its repeats (I1)', () =>
    withStore(async ({ store }) => {
      await addApplication(store);

      const answers = await Promise.all(
        Array.from({ length: 10 }, () => store.deliveries.receive(makeDelivery('same'))),
      );

      expect(answers.filter((one) => one.result === 'accepted')).toEqual([
        { result: 'accepted', delivery: expect.any(String) as string, application: thingy, number: 1 },
      ]);
      expect(answers.filter((one) => one.result === 'duplicate')).toHaveLength(9);
      expect(answers.every((one) => one.result !== 'ignored' && one.number === 1)).toBe(true);
      expect(await store.runs.list({ limit: 10 })).toHaveLength(1);
    }));

  it('knows a body that comes under another id', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const bodyDigest = makeDigest('one body');
      const first = await store.deliveries.receive(makeDelivery('d1', { bodyDigest }));

      const answer = await store.deliveries.receive(makeDelivery('forged', { bodyDigest }));

      expect(answer).toMatchObject({ result: 'duplicate', of: first.delivery, application: thingy, number: 1 });
      expect(answer.delivery).not.toBe(first.delivery);
    }));

  it('takes the same push of another source as one, also when that source repeats it later', () =>
    withStore(async ({ store, clock }) => {
      await addApplication(store);
      const { delivery: of } = await store.deliveries.receive(makeDelivery('hook-1'));

      const webhook = await store.deliveries.receive(makeDelivery('webhook-1', { source: 'webhook' }));
      clock.nowMs += 60 * 60_000;
      const repeated = await store.deliveries.receive(makeDelivery('webhook-1', { source: 'webhook' }));

      expect([webhook, repeated]).toMatchObject(Array(2).fill({ result: 'duplicate', of, number: 1 }));
    }));

  it('takes the same push of another source as a new one after ten minutes', () =>
    withStore(async ({ store, clock }) => {
      await addApplication(store);
      await store.deliveries.receive(makeDelivery('hook-1'));
      clock.nowMs += 10 * 60_000 + 1;

      const answer = await store.deliveries.receive(makeDelivery('webhook-1', { source: 'webhook' }));

      expect(answer).toMatchObject({ result: 'accepted', number: 2 });
    }));

  it('counts A to B, back to A, again to B as three, told by two sources in any order', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const there = makePush();
      const back = makePush({ before: there.after, after: makeSha('a') });
      const pushes = [there, back, there];

      const hooks = [];
      for (const [at, push] of pushes.entries()) {
        hooks.push(await store.deliveries.receive(makeDelivery(`hook-${String(at)}`, { push })));
      }
      const webhooks = [];
      for (const [at, push] of pushes.entries()) {
        const delivery = makeDelivery(`webhook-${String(at)}`, { push, source: 'webhook' });
        webhooks.push(await store.deliveries.receive(delivery));
      }

      expect(hooks.map((one) => one.result)).toEqual(['accepted', 'accepted', 'accepted']);
      expect(webhooks.map((one) => one.result)).toEqual(['duplicate', 'duplicate', 'duplicate']);
      expect(new Set(webhooks.map((one) => 'number' in one && one.number))).toEqual(new Set([1, 2, 3]));
    }));

  it('gives a person who asks for a run one, whatever was pushed', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      await store.deliveries.receive(makeDelivery('hook-1'));

      const answer = await store.deliveries.receive(makeDelivery('manual-1', { source: 'manual' }));

      expect(answer).toMatchObject({ result: 'accepted', number: 2 });
    }));

  it('records why a delivery starts no run', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const reason = 'branch filter: x is none of main';

      const filtered = await store.deliveries.receive(makeDelivery('d1', { ignored: reason }));
      const repeated = await store.deliveries.receive(makeDelivery('d1', { ignored: reason }));
      const same = makePush({ after: makeSha('a') });
      const unchanged = await store.deliveries.receive(makeDelivery('d2', { push: same }));
      const deleted = await store.deliveries.receive(makeDelivery('d3', { push: makePush({ after: undefined }) }));

      expect(filtered).toMatchObject({ result: 'ignored', application: thingy, reason });
      expect(repeated).toMatchObject({ result: 'duplicate', of: filtered.delivery, number: undefined });
      expect(unchanged).toMatchObject({ result: 'ignored', reason: 'the head of refs/heads/main did not change' });
      expect(deleted).toMatchObject({ result: 'ignored' });
      expect(await store.runs.list({ limit: 10 })).toEqual([]);
    }));

  it('cuts foreign text and drops NUL', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const push = makePush({ message: `a\0b${'😀'.repeat(400)}\nsecond line`, author: 'x'.repeat(300) });

      await store.deliveries.receive(makeDelivery('d1', { push }));
      const run = await store.runs.get(runId(1));

      expect(run?.message.startsWith('ab😀')).toBe(true);
      expect(run?.message.length).toBeLessThanOrEqual(500);
      expect(run?.message.isWellFormed()).toBe(true);
      expect(run?.author).toHaveLength(200);
    }));

  it.each([
    ['an id that is too long', makeDelivery('x'.repeat(201))],
    ['an id with NUL', makeDelivery('a\0b')],
    ['a ref that is too long', makeDelivery('d', { push: makePush({ ref: `refs/heads/${'x'.repeat(600)}` }) })],
    ['a time that is none', makeDelivery('d', { push: makePush({ pushedAtMs: Number.NaN }) })],
  ])('refuses %s', (_, delivery) =>
    withStore(async ({ store }) => {
      await addApplication(store);

      await expect(store.deliveries.receive(delivery)).rejects.toMatchObject({ code: 'input-invalid' });
    }),
  );

  it('refuses a delivery for an unknown application', () =>
    withStore(async ({ store }) => {
      await expect(store.deliveries.receive(makeDelivery('d'))).rejects.toMatchObject({ code: 'application-unknown' });
    }));

  it('tells what became of a delivery, also after its run got another number', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      await store.deliveries.receive(makeDelivery('d1'));
      const delivery = (await store.runs.get(runId(1)))?.delivery ?? '';
      await store.runs.renumber(runId(1));

      const row = await store.deliveries.get(delivery);

      expect(row).toMatchObject({
        application: thingy,
        brought: {
          source: 'hook',
          deliveryId: 'd1',
          push: { ref: 'refs/heads/main', before: makeSha('a'), after: makeSha('b') },
        },
        answer: { result: 'accepted', number: 2 },
      });
      expect(await store.deliveries.get('nobody')).toBeUndefined();
    }));
}
