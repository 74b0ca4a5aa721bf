import path from 'node:path';
import { DomainError } from '../../core/errors.ts';
import { isApplicationName, isSha, type Sha } from '../../core/model/ids.ts';
import type { Commit, Git, GitSource } from '../../ports/git.ts';
import type { Logger } from '../../ports/logger.ts';
import { fetchCommit, isDamaged, type FetchLimits, type FetchRequest } from './fetch-commit.ts';
import type { HostEnvironment } from './git-environment.ts';
import { explain, GitProgram } from './git-program.ts';
import { checkRef, checkTreePath, parseRemote } from './git-source.ts';
import { withMirrorLock } from './mirror-lock.ts';
import { hasCommit, prepareMirror, removeMirror } from './mirror.ts';
import { createBareRepository, installPostReceive } from './repository.ts';

const archiveTimeoutMs = 600_000;
const defaultLimits: FetchLimits = { timeoutMs: 600_000, maxBytes: 4_000_000_000 };
/** About twelve thousand names. */
const maxListBytes = 1_000_000;
const logFormat = '%H%x00%an%x00%s';
const maxSubject = 500;
const maxAuthor = 200;

export interface GitOptions {
  readonly mirrorsFolder: string;
  readonly logger: Logger;
  /** The process's environment; only settings for networks, keys and certificates are taken from it. */
  readonly hostEnvironment?: HostEnvironment;
  readonly limits?: Partial<FetchLimits>;
}

function checkSha(sha: Sha): void {
  if (!isSha(sha)) throw new DomainError('input-invalid', 'a commit is named by 40 hexadecimal digits');
}

function missing(sha: Sha): DomainError {
  return new DomainError('commit-missing', `the commit ${sha} is not in the mirror; it must be fetched first`);
}

/** Commits in `logFormat`, each field ended by NUL, which none of them can hold. */
function parseCommits(stdout: Buffer): readonly Commit[] {
  const fields = stdout.toString('utf8').split('\0');
  const commits: Commit[] = [];
  for (let at = 0; at + 2 < fields.length; at += 3) {
    const [sha = '', author = '', subject = ''] = fields.slice(at, at + 3);
    if (isSha(sha)) commits.push({ sha, subject: cut(subject, maxSubject), author: cut(author, maxAuthor) });
  }
  return commits;
}

function cut(text: string, maxLength: number): string {
  const short = text.slice(0, maxLength);
  return short.isWellFormed() ? short : short.slice(0, -1);
}

class MirrorGit implements Git {
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #git: GitProgram;
  readonly #limits: FetchLimits;

  constructor({ mirrorsFolder, logger, hostEnvironment = {}, limits = {} }: GitOptions) {
    this.#folder = path.resolve(mirrorsFolder);
    this.#logger = logger;
    this.#git = new GitProgram(this.#folder, hostEnvironment);
    this.#limits = { ...defaultLimits, ...limits };
  }

  async fetch(source: GitSource, sha: Sha, signal: AbortSignal): Promise<void> {
    checkSha(sha);
    const remote = parseRemote(source);
    const mirror = this.#mirror(source);
    if (await hasCommit(mirror, sha)) return;
    await this.#git.prepare();
    const request = { git: this.#git, mirror, remote, limits: this.#limits, signal };
    await withMirrorLock(`${mirror}.lock`, signal, () => this.#fetchAlone(request, sha));
  }

  async readFile(
    source: GitSource,
    sha: Sha,
    treePath: string,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    checkSha(sha);
    checkTreePath(treePath);
    const result = await this.#git.run({
      args: ['cat-file', '--batch'],
      gitDir: this.#mirror(source),
      signal,
      input: `${sha}^{commit}\n${sha}:${treePath}\n`,
      maxOutputBytes: maxBytes + 1_000_000,
    });
    if (result.exitCode !== 0) throw missing(sha);
    return readAnswer(result.stdout, sha, treePath, maxBytes);
  }

  async *archive(source: GitSource, sha: Sha, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    checkSha(sha);
    const args = ['-c', 'tar.umask=0022', 'archive', '--format=tar', sha];
    yield* this.#git.stream(
      { args, gitDir: this.#mirror(source), signal, timeoutMs: archiveTimeoutMs },
      (result) => new DomainError('commit-missing', `the tree of ${sha} cannot be read: ${explain(result)}`),
    );
  }

  async commit(source: GitSource, sha: Sha, signal: AbortSignal): Promise<Commit> {
    const [commit] = await this.log(source, undefined, sha, 1, signal);
    if (commit === undefined) throw missing(sha);
    return commit;
  }

