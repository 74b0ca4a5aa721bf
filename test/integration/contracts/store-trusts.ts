import { expect, it } from 'vitest';
import type { Grant } from '../../../src/core/model/access.ts';
import { parseEnvironmentName } from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import type { Store } from '../../../src/ports/store.ts';
import type { WithStore } from './store.ts';
import { addApplication, makeDigest, runId, staging, task, thingy } from './store-builders.ts';

async function putTrust(store: Store, program = 'token'): Promise<void> {
  await store.trusts.put({ name: 'demo', provider: 'exec', settings: { program } });
}

export function testStoreTrusts(withStore: WithStore): void {
  it('seals all with a new key, after which the old one opens nothing and is not needed', () =>
    withStore(async ({ store, keys }) => {
      await addApplication(store);
      await store.applications.setToken(thingy, new Secret('token'));
      await store.applications.setDeployKey(thingy, { key: new Secret('key'), knownHosts: 'host' });
      const place = { apiUrl: 'https://forge.example', repository: 'a/b' };
      await store.statuses.connect(thingy, place, new Secret('status'));
      await store.secrets.put(thingy, undefined, 'ONE', new Secret('1'));
      await store.secrets.put(thingy, staging, 'TWO', new Secret('2'));
      await store.trusts.put({ name: 'demo', provider: 'static', settings: {} }, new Secret('credential'));
      await store.trusts.put({ name: 'empty', provider: 'exec', settings: {} });
      await store.trusts.lease('demo', 'a', 1_000);
      await store.trusts.saveToken('demo', 'a', 0, new Secret('t1'), Number.MAX_SAFE_INTEGER);

      const nothing = await store.reseal();
      keys.add();
      const resealed = [await store.reseal(), await store.reseal()];
      keys.dropOld();

      expect([nothing, ...resealed]).toEqual([0, 8, 0]);
      const source = await store.applications.source(thingy);
      const opened = [
        await store.applications.triggerSecret(thingy),
        ...[source.token, source.deployKey?.key],
        await store.statuses.token(thingy),
        ...(await store.secrets.values(thingy, staging)).values(),
        await store.trusts.credential('demo'),
        (await store.trusts.token('demo'))?.token,
      ];
      expect(opened.map((secret) => secret?.reveal())).toEqual([
        'hook-secret',
        'token',
        'key',
        'status',
        '1',
        '2',
        'credential',
        't1',
      ]);
    }));

  it('leases a trust to one owner at a time', () =>
    withStore(async ({ store, clock }) => {
      await putTrust(store);

      const owners = ['a', 'b', 'c'];
      const answers = await Promise.all(owners.map((owner) => store.trusts.lease('demo', owner, 1_000)));
      // Which of them is first is the database's to say.
      const first = owners.find((_owner, index) => answers[index] === true) ?? '';
      const next = owners.find((owner) => owner !== first) ?? '';
      const extended = await store.trusts.lease('demo', first, 1_000);
      clock.nowMs += 1_000;
      const over = await store.trusts.lease('demo', next, 1_000);
      await store.trusts.unlease('demo', first);
      const kept = await store.trusts.lease('demo', first, 1_000);
      await store.trusts.unlease('demo', next);

      expect(answers.filter(Boolean)).toHaveLength(1);
      expect([extended, over, kept]).toEqual([true, true, false]);
      expect(await store.trusts.lease('demo', first, 1_000)).toBe(true);
      await expect(store.trusts.lease('nobody', 'a', 1)).rejects.toMatchObject({ code: 'trust-unknown' });
    }));

  it('saves a token only with the lease, after the generation it replaces', () =>
    withStore(async ({ store, clock }) => {
      await putTrust(store);
      await store.trusts.lease('demo', 'a', 1_000);

      const answers = [
        await store.trusts.saveToken('demo', 'b', 0, new Secret('no'), 5_000),
        await store.trusts.saveToken('demo', 'a', 1, new Secret('no'), 5_000),
        await store.trusts.saveToken('demo', 'a', 0, new Secret('t1'), 5_000),
        await store.trusts.saveToken('demo', 'a', 0, new Secret('no'), 5_000),
      ];
      const stored = await store.trusts.token('demo');

      expect(answers).toEqual([false, false, true, false]);
      expect(stored?.token.reveal()).toBe('t1');
      expect(stored).toMatchObject({ generation: 1, expiresAtMs: 5_000, drawnAtMs: clock.nowMs });
      expect(await store.trusts.get('demo')).toMatchObject({ state: 'valid', generation: 1, expiresAtMs: 5_000 });
    }));

  it('keeps the token of a trust that is put again as it was, and drops it with other settings', () =>
    withStore(async ({ store }) => {
      await putTrust(store);
      await store.trusts.lease('demo', 'a', 1_000);
      await store.trusts.saveToken('demo', 'a', 0, new Secret('t1'), 5_000);

      await putTrust(store);
      const same = await store.trusts.token('demo');
      await putTrust(store, 'other');

      expect(same?.generation).toBe(1);
      expect(await store.trusts.token('demo')).toBeUndefined();
      expect(await store.trusts.get('demo')).toMatchObject({ state: 'unused', generation: 1 });
      expect(await store.trusts.saveToken('demo', 'a', 1, new Secret('of the old settings'), 9_000)).toBe(false);
    }));

  it('takes a revoked trust as new when a person connects it again', () =>
    withStore(async ({ store }) => {
      await putTrust(store);
      await store.trusts.setState('demo', 'revoked', 'by its owner');
      const revoked = await store.trusts.get('demo');

      await putTrust(store);

      expect(revoked).toMatchObject({ state: 'revoked', reason: 'by its owner' });
      expect(await store.trusts.list()).toMatchObject([{ name: 'demo', state: 'unused', reason: undefined }]);
    }));

  it('shows a secret of the environment over one of the application', () =>
    withStore(async ({ store }) => {
      await addApplication(store);
      await store.secrets.put(thingy, undefined, 'API_KEY', new Secret('wide'));
      await store.secrets.put(thingy, undefined, 'API_KEY', new Secret('wide, changed'));
      await store.secrets.put(thingy, staging, 'API_KEY', new Secret('narrow'));
      await store.secrets.put(thingy, parseEnvironmentName('production'), 'OTHER', new Secret('x'));

      const jobs = await store.secrets.values(thingy, undefined);
      const releases = await store.secrets.values(thingy, staging);

      expect([...jobs].map(([name, value]) => [name, value.reveal()])).toEqual([['API_KEY', 'wide, changed']]);
      expect([...releases].map(([name, value]) => [name, value.reveal()])).toEqual([['API_KEY', 'narrow']]);
      expect((await store.secrets.names(thingy)).map((one) => [one.environment, one.name])).toEqual([
        [undefined, 'API_KEY'],
        ['production', 'OTHER'],
        [staging, 'API_KEY'],
      ]);
      expect(await store.secrets.remove(thingy, staging, 'API_KEY')).toBe(true);
      expect(await store.secrets.remove(thingy, staging, 'API_KEY')).toBe(false);
      expect((await store.secrets.values(thingy, staging)).get('API_KEY')?.reveal()).toBe('wide, changed');
    }));

  it('knows a token by its text, and the newest under a name', () =>
    withStore(async ({ store }) => {
      const [old, fresh] = [new Secret('old-token-of-ada-00000'), new Secret('new-token-of-ada-00000')];
      const grants: readonly Grant[] = [
        { role: 'viewer' },
        { role: 'approver', application: thingy, environment: staging },
      ];
      const ada = { name: 'ada', grants, expiresAtMs: undefined };
      await store.tokens.put({ ...ada, grants: [{ role: 'admin' }] }, old);
      await store.tokens.put(ada, fresh);

      expect(await store.tokens.authenticate(old)).toBeUndefined();
      expect(await store.tokens.authenticate(fresh)).toMatchObject(ada);
      const bob = { ...ada, name: 'bob' };
      await expect(store.tokens.put(bob, fresh)).rejects.toMatchObject({ code: 'input-invalid' });
      await expect(store.tokens.put(bob, new Secret('short'))).rejects.toMatchObject({
        code: 'input-invalid',
      });
      expect((await store.tokens.list()).map((one) => one.name)).toEqual(['ada']);
      await expect(store.tokens.put({ ...bob, grants: [] }, new Secret('t'.repeat(20)))).rejects.toMatchObject({
        code: 'input-invalid',
      });
      expect(await store.tokens.remove('ada')).toBe(true);
      expect(await store.tokens.authenticate(fresh)).toBeUndefined();
    }));

  it('knows a token until it expires', () =>
    withStore(async ({ store, clock }) => {
      const secret = new Secret('short-lived-token-000');
      const expiresAtMs = clock.nowMs + 1_000;
      const eve = await store.tokens.put({ name: 'eve', grants: [{ role: 'viewer' }], expiresAtMs }, secret);

      clock.nowMs += 999;
      expect(await store.tokens.authenticate(secret)).toEqual(eve);
      clock.nowMs += 1;
      expect(await store.tokens.authenticate(secret)).toBeUndefined();
      expect(await store.tokens.list()).toEqual([eve]);
    }));

  it('moves the position of a log for one writer', () =>
    withStore(async ({ store }) => {
      const key = { run: runId(1), task: task.test, attempt: 1 };
      const start = { source: 0, stored: 0 };

      const early = await store.logs.advance(key, { source: 5, stored: 5 }, { source: 9, stored: 9 });
      const first = await store.logs.advance(key, start, { source: 10, stored: 8 });
      const late = await store.logs.advance(key, start, { source: 12, stored: 12 });
      const note = await store.logs.advance(key, { source: 10, stored: 8 }, { source: 10, stored: 20 });

      expect([early, first, late, note]).toEqual([false, true, false, true]);
      expect(await store.logs.get(key)).toEqual({ source: 10, stored: 20, sealed: undefined });
      const place = { source: 10, stored: 20 };
      const seals = [
        await store.logs.seal(key, { source: 10, stored: 8 }, makeDigest('late')),
        await store.logs.seal(key, place, makeDigest('log')),
        await store.logs.seal(key, place, makeDigest('late')),
      ];
      expect(seals).toEqual([false, true, false]);
      expect(await store.logs.advance(key, place, { source: 11, stored: 21 })).toBe(false);
      expect(await store.logs.get(key)).toEqual({ source: 10, stored: 20, sealed: makeDigest('log') });
    }));
}
