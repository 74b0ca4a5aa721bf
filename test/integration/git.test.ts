import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGit } from '../../src/adapters/git/git.ts';
import { parseSha } from '../../src/core/model/ids.ts';
import { collect, openGitPlace, serveGit, silent, type GitPlace } from './contracts/git-builders.ts';

const run = promisify(execFile);
const nobody = parseSha('d'.repeat(40));
let place: GitPlace;
let signal: AbortSignal;

beforeEach(async () => {
  place = await openGitPlace();
  signal = AbortSignal.timeout(50_000);
});

afterEach(async () => {
  await place.close();
});

async function listTar(tar: Buffer): Promise<readonly string[]> {
  const file = path.join(place.folder, 'tree.tar');
  await writeFile(file, tar);
  const { stdout } = await run('tar', ['-tf', file]);
  return stdout.trim().split('\n');
}

async function readTar(tar: Buffer, name: string): Promise<string> {
  const file = path.join(place.folder, 'tree.tar');
  await writeFile(file, tar);
  return (await run('tar', ['-xOf', file, name])).stdout;
}

describe('git: commits', () => {
  it('brings a commit, its file, its facts and its history', async () => {
    const { git, source, push } = place;
    const first = await push({ 'loam.yaml': 'version: 1\n' }, 'first\n\nbody');
    const second = await push({ 'a/b.txt': 'x' }, 'second: ünïcode');

    await git.fetch(source, second, signal);

    expect(await git.readFile(source, second, 'loam.yaml', 100, signal)).toBe('version: 1\n');
    expect(await git.readFile(source, second, 'a/b.txt', 100, signal)).toBe('x');
    expect(await git.readFile(source, second, 'a', 100, signal)).toBeUndefined();
    expect(await git.readFile(source, second, 'none.yaml', 100, signal)).toBeUndefined();
    expect(await git.commit(source, second, signal)).toEqual({
      sha: second,
      subject: 'second: ünïcode',
      author: 'Ada',
    });
    expect((await git.log(source, first, second, 10, signal)).map((one) => one.subject)).toEqual(['second: ünïcode']);
    expect((await git.log(source, nobody, second, 10, signal)).map((one) => one.subject)).toEqual([
      'second: ünïcode',
      'first',
    ]);
    expect(await git.log(source, undefined, second, 1, signal)).toHaveLength(1);
  });

  it('does not ask the remote for a commit that it has', async () => {
    const { git, source, push, remote } = place;
    const sha = await push({ a: '1' });
    await git.fetch(source, sha, signal);
    await rm(remote, { recursive: true });

    await expect(git.fetch(source, sha, signal)).resolves.not.toThrow();
  });

  it('finds a commit that a forced push has taken off its branch, and never another one', async () => {
    const { git, source, push, program } = place;
    await push({ a: '1' });
    const lost = await push({ a: '2' });
    await program(['reset', '--quiet', '--hard', 'HEAD~1']);
    const replaced = await push({ a: '3' });

    await git.fetch(source, lost, signal);

    expect(await git.readFile(source, lost, 'a', 10, signal)).toBe('2');
    await expect(git.commit(source, replaced, signal)).rejects.toMatchObject({ code: 'commit-missing' });
  });

  it('asks for the branches when the server gives only what it shows', async () => {
    const { git, source, push, program, remote } = place;
    const first = await push({ a: '1' });
    const lost = await push({ a: '2' });
    await program(['reset', '--quiet', '--hard', 'HEAD~1']);
    const head = await push({ a: '3' });
    const server = await serveGit(remote, 'old');
    try {
      const served = { ...source, repositoryUrl: server.url, local: false };

      for (const sha of [first, head]) await git.fetch(served, sha, signal);

      expect(await git.readFile(served, first, 'a', 10, signal)).toBe('1');
      expect(await git.readFile(served, head, 'a', 10, signal)).toBe('3');
      await expect(git.fetch(served, lost, signal)).rejects.toMatchObject({ code: 'commit-missing' });
    } finally {
      await server.close();
    }
  });

  it('says that a commit is missing, gone, or no commit', async () => {
    const { git, source, push, program, remote } = place;
    const kept = await push({ a: '1' });
    const lost = await push({ a: '2' });
    await program(['reset', '--quiet', '--hard', 'HEAD~1']);
    await push({ a: '3' });
    await run('git', ['--git-dir', remote, 'reflog', 'expire', '--expire=now', '--all']);
    await run('git', ['--git-dir', remote, 'gc', '--quiet', '--prune=now']);
    const tree = parseSha(await program(['rev-parse', `${kept}^{tree}`]));

    for (const sha of [nobody, lost, tree]) {
      await expect(git.fetch(source, sha, signal)).rejects.toMatchObject({ code: 'commit-missing' });
      await expect(git.commit(source, sha, signal)).rejects.toMatchObject({ code: 'commit-missing' });
    }
    await expect(git.readFile(source, nobody, 'a', 10, signal)).rejects.toMatchObject({ code: 'commit-missing' });
    await expect(collect(git.archive(source, nobody, signal))).rejects.toMatchObject({ code: 'commit-missing' });
    await git.fetch(source, kept, signal);
  });

  it('says that the repository cannot be reached', async () => {
    const { git, source } = place;

    for (const repositoryUrl of [path.join(place.folder, 'nowhere'), 'http://127.0.0.1:1/a.git']) {
      const unreachable = { ...source, repositoryUrl };
      await expect(git.fetch(unreachable, nobody, signal)).rejects.toMatchObject({ code: 'git-unavailable' });
      await expect(git.head(unreachable, 'HEAD', signal)).rejects.toMatchObject({ code: 'git-unavailable' });
      await expect(git.heads(unreachable, signal)).rejects.toMatchObject({ code: 'git-unavailable' });
    }
  });

  it('reads the heads of the remote, by exact name', async () => {
    const { git, source, push, program } = place;
    const sha = await push({ a: '1' });
    await program(['push', '--quiet', 'origin', 'HEAD:refs/heads/x/refs/heads/other']);
    await program(['tag', '-a', '-m', 'tag', 'v1']);
    await program(['push', '--quiet', 'origin', 'v1']);

    expect(await git.head(source, 'refs/heads/main', signal)).toBe(sha);
    expect(await git.head(source, 'HEAD', signal)).toBe(sha);
    expect(await git.head(source, 'refs/tags/v1', signal)).toBe(sha);
    expect(await git.head(source, 'refs/heads/other', signal)).toBeUndefined();
    const heads = ['refs/heads/main', 'refs/heads/x/refs/heads/other'].map((name) => [name, sha] as const);
    expect(await git.heads(source, signal)).toEqual(new Map(heads));
  });

  it('reads messages and names that are no UTF-8', async () => {
    const { git, source, program } = place;
    await place.push({ a: '1' });
    const tree = await program(['write-tree']);
    const head = Buffer.from(`tree ${tree}\nauthor J`);
    const commit = Buffer.concat([
      head,
      Buffer.from([0xfc, 0xff]),
      Buffer.from(' <a@b> 1700000000 +0000\ncommitter C <a@b> 1700000000 +0000\n\n'),
      Buffer.from([0xe4, 0x0a]),
    ]);
    const sha = parseSha(await program(['hash-object', '-t', 'commit', '-w', '--stdin'], commit));
    await program(['push', '--quiet', 'origin', `${sha}:refs/heads/odd`]);

    await git.fetch(source, sha, signal);

    expect(await git.commit(source, sha, signal)).toEqual({ sha, subject: '\ufffd', author: 'J\ufffd\ufffd' });
  });

  it('cuts long messages', async () => {
    const { git, source, push } = place;
    const sha = await push({ a: '1' }, `😀${'x'.repeat(5_000)}`);

    await git.fetch(source, sha, signal);

    expect((await git.commit(source, sha, signal)).subject).toHaveLength(500);
  });

  it('refuses a file over the limit', async () => {
    const { git, source, push } = place;
    const sha = await push({ big: 'x'.repeat(3_000_000), small: 'x'.repeat(101) });

    await git.fetch(source, sha, signal);

    for (const name of ['big', 'small']) {
      await expect(git.readFile(source, sha, name, 100, signal)).rejects.toMatchObject({ code: 'input-too-large' });
    }
  });
});

