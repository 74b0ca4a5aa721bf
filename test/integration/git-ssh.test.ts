// I7: a private repository by a real sshd. The key opens that one door, and no host is believed but the one that was named.
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, utimes, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createGit } from '../../src/adapters/git/git.ts';
import { parseApplicationName } from '../../src/core/model/ids.ts';
import type { GitSource } from '../../src/ports/git.ts';
import type { Git } from '../../src/ports/git.ts';
import { Secret } from '../../src/ports/secret.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { makeKey, secretLineOf, startSshServer } from '../support/ssh-server.ts';
import type { SshServer } from '../support/ssh-server.ts';
import { startTestApi } from '../support/api.ts';
import { openGitPlace } from './contracts/git-builders.ts';
import type { GitPlace } from './contracts/git-builders.ts';

const signal = AbortSignal.timeout(600_000);

let serverFolder: string;
let server: SshServer;
let place: GitPlace;
let folder: string;
let git: Git;

beforeAll(async () => {
  serverFolder = await mkdtemp(path.join(tmpdir(), 'loam-sshd-'));
  server = await startSshServer(path.join(serverFolder, 'sshd'));
}, 400_000);

afterAll(async () => {
  await server.close();
  await rm(serverFolder, { recursive: true, force: true });
});

beforeEach(async () => {
  place = await openGitPlace();
  folder = await mkdtemp(path.join(tmpdir(), "loam ssh's %h "));
  // What the user of the machine has set must not be used with a key of Loam's.
  const hostEnvironment = {
    ...process.env,
    GIT_SSH_COMMAND: `touch '${folder.replaceAll("'", `'\\''`)}/users-command'`,
  };
  git = createGit({ mirrorsFolder: path.join(folder, 'mirrors'), logger: silentLogger, hostEnvironment });
});

afterEach(async () => {
  await place.close();
  await rm(folder, { recursive: true, force: true });
});

function sourceWith(change: { key?: string; knownHosts?: string } = {}): GitSource {
  const { key = server.key, knownHosts = server.knownHosts } = change;
  return {
    application: parseApplicationName('private'),
    repositoryUrl: `ssh://${server.user}@127.0.0.1:${server.port}${place.remote}`,
    local: false,
    deployKey: { key: new Secret(key), knownHosts },
  };
}

async function leftKeys(): Promise<readonly string[]> {
  return (await readdir(path.join(folder, 'mirrors'))).filter((name) => name.startsWith('key-'));
}

it('reads a private repository with its key, which lies nowhere afterwards (I7)', async () => {
  const sha = await place.push({ 'loam.yaml': 'version: 1\n' }, 'Private');

  const heads = await git.heads(sourceWith(), signal);
  await git.fetch(sourceWith(), sha, signal);

  expect(heads.get('refs/heads/main')).toBe(sha);
  expect(await git.readFile(sourceWith(), sha, 'loam.yaml', 1_000, signal)).toBe('version: 1\n');
  expect(await leftKeys()).toEqual([]);
  expect(existsSync(path.join(folder, 'users-command'))).toBe(false);
  const config = await readFile(path.join(folder, 'mirrors/private.git/config'), 'utf8');
  expect(config).not.toContain('PRIVATE KEY');
  expect(server.log()).toContain('Accepted publickey');
});

it('believes no server but the one whose key was named, and asks nobody', async () => {
  const other = await readFile(`${await makeKey(path.join(folder, 'other'))}.pub`, 'utf8');
  const [type = '', text = ''] = other.split(' ');
  const before = server.log().split('Accepted').length;
  for (const knownHosts of [`[127.0.0.1]:${server.port} ${type} ${text}`, `git.example ${type} ${text}`]) {
    const refused: unknown = await git.heads(sourceWith({ knownHosts }), signal).catch((error: unknown) => error);

    expect(refused).toMatchObject({ code: 'git-unavailable' });
    expect(String(refused)).toContain('Host key verification failed');
    expect(String(refused)).toContain('loam app deploy-key');
  }
  expect(server.log().split('Accepted').length).toBe(before);
  expect(await leftKeys()).toEqual([]);
});

it('says what to do with a key that the server does not know, and shows none (I10)', async () => {
  const key = await readFile(await makeKey(path.join(folder, 'stranger')), 'utf8');

  const refused: unknown = await git.heads(sourceWith({ key }), signal).catch((error: unknown) => error);

  expect(refused).toMatchObject({ code: 'git-unavailable' });
  expect(String(refused)).toContain('loam app deploy-key');
  expect(String(refused)).not.toContain(secretLineOf(key));
});

it('removes the key that a killed process left, and none that is in use', async () => {
  const mirrors = path.join(folder, 'mirrors');
  for (const name of ['key-old', 'key-new']) await mkdir(path.join(mirrors, name), { recursive: true });
  await utimes(path.join(mirrors, 'key-old'), 1, 1);

  await git.heads(sourceWith(), signal);

  expect(await leftKeys()).toEqual(['key-new']);
});

it('sends no key to what is not ssh', async () => {
  for (const repositoryUrl of ['https://git.example/a.git', 'git://git.example/a.git', 'http://127.0.0.1:1/a.git'])
    await expect(git.heads({ ...sourceWith(), repositoryUrl }, signal)).rejects.toMatchObject({
      code: 'input-invalid',
    });
});

it('is set by the API, goes to git only, and is refused where it could not work (I7)', async () => {
  const test = await startTestApi();
  try {
    const name = parseApplicationName('private');
    const at = '/v1/applications/private/deploy-key';
    const { repositoryUrl } = sourceWith();
    const files = { key: server.key, knownHosts: server.knownHosts };
    await test.call('POST', '/v1/applications', { json: { name, repository: repositoryUrl } });
    await test.call('POST', '/v1/applications', { json: { name: 'web', repository: 'https://git.example/a.git' } });
    const sha = await place.push({ 'loam.yaml': 'version: 1\n' }, 'Private');

    const set = await test.call('PUT', at, { json: files });
    const heads = await git.heads(await test.store.applications.source(name), signal);
    const shown = await test.call('GET', '/v1/applications/private');
    const locked = await readFile(await makeKey(path.join(folder, 'locked'), 'a passphrase'), 'utf8');
    const wrong = [
      await test.call('PUT', at, { json: { ...files, key: locked } }),
      await test.call('PUT', at, { json: { ...files, key: 'no key' } }),
      await test.call('PUT', at, { json: { ...files, knownHosts: '# nothing' } }),
      await test.call('PUT', at, { json: { key: server.key } }),
      await test.call('PUT', '/v1/applications/web/deploy-key', { json: files }),
    ];
    const database = await readFile(path.join(test.folder, 'loam.db'));
    const taken = await test.call('PUT', at, { json: { key: null } });

    expect(heads.get('refs/heads/main')).toBe(sha);
    expect([set.body['hasDeployKey'], taken.body['hasDeployKey']]).toEqual([true, false]);
    expect(wrong.map(({ status }) => status)).toEqual([422, 422, 422, 422, 422]);
    const secret = secretLineOf(server.key);
    for (const { text } of [set, shown, ...wrong, taken]) expect(text).not.toContain(secret);
    expect(database.includes(secret)).toBe(false);
    expect((await test.store.applications.source(name)).deployKey).toBeUndefined();
  } finally {
    await test.destroy();
  }
});
