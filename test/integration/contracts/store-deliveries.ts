import { expect, it } from 'vitest';
import { parseApplicationName } from '../../../src/core/model/ids.ts';
import { addApplication, makeDelivery, makeDigest, makePush, makeSha, runId, task, thingy } from './store-builders.ts';
import type { WithStore } from './store.ts';

const main = 'refs/heads/main';

export function testStoreDeliveries(withStore: WithStore): void {
  it('finds a delivery by the id that a relay gave it, and each repeat by its own (I1)', () =>
    withStore(async ({ store }) => {
      await addApplication(store);

      const first = await store.deliveries.receive(makeDelivery('d1', { id: 'relay-1' }));
      const again = await store.deliveries.receive(makeDelivery('d1', { id: 'relay-1' }));
      const repeat = await store.deliveries.receive(makeDelivery('d1', { id: 'relay-2' }));
      const repeatAgain = await store.deliveries.receive(makeDelivery('d1', { id: 'relay-2' }));
      const samePush = await store.deliveries.receive(makeDelivery('w1', { id: 'relay-3', source: 'webhook' }));

      expect(first).toMatchObject({ result: 'accepted', delivery: 'relay-1' });
      expect(again).toMatchObject({ result: 'duplicate', delivery: 'relay-1', of: 'relay-1', number: 1 });
      expect((await store.deliveries.get('relay-1'))?.answer).toEqual(first);
      for (const answer of [repeat, repeatAgain, samePush]) {
        expect(answer).toMatchObject({ result: 'duplicate', of: 'relay-1', number: 1 });
        expect((await store.deliveries.get(answer.delivery))?.answer).toEqual(answer);
      }
      expect((await store.runs.get(runId(1)))?.delivery).toBe('relay-1');
      expect(await store.runs.list({ limit: 10 })).toHaveLength(1);
    }));

  it('begins a run with the plan that Loam gave it, tasks and all, and none beside it (I1)', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const tasks = [
        { name: task.approve, type: 'approval' },
        { name: task.deploy, type: 'deploy_stack' },
      ] as const;
      const plan = { planDigest: makeDigest('plan'), snapshot: makeDigest('tree'), tasks };
      const delivery = makeDelivery('m1', { source: 'manual', plan });

      await store.deliveries.receive(delivery);
      const again = await store.deliveries.receive(delivery);

      expect(again).toMatchObject({ result: 'duplicate', number: 1 });
      expect(await store.runs.unstarted(10)).toMatchObject([
        { id: runId(1), planDigest: plan.planDigest, snapshot: plan.snapshot, status: 'pending' },
      ]);
      expect(await store.tasks.list(runId(1))).toMatchObject(tasks.map((one) => ({ ...one, status: 'pending' })));
    }));

  it('records an event that is no push, once', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const event = { id: 'relay-1', application: thingy, reason: 'ping' };

      const answers = [await store.deliveries.ignore(event), await store.deliveries.ignore(event)];
      const unnamed = await store.deliveries.ignore({ application: thingy, reason: 'ping' });

      const answer = { result: 'ignored', delivery: 'relay-1', application: thingy, reason: 'ping' };
      expect(answers).toEqual([answer, answer]);
      expect(await store.deliveries.get('relay-1')).toMatchObject({ answer, brought: undefined });
      expect((await store.deliveries.get(unnamed.delivery))?.answer).toEqual(unnamed);
    }));

  it('refuses an id that names another delivery', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const other = parseApplicationName('other');
      await addApplication(store, { name: other, trigger: 'def' });
      const { deliveries } = store;
      await deliveries.receive(makeDelivery('d1', { id: 'one' }));
      await deliveries.receive(makeDelivery('d1', { id: 'repeat' }));
      const another = makePush({ before: makeSha('b'), after: makeSha('c') });
      await deliveries.receive(makeDelivery('d2', { id: 'two', push: another }));

      const refused = [
        () => deliveries.receive(makeDelivery('d3', { id: 'one', push: makePush({ after: makeSha('d') }) })),
        () => deliveries.receive(makeDelivery('d3', { id: 'repeat', push: makePush({ after: makeSha('d') }) })),
        () => deliveries.receive(makeDelivery('d2', { id: 'one', push: another })),
        () => deliveries.receive(makeDelivery('d2', { id: 'repeat', push: another })),
        () => deliveries.receive(makeDelivery('d1', { id: 'one', application: other })),
        () => deliveries.ignore({ id: 'one', application: thingy, reason: 'ping' }),
        () => deliveries.ignore({ id: 'repeat', application: other, reason: 'ping' }),
      ];

      for (const call of refused) await expect(call()).rejects.toMatchObject({ code: 'input-invalid' });
      expect(await store.runs.list({ limit: 10 })).toHaveLength(2);
    }));

  it('tells of each ref what deliveries have said of it last', () =>
    withStore(async ({ store, clock }) => {
      await addApplication(store);
      const side = 'refs/heads/side';
      const pushes = [
        makeDelivery('d1', { push: makePush() }),
        makeDelivery('d2', { push: makePush({ before: makeSha('b'), after: makeSha('c') }) }),
        makeDelivery('d3', { push: makePush({ ref: side, before: makeSha('a'), after: undefined }) }),
        makeDelivery('m1', { push: makePush({ before: undefined, after: makeSha('e') }), source: 'manual' }),
      ];
      const ids: string[] = [];
      for (const push of pushes) {
        clock.nowMs += 1;
        ids.push((await store.deliveries.receive(push)).delivery);
      }

      const { newest } = await store.deliveries.heads(thingy);

      expect(newest.toSorted((a, b) => ids.indexOf(a.delivery) - ids.indexOf(b.delivery))).toEqual([
        { ref: main, after: makeSha('c'), delivery: ids[1], isManual: false },
        { ref: side, after: undefined, delivery: ids[2], isManual: false },
        { ref: main, after: makeSha('e'), delivery: ids[3], isManual: true },
      ]);
    }));

  it('knows of each application whether its heads are watched', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      const other = parseApplicationName('other');
      await addApplication(store, { name: other, trigger: 'def' });

      await store.deliveries.markWatched(thingy);
      await store.deliveries.markWatched(thingy);

      expect(await store.deliveries.heads(thingy)).toEqual({ isWatched: true, newest: [] });
      expect(await store.deliveries.heads(other)).toEqual({ isWatched: false, newest: [] });
      const nobody = parseApplicationName('nobody');
      await expect(store.deliveries.heads(nobody)).rejects.toMatchObject({ code: 'application-unknown' });
    }));
}
