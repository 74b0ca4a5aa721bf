import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startSpool, countSpooled } from '../../../src/api/spool.ts';
import { createGit } from '../../../src/adapters/git/git.ts';
import { formatRunId } from '../../../src/core/model/ids.ts';
import type { RunId } from '../../../src/core/model/ids.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { openGate, runTask, task, thingy } from '../../support/doors-runs.ts';
import { silentLogger, waitFor } from '../../support/run-rows.ts';

const run = promisify(execFile);
let test: TestApi;
let work: string;
let repository: string;

beforeEach(async () => {
  work = await mkdtemp(path.join(tmpdir(), 'loam-push-'));
  test = await startTestApi(createGit({ mirrorsFolder: path.join(work, 'mirrors'), logger: silentLogger }));
  const added = await test.call('POST', '/v1/applications', { json: { name: 'thingy' } });
  repository = String(added.body['repositoryUrl']);
  await git('init', '--quiet', '--initial-branch=main');
  await git('config', 'user.name', 'Ann');
  await git('config', 'user.email', 'ann@x.me');
  await git('remote', 'add', 'origin', repository);
});

afterEach(async () => {
  await test.destroy();
  await rm(work, { recursive: true, force: true });
});

function git(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run('git', args, { cwd: path.join(work), timeout: 30_000 });
}

async function commit(message: string): Promise<string> {
  await writeFile(path.join(work, 'file'), message);
  await git('add', 'file');
  await git('commit', '--quiet', '--message', message);
  return (await git('rev-parse', 'HEAD')).stdout.trim();
}

function firstRun(number = 1): RunId {
  return formatRunId({ application: thingy, number, round: 1 });
}

async function awaitRun(number = 1): Promise<RunId> {
  await waitFor(`run ${number}`, () => test.store.runs.newest(thingy, number));
  return firstRun(number);
}

describe('git push', () => {
  it('starts a run and shows it until its gate, with how to approve (I1)', async () => {
    const sha = await commit('Say hello\n\nand more');
    const pushing = git('push', 'origin', 'main');
    const id = await awaitRun();
    expect(await test.store.runs.get(id)).toMatchObject({
      commit: sha,
      message: 'Say hello',
      author: 'Ann',
      ref: 'refs/heads/main',
    });
    await test.store.runs.setPlan(id, {
      planDigest: 'sha256:x' as never,
      snapshot: 'sha256:x' as never,
      warnings: [],
      tasks: [
        { name: task('test'), type: 'repo_job' },
        { name: task('approve'), type: 'approval' },
      ],
    });
    await runTask(test.store, id, 'test', 'succeeded');
    await openGate(test.store, id);
    await test.store.runs.setStatus(id, 'paused', 9);

    const { stderr } = await pushing;

    expect(stderr).toContain(
      `remote: loam: run thingy/1  http://127.0.0.1:8233/namespaces/loam/workflows/run%2Fthingy%2F1`,
    );
    expect(stderr).toMatch(/remote: {3}test +succeeded in \d/);
    expect(stderr).toContain('approve waits for a person: production, from release 3');
    expect(stderr).toContain('loam approve thingy/1 approve');
    expect(stderr).not.toContain('\u001b[31m');
  });

  it('shows how a run fails, and does not fail itself', async () => {
    await commit('Break it');
    const pushing = git('push', 'origin', 'main');
    const id = await awaitRun();

    await test.store.runs.finish(id, { status: 'failed', code: 'plan-missing', reason: 'The commit has no loam.yaml' });

    expect((await pushing).stderr).toContain('run thingy/1 failed: The commit has no loam.yaml');
  });

  it('tells of every ref of one push', async () => {
    await commit('Say hello');
    await git('branch', 'other');
    await git('tag', 'v1');

    const pushing = git('push', 'origin', 'main', 'other', 'v1');
    for (const number of [1, 2])
      await test.store.runs.finish(await awaitRun(number), { status: 'succeeded', code: undefined, reason: undefined });
    const { stderr } = await pushing;
    const removed = await git('push', 'origin', '--delete', 'other');

    expect(stderr).toMatch(/thingy\/1 run thingy\/1 succeeded/);
    expect(stderr).toMatch(/thingy\/2 run thingy\/2 succeeded/);
    expect(stderr).toContain('loam: no run: refs/tags/v1 is not a branch');
    expect(removed.stderr).toContain('loam: no run: the branch other was deleted');
    expect((await test.store.runs.list({ limit: 10 })).length).toBe(2);
  });

  it('keeps the push in the spool when nobody answers, and the run starts later (I1)', async () => {
    const spoolFolder = path.join(test.folder, 'spool');
    await test.server.close(0);
    const sha = await commit('Say hello');

    const { stderr } = await git('push', 'origin', 'main');

    expect(stderr).toMatch(/loam: nobody answers at http.*; the push of refs\/heads\/main is kept/);
    const [name = ''] = await readdir(spoolFolder);
    const settings = JSON.parse(await readFile(path.join(test.folder, 'hooks/thingy.json'), 'utf8')) as {
      secret: string;
    };
    expect(await readFile(path.join(spoolFolder, name), 'utf8')).not.toContain(settings.secret);
    const spool = await startSpool({ folder: spoolFolder, receive: test.api.receive, logger: silentLogger });
    const id = await awaitRun();
    await waitFor('the spool is empty', async () => (await countSpooled(spoolFolder)).waiting === 0);
    await spool.stop();
    expect(await test.store.runs.get(id)).toMatchObject({ commit: sha, message: 'Say hello' });
  });

  it('says so when its settings are gone, and lets the push be', async () => {
    await commit('Say hello');
    await rm(path.join(test.folder, 'hooks'), { recursive: true });

    expect((await git('push', 'origin', 'main')).stderr).toContain('run "loam app add" again');
  });

  it('finds an API that has moved by the data folder', async () => {
    const file = path.join(test.folder, 'hooks/thingy.json');
    const settings = JSON.parse(await readFile(file, 'utf8')) as Record<string, string>;
    await writeFile(file, JSON.stringify({ ...settings, url: 'http://127.0.0.1:1' }));
    await writeFile(path.join(test.folder, 'endpoint.json'), JSON.stringify({ apiUrl: test.server.url }));
    await commit('Say hello');

    const pushing = git('push', 'origin', 'main');
    await test.store.runs.finish(await awaitRun(), { status: 'succeeded', code: undefined, reason: undefined });

    expect((await pushing).stderr).toContain('run thingy/1 succeeded');
  });
});
