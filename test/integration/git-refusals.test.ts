import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGit } from '../../src/adapters/git/git.ts';
import { parseApplicationName, parseSha, type Sha } from '../../src/core/model/ids.ts';
import { openGitPlace, serveGit, silent, type GitPlace } from './contracts/git-builders.ts';

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

describe('git: what it refuses', () => {
  it.each([
    '--upload-pack=touch /tmp/loam-pwned',
    '-oProxyCommand=touch',
    'ext::sh -c touch% /tmp/loam-pwned',
    'fd::17',
    'ext::ssh -oProxyCommand=touch host',
    'file://elsewhere/etc',
    'FILE:///etc',
    'http::https://example.com/a',
    'git+ssh://host/a',
    'ssh://git@-oProxyCommand=touch/a',
    'git@-oProxyCommand=touch:a',
    'ssh://%2doProxyCommand=touch/a',
    'file:///etc',
    'ftp://example.com/a.git',
    'ssh://-oProxyCommand=touch/a',
    'ssh://-l@host/a',
    '-x@host:a',
    'git@host:-a',
    'https://',
    'https://ada:password@example.com/a.git',
    'relative/path',
    'https://example.com/a\nb',
    '',
    `https://example.com/${'x'.repeat(3_000)}`,
  ])('the URL %j of an application that is not local', async (repositoryUrl) => {
    const source = { application: parseApplicationName('thingy'), repositoryUrl, local: false };

    await expect(place.git.fetch(source, nobody, signal)).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(place.git.head(source, 'HEAD', signal)).rejects.toMatchObject({ code: 'input-invalid' });
  });

  it('a path of this machine, unless the application was added here', async () => {
    await expect(place.git.fetch({ ...place.source, local: false }, nobody, signal)).rejects.toMatchObject({
      code: 'input-invalid',
    });
  });

  it.each(['main', 'refs/heads/*', '--all', 'refs/heads/a b', 'refs/heads/..', 'refs/heads/a\nb', ''])(
    'the ref %j',
    async (ref) => {
      await expect(place.git.head(place.source, ref, signal)).rejects.toMatchObject({ code: 'input-invalid' });
    },
  );

  it.each(['../a', '/etc/passwd', 'a/../b', './a', '', 'a\nHEAD:b', 'a//b'])('the path %j', async (name) => {
    await expect(place.git.readFile(place.source, nobody, name, 9, signal)).rejects.toMatchObject({
      code: 'input-invalid',
    });
  });

  it('a text that is no commit id', async () => {
    for (const sha of ['main', '--help', 'HEAD', 'abc'] as Sha[]) {
      await expect(place.git.fetch(place.source, sha, signal)).rejects.toMatchObject({ code: 'input-invalid' });
      await expect(place.git.commit(place.source, sha, signal)).rejects.toMatchObject({ code: 'input-invalid' });
    }
  });

  it('a tree that would leave its folder', async () => {
    const { git, source, program, push } = place;
    await push({ a: '1' });
    const blob = await program(['hash-object', '-w', '--stdin'], 'evil');
    const entry = Buffer.concat([Buffer.from('40000 ..\0'), Buffer.from(await program(['write-tree']), 'hex')]);
    const bad = await program(['hash-object', '-t', 'tree', '-w', '--literally', '--stdin'], entry);
    const sha = parseSha(await program(['commit-tree', '-m', blob, bad]));
    await program(['push', '--quiet', 'origin', `${sha}:refs/heads/evil`]);

    await expect(git.fetch(source, sha, signal)).rejects.toMatchObject({ code: 'input-invalid' });
  });

  it('more than one fetch may bring', async () => {
    const { source, push, remote, folder } = place;
    const sha = await push({ big: randomBytes(20_000_000) });
    const server = await serveGit(remote, 'slow');
    try {
      const served = { ...source, repositoryUrl: server.url, local: false };
      const git = createGit({ mirrorsFolder: path.join(folder, 'm'), logger: silent, limits: { maxBytes: 100_000 } });
      const generous = createGit({ mirrorsFolder: path.join(folder, 'm'), logger: silent, limits: { timeoutMs: 300 } });

      await expect(git.fetch(served, sha, signal)).rejects.toMatchObject({ code: 'input-too-large' });
      await expect(generous.fetch(served, sha, signal)).rejects.toMatchObject({ code: 'git-unavailable' });
      await expect(git.fetch(served, sha, AbortSignal.timeout(300))).rejects.toThrow('timeout');
      // What the killed ones left is no hindrance.
      await createGit({ mirrorsFolder: path.join(folder, 'm'), logger: silent }).fetch(source, sha, signal);
    } finally {
      await server.close();
    }
  });
});
