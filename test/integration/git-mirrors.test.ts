import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGit } from '../../src/adapters/git/git.ts';
import type { Sha } from '../../src/core/model/ids.ts';
import { openGitPlace, silent, type GitPlace } from './contracts/git-builders.ts';

const run = promisify(execFile);
let place: GitPlace;
let signal: AbortSignal;

beforeEach(async () => {
  place = await openGitPlace();
  signal = AbortSignal.timeout(50_000);
});

afterEach(async () => {
  await place.close();
});

describe('git: mirrors', () => {
  it('fetches at once in one process and in several', async () => {
    const { git, source, push, folder } = place;
    const shas: Sha[] = [];
    for (const a of ['1', '2', '3', '4']) shas.push(await push({ a }));
    const other = createGit({ mirrorsFolder: path.join(folder, 'mirrors'), logger: silent });

    await Promise.all(shas.flatMap((sha) => [git.fetch(source, sha, signal), other.fetch(source, sha, signal)]));

    for (const [at, sha] of shas.entries()) {
      expect(await git.readFile(source, sha, 'a', 9, signal)).toBe(String(at + 1));
    }
  });

  it('goes on after a killed git, whatever it left', async () => {
    const { git, source, push, mirror, program } = place;
    const first = await push({ a: '1' });
    await git.fetch(source, first, signal);
    const second = await push({ a: '2' });
    const refs = path.join(mirror, 'refs/loam/commits');
    await writeFile(path.join(refs, `${second}.lock`), '');
    await writeFile(path.join(refs, second), ''); // an empty ref, as after a power cut
    await writeFile(path.join(mirror, 'packed-refs.lock'), '');
    // The commit without its tree, as a killed unpack leaves it.
    const commit = await run('git', ['--git-dir', place.remote, 'cat-file', 'commit', second]);
    const loose = spawn('git', ['--git-dir', mirror, 'hash-object', '-t', 'commit', '-w', '--stdin']);
    loose.stdin.end(commit.stdout);
    await once(loose, 'close');

    await git.fetch(source, second, signal);

    expect(await git.readFile(source, second, 'a', 9, signal)).toBe('2');
    await program(['status', '--short']);
  });

  it('is not blocked by a process that was killed while it held the lock', async () => {
    const { git, source, push, mirror } = place;
    const sha = await push({ a: '1' });
    await mkdir(path.dirname(mirror), { recursive: true });
    const script = `const { DatabaseSync } = require('node:sqlite'); const db = new DatabaseSync(process.argv[1]); db.exec('BEGIN EXCLUSIVE'); console.log('held'); setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['-e', script, `${mirror}.lock`], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    await expect(git.fetch(source, sha, AbortSignal.timeout(200))).rejects.toThrow();

    const fetching = git.fetch(source, sha, signal);
    holder.kill('SIGKILL');
    await fetching;

    expect(await git.readFile(source, sha, 'a', 9, signal)).toBe('1');
  });

  it('is made anew when its files are damaged', async () => {
    const { git, source, push, mirror } = place;
    const first = await push({ a: '1' });
    await git.fetch(source, first, signal);
    for (const name of await readdir(path.join(mirror, 'objects'))) {
      if (name.length !== 2) continue;
      for (const object of await readdir(path.join(mirror, 'objects', name))) {
        const file = path.join(mirror, 'objects', name, object);
        await chmod(file, 0o644);
        await truncate(file, 0);
      }
    }
    const second = await push({ a: '2' });

    await git.fetch(source, second, signal);

    expect(await git.readFile(source, second, 'a', 9, signal)).toBe('2');
  });

  it('keeps refs of the newest commits only, and finds the others again', async () => {
    const { git, source, push, mirror } = place;
    const first = await push({ a: '1' });
    await git.fetch(source, first, signal);
    const refs = path.join(mirror, 'refs/loam/commits');
    const old = new Date(Date.now() - 60_000);
    for (let at = 0; at < 250; at += 1) {
      await writeFile(path.join(refs, at.toString(16).padStart(40, '0')), `${first}\n`);
    }
    await run('touch', ['-d', old.toISOString(), path.join(refs, first)]);
    const second = await push({ a: '2' });

    await git.fetch(source, second, signal);
    const kept = await readdir(refs);
    await git.fetch(source, first, signal);

    expect(kept).toHaveLength(101);
    expect(kept).not.toContain(first);
    expect(await git.readFile(source, first, 'a', 9, signal)).toBe('1');
  });

  it('serves a local repository of another user', async () => {
    const { git, source, push, remote } = place;
    const sha = await push({ a: '1' });
    if (process.getuid?.() === 0) await chown(remote, 12_345, 12_345);

    await git.fetch(source, sha, signal);

    expect(await git.head(source, 'refs/heads/main', signal)).toBe(sha);
  });

  it('takes no settings and no hooks from its surroundings', async () => {
    const { push, folder, source } = place;
    const sha = await push({ a: '1' });
    const home = path.join(folder, 'home');
    await mkdir(home);
    await writeFile(path.join(home, '.gitconfig'), '[url "https://example.com/"]\n\tinsteadOf = /\n');
    const git = createGit({
      mirrorsFolder: path.join(folder, 'm'),
      logger: silent,
      hostEnvironment: { ...process.env, HOME: home, GIT_DIR: '/nowhere', GIT_TRACE: path.join(folder, 'trace') },
    });

    await git.fetch(source, sha, signal);

    expect(await readdir(folder)).not.toContain('trace');
  });
});

describe('git: repositories and hooks', () => {
  it('makes a bare repository with branch main, once', async () => {
    const folder = path.join(place.folder, 'deep/new.git');

    expect(await place.git.createRepository(folder)).toBe(true);
    expect(await place.git.createRepository(folder)).toBe(false);
    expect(await readFile(path.join(folder, 'HEAD'), 'utf8')).toBe('ref: refs/heads/main\n');
  });

  it('takes a work tree as the repository that it is, and refuses a folder with something else', async () => {
    const other = path.join(place.folder, 'other');
    await mkdir(other);
    await writeFile(path.join(other, 'file'), '');

    expect(await place.git.createRepository(path.join(place.folder, 'work'))).toBe(false);
    await expect(place.git.createRepository(other)).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(place.git.createRepository('relative')).rejects.toMatchObject({ code: 'input-invalid' });
  });

  it('installs a hook that runs on a push, and replaces its own', async () => {
    const { git, remote, folder, push } = place;
    const seen = path.join(folder, 'seen');
    await git.installHook(remote, '#!/bin/sh\nexit 1\n');

    await git.installHook(remote, `#!/bin/sh\ncat > '${seen}'\n`);
    const sha = await push({ a: '1' });

    expect(await readFile(seen, 'utf8')).toBe(`${'0'.repeat(40)} ${sha} refs/heads/main\n`);
    expect((await stat(path.join(remote, 'hooks/post-receive'))).mode & 0o777).toBe(0o755);
    expect(await readdir(path.join(remote, 'hooks'))).toEqual(['post-receive']);
  });

  it('installs the hook where the settings of the repository say', async () => {
    const { git, remote, folder } = place;
    const hooks = path.join(folder, 'my hooks');
    await run('git', ['--git-dir', remote, 'config', 'core.hooksPath', hooks]);

    await git.installHook(remote, 'echo hi');

    expect(await readFile(path.join(hooks, 'post-receive'), 'utf8')).toMatch(/^#!\/bin\/sh\n# loam:/);
  });

  it('keeps the hook of somebody else', async () => {
    const { git, remote } = place;
    const hook = path.join(remote, 'hooks/post-receive');
    await mkdir(path.dirname(hook), { recursive: true });
    await writeFile(hook, '#!/bin/sh\necho mine\n');

    await expect(git.installHook(remote, 'echo hi')).rejects.toMatchObject({
      code: 'input-invalid',
      message: expect.stringContaining(hook) as string,
    });
    await expect(git.installHook(path.join(place.folder, 'nowhere'), 'x')).rejects.toMatchObject({
      code: 'input-invalid',
    });
    expect(await readFile(hook, 'utf8')).toBe('#!/bin/sh\necho mine\n');
  });
});
