import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createGit, type GitOptions } from '../../../src/adapters/git/git.ts';
import { parseApplicationName, parseSha, type Sha } from '../../../src/core/model/ids.ts';
import type { Git, GitSource } from '../../../src/ports/git.ts';
import type { Logger } from '../../../src/ports/logger.ts';

const run = promisify(execFile);

export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A real repository with a work tree to commit in, and a mirror folder of its own. */
export interface GitPlace {
  readonly folder: string;
  readonly git: Git;
  readonly remote: string;
  readonly source: GitSource;
  readonly mirror: string;
  readonly program: (args: readonly string[], input?: string | Uint8Array) => Promise<string>;
  /** Writes files, commits and pushes them; answers the commit. */
  readonly push: (files: Readonly<Record<string, string | Uint8Array>>, message?: string) => Promise<Sha>;
  close(): Promise<void>;
}

const identity = {
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.com',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
};

export async function openGitPlace(options: Partial<GitOptions> = {}): Promise<GitPlace> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-git-'));
  const remote = path.join(folder, 'remote.git');
  const work = path.join(folder, 'work');
  const mirrorsFolder = path.join(folder, 'mirrors');
  const git = createGit({ mirrorsFolder, logger: silent, ...options });
  await git.createRepository(remote);

  async function program(args: readonly string[], input?: string | Uint8Array): Promise<string> {
    const running = run('git', [...args], {
      cwd: work,
      env: { PATH: process.env['PATH'], ...identity },
      maxBuffer: 1e9,
    });
    running.child.stdin?.end(input);
    return (await running).stdout.trim();
  }

  await mkdir(work);
  await program(['init', '--quiet', '--initial-branch=main']);
  await program(['remote', 'add', 'origin', remote]);

  return {
    folder,
    git,
    remote,
    source: { application: parseApplicationName('thingy'), repositoryUrl: remote, local: true },
    mirror: path.join(mirrorsFolder, 'thingy.git'),
    program,
    async push(files, message = 'a change') {
      for (const [name, content] of Object.entries(files)) {
        const file = path.join(work, name);
        await mkdir(path.dirname(file), { recursive: true });
        await writeFile(file, content);
      }
      await program(['add', '--all']);
      await program(['commit', '--quiet', '--allow-empty', '-m', message]);
      await program(['push', '--quiet', '--force', 'origin', 'HEAD:main']);
      return parseSha(await program(['rev-parse', 'HEAD']));
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export interface GitServer {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** Serves a repository by git:// on this machine. `old`: as a server that gives only what it shows. `slow`: about 1 MB in a second. */
export async function serveGit(remote: string, kind: 'old' | 'slow'): Promise<GitServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const args = ['daemon', '--inetd', '--export-all', `--base-path=${path.dirname(remote)}`, path.dirname(remote)];
    const daemon = spawn('git', args, { stdio: ['pipe', 'pipe', 'ignore'] });
    socket.on('error', () => undefined);
    daemon.stdin.on('error', () => undefined);
    socket.once('close', () => {
      sockets.delete(socket);
      daemon.kill();
    });
    socket.once('data', (first: Buffer) => {
      daemon.stdin.write(kind === 'old' ? withoutVersion(first) : first);
      socket.pipe(daemon.stdin);
    });
    void answer(daemon.stdout, socket, kind === 'slow' ? 20 : 0);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `git://127.0.0.1:${String(port)}/${path.basename(remote)}`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(output: AsyncIterable<Uint8Array>, socket: Socket, pauseMs: number): Promise<void> {
  for await (const chunk of output) {
    for (let at = 0; at < chunk.length; at += 20_000) {
      if (socket.destroyed) return;
      socket.write(chunk.subarray(at, at + 20_000));
      if (pauseMs > 0) await delay(pauseMs);
    }
  }
  socket.end();
}

/** The first line of the protocol, without the wish for version 2: four digits of length, then the text. */
function withoutVersion(first: Buffer): string {
  const line = first.toString('latin1').slice(4).replace('\0version=2\0', '');
  return (line.length + 4).toString(16).padStart(4, '0') + line;
}
