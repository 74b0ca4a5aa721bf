// I7: a private repository by real HTTP with a password, as forges serve it. The token reaches the server, and nobody else.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createGit } from '../../src/adapters/git/git.ts';
import { parseApplicationName } from '../../src/core/model/ids.ts';
import type { Git, GitSource } from '../../src/ports/git.ts';
import { Secret } from '../../src/ports/secret.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { openGitPlace } from './contracts/git-builders.ts';
import type { GitPlace } from './contracts/git-builders.ts';

const token = 'glpat-canary-of-the-repository';
const signal = AbortSignal.timeout(120_000);

interface Seen {
  readonly url: string;
  readonly authorization: string | undefined;
}

let place: GitPlace;
let folder: string;
let git: Git;
let server: Server;
let seen: Seen[];
/** Command lines of all processes while git asked. */
let commandLines: string;
let redirectTo: string | undefined;

beforeEach(async () => {
  place = await openGitPlace();
  folder = await mkdtemp(path.join(tmpdir(), 'loam-private-'));
  git = createGit({ mirrorsFolder: path.join(folder, 'mirrors'), logger: silentLogger, hostEnvironment: process.env });
  [seen, commandLines, redirectTo] = [[], '', undefined];
  server = createServer((request, response) => void serve(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await place.close();
  await rm(folder, { recursive: true, force: true });
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  seen.push({ url: request.url ?? '', authorization: request.headers.authorization });
  commandLines += await readCommandLines();
  if (redirectTo !== undefined) {
    response.writeHead(302, { location: `${redirectTo}${request.url ?? ''}` }).end();
    return;
  }
  const expected = `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
  if (request.headers.authorization === expected) {
    runBackend(request, response);
    return;
  }
  response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
}

/** The program of git that serves repositories behind a web server. */
function runBackend(request: IncomingMessage, response: ServerResponse): void {
  const [pathInfo = '', query = ''] = (request.url ?? '').split('?');
  const backend = spawn('git', ['-c', 'safe.directory=*', '-c', 'uploadpack.allowAnySHA1InWant=true', 'http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: path.dirname(place.remote),
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      PATH_INFO: pathInfo,
      QUERY_STRING: query,
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'],
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
      REMOTE_USER: 'somebody',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(backend.stdin.on('error', () => undefined));
  const chunks: Buffer[] = [];
  backend.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  backend.on('close', () => {
    const output = Buffer.concat(chunks);
    const end = output.indexOf('\r\n\r\n');
    const headers = output
      .subarray(0, end)
      .toString()
      .split('\r\n')
      .map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
    const status = headers.find(([name]) => name === 'Status')?.[1];
    response.writeHead(Number.parseInt(status ?? '200', 10), Object.fromEntries(headers)).end(output.subarray(end + 4));
  });
}

async function readCommandLines(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return (await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))).join('\n');
}

function sourceOf(text: string | undefined, at: Server = server): GitSource {
  const { port } = at.address() as AddressInfo;
  return {
    application: parseApplicationName('private'),
    repositoryUrl: `http://127.0.0.1:${String(port)}/${path.basename(place.remote)}`,
    local: false,
    token: text === undefined ? undefined : new Secret(text),
  };
}

it('reads a private repository with its token, which no process list, no mirror and no error shows (I7)', async () => {
  const sha = await place.push({ 'loam.yaml': 'version: 1\n' }, 'Private');

  const heads = await git.heads(sourceOf(token), signal);
  await git.fetch(sourceOf(token), sha, signal);

  expect(heads.get('refs/heads/main')).toBe(sha);
  expect(await git.readFile(sourceOf(token), sha, 'loam.yaml', 1_000, signal)).toBe('version: 1\n');
  expect(seen.length).toBeGreaterThan(1);
  expect(commandLines).toContain('ls-remote'); // git was seen at its work
  const encoded = Buffer.from(`x-access-token:${token}`).toString('base64');
  for (const canary of [token, encoded]) {
    expect(commandLines).not.toContain(canary);
    for (const file of ['config', 'FETCH_HEAD', 'packed-refs'])
      expect(await readFile(path.join(folder, 'mirrors/private.git', file), 'utf8').catch(() => '')).not.toContain(
        canary,
      );
  }
});

it('says what to do without a token or with a wrong one, and shows none (I10)', async () => {
  await place.push({ 'loam.yaml': 'version: 1\n' }, 'Private');
  for (const wrong of [undefined, 'wrong-token-of-somebody']) {
    const refused: unknown = await git.heads(sourceOf(wrong), signal).catch((error: unknown) => error);

    expect(refused).toMatchObject({
      code: 'git-unavailable',
      message: expect.stringContaining('loam app token') as string,
    });
    expect(String(refused)).not.toContain('wrong-token');
  }
});

it('does not carry the token to where a server sends it (I7)', async () => {
  const other = createServer((request, response) => {
    seen.push({ url: `other ${request.url ?? ''}`, authorization: request.headers.authorization });
    response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(other, 'listening');
  redirectTo = `http://127.0.0.1:${String((other.address() as AddressInfo).port)}`;

  await expect(git.heads(sourceOf(token), signal)).rejects.toMatchObject({ code: 'git-unavailable' });
  other.closeAllConnections();
  other.close();

  expect(seen.length).toBeGreaterThan(0);
  expect(seen.filter(({ url }) => url.startsWith('other'))).toEqual([]);
});

it.each([
  'http://git.example/a.git',
  'git://git.example/a.git',
  'ssh://git@git.example/a.git',
  'git@git.example:a.git',
])('sends no token to %s', async (repositoryUrl) => {
  const source = { ...sourceOf(token), repositoryUrl };

  await expect(git.heads(source, signal)).rejects.toMatchObject({ code: 'input-invalid' });
});