  async log(
    source: GitSource,
    from: Sha | undefined,
    to: Sha,
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly Commit[]> {
    const ends = from === undefined ? [to] : [to, from];
    ends.forEach(checkSha);
    const without = from === undefined ? [] : [`^${from}`];
    const { stdout } = await this.#git.run({
      args: [
        'log',
        '-z',
        `--format=${logFormat}`,
        '--encoding=UTF-8',
        '--no-show-signature',
        `--max-count=${Math.max(0, Math.trunc(limit))}`,
        '--ignore-missing',
        to,
        ...without,
        '--',
      ],
      gitDir: this.#mirror(source),
      signal,
    });
    return parseCommits(stdout);
  }

  async head(source: GitSource, ref: string, signal: AbortSignal): Promise<Sha | undefined> {
    checkRef(ref);
    const peeled = `${ref}^{}`;
    // ls-remote also matches the tails of longer names.
    const found = await this.#listRemote(source, [ref, peeled], signal);
    return found.get(peeled) ?? found.get(ref);
  }

  async heads(source: GitSource, signal: AbortSignal): Promise<ReadonlyMap<string, Sha>> {
    const found = await this.#listRemote(source, ['refs/heads/*'], signal);
    return new Map([...found].filter(([name]) => name.startsWith('refs/heads/')));
  }

  async #listRemote(
    source: GitSource,
    patterns: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Sha>> {
    const { url, protocols, credential } = parseRemote(source);
    const args = ['ls-remote', '--quiet', '--', url, ...patterns];
    const result = await this.#git.run({ args, protocols, credential, signal, maxOutputBytes: maxListBytes });
    if (result.exitCode !== 0) throw new DomainError('git-unavailable', explain(result));
    const found = new Map<string, Sha>();
    for (const line of result.stdout.toString('utf8').split('\n')) {
      const [sha = '', name = ''] = line.split('\t');
      if (isSha(sha)) found.set(name, sha);
    }
    return found;
  }

  async createRepository(folder: string): Promise<boolean> {
    return createBareRepository(this.#git, folder);
  }

  async installHook(folder: string, script: string): Promise<void> {
    await installPostReceive(this.#git, folder, script);
  }

  async #fetchAlone(request: FetchRequest, sha: Sha): Promise<void> {
    const { mirror, signal } = request;
    await prepareMirror(this.#git, mirror, signal);
    if (await hasCommit(mirror, sha)) return;
    try {
      await fetchCommit(request, sha);
    } catch (error) {
      if (!isDamaged(error)) throw error;
      // All of it can be fetched again.
      this.#logger.warn({ mirror, err: error }, 'mirror is damaged and made anew');
      await removeMirror(mirror);
      await prepareMirror(this.#git, mirror, signal);
      await fetchCommit(request, sha);
    }
  }

  #mirror({ application }: GitSource): string {
    // The name becomes a path.
    if (!isApplicationName(application)) throw new DomainError('input-invalid', 'the name of the application is none');
    return path.join(this.#folder, `${application}.git`);
  }
}

/** The two answers of `cat-file --batch`: `<id> <type> <size>`, the content, a line break; or `<name> missing`. */
function readAnswer(stdout: Buffer, sha: Sha, treePath: string, maxBytes: number): string | undefined {
  const commit = readObject(stdout, 0);
  if (commit === undefined) throw missing(sha);
  const file = readObject(stdout, commit.end + 1);
  if (file?.type !== 'blob') return undefined;
  const size = file.end - file.start;
  if (size > maxBytes)
    throw new DomainError('input-too-large', `${treePath} has ${size} bytes, at most ${maxBytes} are read`);
  return new TextDecoder().decode(stdout.subarray(file.start, file.end));
}

function readObject(
  stdout: Buffer,
  from: number,
): { readonly type: string; readonly start: number; readonly end: number } | undefined {
  const lineEnd = stdout.indexOf('\n', from);
  if (lineEnd < 0) return undefined;
  const match = /^[0-9a-f]{40} (\w+) (\d+)$/.exec(stdout.subarray(from, lineEnd).toString('utf8'));
  const [, type, size] = match ?? [];
  if (type === undefined || size === undefined) return undefined;
  return { type, start: lineEnd + 1, end: lineEnd + 1 + Number(size) };
}

/** Mirrors as bare repositories in a folder; several processes may share it. Needs git 2.30 or newer. */
export function createGit(options: GitOptions): Git {
  return new MirrorGit(options);
}