describe('git: snapshots', () => {
  it('gives the same bytes for the same commit, from any mirror', async () => {
    const { git, source, push, folder } = place;
    const sha = await push({ 'loam.yaml': 'x', 'src/deep/file': 'y' });
    const other = createGit({ mirrorsFolder: path.join(folder, 'other mirrors'), logger: silent });
    await git.fetch(source, sha, signal);
    await other.fetch(source, sha, signal);

    const tars = [await collect(git.archive(source, sha, signal)), await collect(other.archive(source, sha, signal))];

    expect(new Set(tars.map((tar) => createHash('sha256').update(tar).digest('hex'))).size).toBe(1);
    expect(await listTar(tars[0] ?? Buffer.alloc(0))).toEqual(['loam.yaml', 'src/', 'src/deep/', 'src/deep/file']);
  });

  it('leaves nothing out and changes nothing because the commit says so', async () => {
    const { git, source, push } = place;
    const attributes = '[attr]hidden export-ignore\ntests export-ignore\nsecret hidden\nversion export-subst\n';
    const files = { '.gitattributes': attributes, 'tests/a': '1', secret: '2', version: '$Format:%H$' };
    const sha = await push({ ...files, 'sub/.gitattributes': 'x export-ignore\n', 'sub/x': '3' });
    await git.fetch(source, sha, signal);

    const tar = await collect(git.archive(source, sha, signal));

    expect(await listTar(tar)).toEqual([
      '.gitattributes',
      'secret',
      'sub/',
      'sub/.gitattributes',
      'sub/x',
      'tests/',
      'tests/a',
      'version',
    ]);
    expect(await readTar(tar, 'version')).toBe('$Format:%H$');
  });

  it('ignores submodules', async () => {
    const { git, source, push, program } = place;
    await push({ '.gitmodules': '[submodule "s"]\n\tpath = s\n\turl = ext::sh -c touch% /tmp/loam-pwned\n' });
    await program(['update-index', '--add', '--cacheinfo', `160000,${nobody},s`]);
    await program(['commit', '--quiet', '-m', 'submodule']);
    await program(['push', '--quiet', 'origin', 'HEAD:main']);
    const sha = parseSha(await program(['rev-parse', 'HEAD']));

    await git.fetch(source, sha, signal);

    expect(await listTar(await collect(git.archive(source, sha, signal)))).toContain('s/');
  });

  it('ends git when the reader stops, and on abort', async () => {
    const { git, source, push } = place;
    const sha = await push({ big: 'x'.repeat(5_000_000) });
    await git.fetch(source, sha, signal);
    const controller = new AbortController();

    for await (const chunk of git.archive(source, sha, signal)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    const reading = (async () => {
      for await (const chunk of git.archive(source, sha, controller.signal)) {
        if (chunk.length > 0) controller.abort(new Error('enough'));
      }
    })();

    await expect(reading).rejects.toThrow('enough');
  });
});
