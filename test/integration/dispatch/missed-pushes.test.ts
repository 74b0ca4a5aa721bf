// Real git and the real database: a push that nobody told of.
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGit } from '../../../src/adapters/git/git.ts';
import { parseDigest, parseSha } from '../../../src/core/model/ids.ts';
import type { Digest, Sha } from '../../../src/core/model/ids.ts';
import { watchHeads } from '../../../src/dispatch/missed-pushes.ts';
import type { Git } from '../../../src/ports/git.ts';
import { Secret } from '../../../src/ports/secret.ts';
import type { RunRow } from '../../../src/ports/store.ts';
import { openGitPlace } from '../contracts/git-builders.ts';
import type { GitPlace } from '../contracts/git-builders.ts';
import { openTestStore } from '../../support/doors-store.ts';
import type { TestStore } from '../../support/doors-store.ts';
import { thingy } from '../../support/doors-runs.ts';
import { silentLogger, waitFor } from '../../support/run-rows.ts';

let place: GitPlace;
let test: TestStore;

beforeEach(async () => {
  place = await openGitPlace();
  test = await openTestStore();
  await test.store.applications.add(
    { name: thingy, repositoryUrl: place.remote, local: true, branches: ['main', 'side'], trigger: 'trigger-thingy' },
    new Secret('s'.repeat(32)),
  );
});

afterEach(async () => {
  await test.destroy();
  await place.close();
});

function digest(text: string): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(text).digest('hex')}`);
}

/** Resolves when so many looks have ended; what one look leaves is what the next one finds. */
async function look(times: number, watchers = 1): Promise<number> {
  let looks = 0;
  let wakes = 0;
  const git: Pick<Git, 'heads' | 'fetch' | 'commit'> = {
    heads: (source, signal) => {
      looks += 1;
      return place.git.heads(source, signal);
    },
    fetch: (...call) => place.git.fetch(...call),
    commit: (...call) => place.git.commit(...call),
  };
  const options = { store: test.store, git, logger: silentLogger, everyMs: 5, digest, wake: () => (wakes += 1) };
  const lanes = Array.from({ length: watchers }, () => watchHeads(options));
  await waitFor('the looks have ended', () => looks > times * watchers);
  await Promise.all(lanes.map((lane) => lane.stop()));
  return wakes;
}

function runs(): Promise<readonly RunRow[]> {
  return test.store.runs.list({ application: thingy, limit: 100 });
}

async function told(before: Sha | undefined, after: Sha, id: string): Promise<string> {
  const answer = await test.store.deliveries.receive({
    application: thingy,
    source: 'webhook',
    deliveryId: id,
    bodyDigest: digest(id),
    push: { ref: 'refs/heads/main', before, after, pushedAtMs: Date.now(), message: '', author: '' },
    ignored: undefined,
  });
  return answer.result;
}

describe('pushes that no webhook brought', () => {
  it('takes what is there at the first look as known, and finds what is pushed from then on, once (I1)', async () => {
    const first = await place.push({ file: '1' });
    await look(2);
    expect(await runs()).toEqual([]);

    const second = await place.push({ file: '2' }, 'Say hello');
    const wakes = await look(4);

    expect(await runs()).toMatchObject([
      { commit: second, ref: 'refs/heads/main', message: 'Say hello', author: 'Ada' },
    ]);
    expect(wakes).toBe(1);
    const [run] = await runs();
    const delivery = await test.store.deliveries.get(run?.delivery ?? '');
    expect(delivery?.brought).toMatchObject({ source: 'reconciler', push: { before: first, after: second } });
  });

  it('makes one delivery when two processes look', async () => {
    await place.push({ file: '1' });
    await look(2);
    const second = await place.push({ file: '2' });

    await look(6, 2);

    expect((await runs()).map(({ commit }) => commit)).toEqual([second]);
  });

  it('leaves a push to the webhook that is on its way, and answers a late webhook with its own run', async () => {
    const first = await place.push({ file: '1' });
    await look(2);
    const second = await place.push({ file: '2' });
    await look(0);
    expect(await told(first, second, 'in time')).toBe('accepted');
    await look(3);
    expect(await runs()).toHaveLength(1);

    const third = await place.push({ file: '3' });
    await look(3);
    expect(await told(second, third, 'too late')).toBe('duplicate');

    expect((await runs()).map(({ commit }) => commit)).toEqual([third, second]);
  });

  it('finds A to B, back to A, again to B as three', async () => {
    const a = await place.push({ file: 'a' });
    await look(2);
    const b = await place.push({ file: 'b' });
    await look(3);
    for (const sha of [a, b]) {
      await place.program(['push', '--quiet', '--force', 'origin', `${sha}:refs/heads/main`]);
      await look(3);
    }

    expect((await runs()).map(({ commit }) => commit)).toEqual([b, a, b]);
  });

  it('honours the branch filter with a recorded reason, runs a new branch, and ignores a deleted one', async () => {
    const sha = await place.push({ file: '1' });
    await look(2);
    await place.program(['push', '--quiet', 'origin', `${sha}:refs/heads/side`, `${sha}:refs/heads/wild`]);
    await look(3);
    await place.program(['push', '--quiet', 'origin', ':refs/heads/side']);
    await look(3);

    expect(await runs()).toMatchObject([{ commit: sha, ref: 'refs/heads/side' }]);
    const { newest } = await test.store.deliveries.heads(thingy);
    const wild = newest.find(({ ref }) => ref === 'refs/heads/wild');
    expect((await test.store.deliveries.get(wild?.delivery ?? ''))?.answer).toMatchObject({
      result: 'ignored',
      reason: 'branch filter: wild is none of main, side',
    });
  });

  it('finds the first push into a repository that was empty', async () => {
    await look(1);
    const sha = await place.push({ file: '1' });
    await look(3);

    expect((await runs()).map(({ commit }) => commit)).toEqual([sha]);
  });

  it('goes on with the other repositories when one does not answer, and says so once', async () => {
    const lost = { name: 'a-lost' as typeof thingy, repositoryUrl: `${place.folder}/nowhere`, local: true };
    await test.store.applications.add({ ...lost, branches: [], trigger: 'lost' }, new Secret('s'.repeat(32)));
    const warnings: unknown[] = [];
    const git = createGit({ mirrorsFolder: `${place.folder}/mirrors`, logger: silentLogger });
    let looks = 0;
    const lane = watchHeads({
      store: test.store,
      git: { ...boundTo(git), heads: (...call) => ((looks += 1), git.heads(...call)) },
      logger: { ...silentLogger, warn: (fields) => warnings.push(fields) },
      everyMs: 5,
      digest,
      wake: () => undefined,
    });
    await waitFor('the first looks', () => looks >= 4);
    const sha = parseSha(await place.push({ file: '1' }));
    const found = await waitFor('the run', async () => (await runs())[0]);
    await lane.stop();

    expect(found.commit).toBe(sha);
    expect(warnings).toMatchObject([{ application: 'a-lost', code: 'git-unavailable' }]);
  });
});

function boundTo(git: Git): Pick<Git, 'fetch' | 'commit'> {
  return { fetch: (...call) => git.fetch(...call), commit: (...call) => git.commit(...call) };
}
