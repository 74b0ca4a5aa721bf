import { expect, it } from 'vitest';
import type { GatePreview, GateSubject } from '../../../src/core/gate/gate.ts';
import type { RunId } from '../../../src/core/model/ids.ts';
import type { NewGate, Release, Store } from '../../../src/ports/store.ts';
import type { WithStore } from './store.ts';
import { addRun, makeDigest, makeSha, staging, task, thingy } from './store-builders.ts';

const preview: GatePreview = {
  application: 'thingy',
  fromRelease: 3,
  fromCommit: undefined,
  toCommit: 'b',
  commits: [],
  moreCommits: false,
  configAdded: [],
  configRemoved: [],
  configChanged: ['GREETING'],
  digest: undefined,
};
const subject: GateSubject = { task: task.deploy, template: makeDigest('template'), image: makeDigest('image') };
const other: GateSubject = { ...subject, image: makeDigest('other image') };
const approval = { verdict: 'approved', by: 'ada', comment: 'go' } as const;

function makeGate(run: RunId, subjects: readonly GateSubject[] = [subject]): NewGate {
  return { run, gate: task.approve, environment: staging, subjects, preview, timeoutMs: 60_000 };
}

type NewRelease = Parameters<Store['releases']['begin']>[0];

async function makeRelease(store: Store, run: RunId, attempt: number): Promise<NewRelease> {
  const fence = await store.environments.takeFence(thingy, staging, `${run}#${String(attempt)}`, 0);
  return {
    application: thingy,
    environment: staging,
    fence,
    run,
    task: task.deploy,
    attempt,
    commit: makeSha('b'),
    image: undefined,
    template: makeDigest('template'),
    planDigest: makeDigest('plan'),
    config: { GREETING: 'hello' },
  };
}

