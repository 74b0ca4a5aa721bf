import { expect, it } from 'vitest';
import { Secret } from '../../../src/ports/secret.ts';
import type { Store } from '../../../src/ports/store.ts';
import type { WithStore } from './store.ts';
import { addApplication, makeDelivery, makeDigest, runId, staging, task, thingy } from './store-builders.ts';

const place = { apiUrl: 'https://api.github.com', repository: 'acme/thingy' };
const token = new Secret('canary-of-the-statuses');

async function openGate(store: Store): Promise<void> {
  const [run] = await store.runs.list({ application: thingy, limit: 1 });
  if (run === undefined) throw new Error('there is no run');
  await store.gates.open({
    ...{ run: run.id, gate: task.approve, environment: staging, timeoutMs: 60_000 },
    subjects: [{ task: task.deploy, template: makeDigest('template'), image: makeDigest('image') }],
    preview: {
      ...{ application: 'thingy', fromRelease: undefined, fromCommit: undefined, toCommit: 'b', digest: undefined },
      ...{ commits: [], moreCommits: false, configAdded: [], configRemoved: [], configChanged: [] },
    },
  });
}

async function dueStates(store: Store): Promise<readonly string[]> {
  return (await store.statuses.due(10)).map(({ gate, state }) => `${gate ?? 'run'} ${state}`);
}

export function testStoreStatuses(withStore: WithStore): void {
  it('says what was not told yet of runs after the one at which telling began, and of their gates', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      await store.statuses.connect(thingy, place, token);
      await store.deliveries.receive(makeDelivery('d0'));
      expect(await dueStates(store)).toEqual(['run pending']);
      await store.statuses.connect(thingy, { ...place, repository: 'acme/other' }, token);
      expect(await dueStates(store)).toEqual(['run pending']);

      await store.statuses.disconnect(thingy);
      expect(await dueStates(store)).toEqual([]);
      await store.statuses.connect(thingy, place, token);

      expect(await dueStates(store)).toEqual([]);
      expect(await store.statuses.place(thingy)).toEqual({ ...place, error: undefined });
      expect((await store.statuses.token(thingy))?.reveal()).toBe(token.reveal());
    }));

  it('lets one sender at a time tell each of them, and what changed meanwhile is due again', () =>
    withStore(async ({ store, clock }) => {
      await addApplication(store);
      await store.statuses.connect(thingy, place, token);
      const run = runId(1);
      await store.deliveries.receive(makeDelivery('d1'));
      await store.runs.markStarted(run, 'temporal-1');
      await store.runs.claim(run);
      await openGate(store);
      const [first, gate] = await store.statuses.due(10);
      if (first === undefined || gate === undefined) throw new Error('nothing is due');
      expect(await dueStates(store)).toEqual(['run running', 'approve 1/open/']);

      const claims = await Promise.all([1, 2, 3].map(() => store.statuses.claim(first, 30_000)));
      expect(claims.filter(Boolean)).toHaveLength(1);
      expect(await dueStates(store)).toEqual(['approve 1/open/']);
      clock.nowMs += 30_001; // its sender died
      expect(await store.statuses.claim(first, 30_000)).toBe(true);
      await store.statuses.markTold(first);
      expect(await store.statuses.claim(gate, 30_000)).toBe(true);
      await store.statuses.putOff(gate, 60_000, 'refused: 401');
      expect(await dueStates(store)).toEqual([]);
      expect(await store.statuses.place(thingy)).toMatchObject({ error: 'refused: 401' });

      await store.gates.decide(run, task.approve, { verdict: 'approved', by: 'ada', comment: '' });
      await store.gates.close(run, task.approve, 1, 'decided');
      await store.runs.finish(run, { status: 'succeeded', code: undefined, reason: undefined });
      expect(await dueStates(store)).toEqual(['run succeeded']);
      await store.statuses.connect(thingy, place, token);
      expect(await dueStates(store)).toEqual(['run succeeded', 'approve 1/decided/approved']);
      expect((await store.statuses.due(10))[1]).toMatchObject({ application: thingy, reason: 'ada', run });
    }));
}