export function testStoreGates(withStore: WithStore): void {
  it('opens a gate once and answers the decision that is there', () =>
    withStore(async ({ store, clock }) => {
      const run = await addRun(store);

      const first = await store.gates.open(makeGate(run));
      clock.nowMs += 1_000;
      const again = await store.gates.open(makeGate(run));
      const { decision } = await store.gates.decide(run, task.approve, approval);
      const decided = await store.gates.open(makeGate(run));

      expect(first.gate).toMatchObject({ opening: 1, status: 'open' });
      expect(first.gate.preview).toEqual(preview);
      expect(again).toEqual(first);
      expect(decided).toMatchObject({ gate: { opening: 1, status: 'decided' }, decision: { verdict: 'approved' } });
      expect(decided.decision).toEqual(decision);
      expect(await store.gates.list({ open: true })).toEqual([]);
      expect(await store.gates.list({ run })).toHaveLength(1);
    }));

  it('opens a gate anew for other digests', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      await store.gates.open(makeGate(run));

      const second = await store.gates.open(makeGate(run, [other]));

      expect(second).toMatchObject({ gate: { opening: 2, status: 'open' }, decision: undefined });
      expect((await store.gates.list({ run })).map((one) => one.status)).toEqual(['cancelled', 'open']);
      expect(await store.gates.get(run, task.approve)).toEqual(second.gate);
    }));

  it('takes one decision, whoever says it twice (I4)', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      await store.gates.open(makeGate(run));

      const all = await Promise.all(
        ['ada', 'bob', 'eve'].map((by) => store.gates.decide(run, task.approve, { ...approval, by })),
      );

      expect(new Set(all.map((one) => one.decision.id)).size).toBe(1);
      expect(all.filter((one) => !one.repeated)).toHaveLength(1);
      const id = all[0]?.decision.id ?? '';
      expect((await store.gates.undelivered(10)).map((one) => one.id)).toEqual([id]);
      expect(await store.gates.decisions(run)).toEqual([all[0]?.decision]);
      await store.gates.markDelivered(id);
      expect(await store.gates.undelivered(10)).toEqual([]);
      expect((await store.gates.decision(id))?.by).toBe(all[0]?.decision.by);
    }));

  it('refuses a decision without a gate, after its deadline, and after the run', () =>
    withStore(async ({ store, clock }) => {
      const run = await addRun(store);
      await expect(store.gates.decide(run, task.approve, approval)).rejects.toMatchObject({ code: 'gate-unknown' });
      await store.gates.open(makeGate(run));
      clock.nowMs += 60_000;

      await expect(store.gates.decide(run, task.approve, approval)).rejects.toMatchObject({ code: 'gate-closed' });
      await store.gates.close(run, task.approve, 1, 'expired');
      const reopened = await store.gates.open(makeGate(run));
      await store.runs.finish(run, { status: 'failed', code: undefined, reason: undefined });

      expect(reopened.gate).toMatchObject({ opening: 2, status: 'open' });
      await expect(store.gates.decide(run, task.approve, approval)).rejects.toMatchObject({ code: 'gate-closed' });
      await expect(store.gates.open(makeGate(run, [other]))).rejects.toMatchObject({ code: 'run-ended' });
    }));

  it('carries an approval over to a later round for the same digests, never a rejection', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      await store.gates.open(makeGate(run));
      await store.gates.decide(run, task.approve, approval);
      await store.runs.finish(run, { status: 'failed', code: undefined, reason: undefined });
      const second = await store.runs.newRound(run, []);

      const same = await store.gates.open(makeGate(second.id));
      const changed = await store.gates.open(makeGate(second.id, [other]));
      await store.gates.decide(second.id, task.approve, { ...approval, verdict: 'rejected' });
      await store.runs.finish(second.id, { status: 'failed', code: undefined, reason: undefined });
      const third = await store.runs.newRound(run, []);
      const asked = await store.gates.open(makeGate(third.id, [other]));

      expect(same).toMatchObject({
        gate: { opening: 1 },
        decision: { run: second.id, verdict: 'approved', by: 'ada' },
      });
      expect(changed).toMatchObject({ gate: { opening: 2, status: 'open' }, decision: undefined });
      expect(asked).toMatchObject({ gate: { status: 'open' }, decision: undefined });
    }));

  it('finds the approval for exactly this deploy in any round (I4)', () =>
    withStore(async ({ store, clock }) => {
      const run = await addRun(store);
      await store.gates.open(makeGate(run));
      const none = await store.gates.approvalFor(run, staging, subject);
      await store.gates.decide(run, task.approve, approval);
      await store.runs.finish(run, { status: 'failed', code: undefined, reason: undefined });
      const second = await store.runs.newRound(run, []);

      expect(none).toBeUndefined();
      expect(await store.gates.approvalFor(run, staging, subject)).toMatchObject({ by: 'ada' });
      expect(await store.gates.approvalFor(second.id, staging, subject)).toMatchObject({ by: 'ada' });
      expect(await store.gates.approvalFor(run, staging, other)).toBeUndefined();
      expect(await store.gates.approvalFor(run, staging, { ...subject, task: task.test })).toBeUndefined();
      await store.gates.open(makeGate(second.id, [subject, other]));
      clock.nowMs += 1;
      await store.gates.decide(second.id, task.approve, { ...approval, verdict: 'rejected' });
      expect(await store.gates.approvalFor(second.id, staging, subject)).toBeUndefined();
    }));

  it('numbers releases, and makes one live while the last is superseded (I6)', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      await store.environments.put(thingy, staging, {});

      const first = await store.releases.begin(await makeRelease(store, run, 1));
      await store.releases.makeLive(first, undefined);
      await store.releases.makeLive(first, undefined);
      const second = await store.releases.begin(await makeRelease(store, run, 2));
      await store.releases.makeLive(second, 3);

      expect([first.number, second.number]).toEqual([1, 2]);
      expect((await store.releases.list(thingy, staging)).map((one) => one.status)).toEqual(['live', 'superseded']);
      expect(await store.environments.get(thingy, staging)).toMatchObject({ liveRelease: 2, replicas: 3 });
      expect(await store.releases.get(thingy, staging, 1)).toMatchObject({ config: { GREETING: 'hello' } });
    }));

  it('finds the release of an attempt that begins again', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      await store.environments.put(thingy, staging, {});
      const release = await makeRelease(store, run, 1);

      const [one, two] = [await store.releases.begin(release), await store.releases.begin(release)];

      expect(two).toEqual(one);
    }));

  it('refuses a stale fence and leaves the live release (I3)', () =>
    withStore(async ({ store }) => {
      const run = await addRun(store);
      await store.environments.put(thingy, staging, {});
      const stale = await makeRelease(store, run, 1);
      const begun: Release = await store.releases.begin(stale);
      const fresh = await store.releases.begin(await makeRelease(store, run, 2));

      await expect(store.releases.begin(stale)).rejects.toMatchObject({ code: 'fence-stale' });
      await expect(store.releases.makeLive(begun, undefined)).rejects.toMatchObject({ code: 'fence-stale' });
      await store.releases.makeLive(fresh, undefined);
      await store.releases.fail(begun, { status: 'failed', code: 'fence-stale', reason: 'another deploy went on' });
      await store.releases.fail(fresh, { status: 'failed', reason: 'too late' });

      expect(await store.releases.list(thingy)).toMatchObject([
        { number: 2, status: 'live', code: undefined, reason: undefined },
        { number: 1, status: 'failed', code: 'fence-stale', reason: 'another deploy went on' },
      ]);
    }));
}
