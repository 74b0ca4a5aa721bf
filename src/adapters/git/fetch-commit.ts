import { DomainError } from '../../core/errors.ts';
import type { Sha } from '../../core/model/ids.ts';
import { explain, type GitProgram } from './git-program.ts';
import type { Remote } from './git-source.ts';
import { commitRef, measureDrafts } from './mirror.ts';
import type { GitResult } from './run-git.ts';

const measureMs = 500;

export interface FetchLimits {
  readonly timeoutMs: number;
  /** Of what one fetch may bring. */
  readonly maxBytes: number;
}

export interface FetchRequest {
  readonly git: GitProgram;
  readonly mirror: string;
  readonly remote: Remote;
  readonly limits: FetchLimits;
  readonly signal: AbortSignal;
}

const fetchArguments = [
  'fetch',
  '--quiet',
  '--no-tags',
  '--no-write-fetch-head',
  '--no-auto-maintenance',
  '--no-recurse-submodules',
];

/**
 * Brings exactly this commit. First by its id, which also finds one that a forced push has taken off its branch; a server that gives only what it shows is
 * asked for all branches and tags. Throws `commit-missing`, `git-unavailable`, `input-too-large`, `input-invalid` for objects that no git would write.
 */
export async function fetchCommit(request: FetchRequest, sha: Sha): Promise<void> {
  const ref = commitRef(sha);
  const byId = await runFetch(request, [], [`+${sha}:${ref}`]);
  if (byId.exitCode !== 0) {
    throwRefused(byId);
    const byRefs = await runFetch(request, ['--prune'], ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*']);
    throwRefused(byRefs);
    if (byRefs.exitCode !== 0) throw new DomainError('git-unavailable', explain(byRefs));
  }
  if (byId.exitCode === 0 && (await isCommit(request, sha))) return;
  if (byId.exitCode !== 0 && (await isComplete(request, sha))) {
    await runInMirror(request, ['update-ref', ref, sha]);
    return;
  }
  await runInMirror(request, ['update-ref', '-d', ref]);
  throw new DomainError(
    'commit-missing',
    `the commit ${sha} is not in the repository; it may have been replaced by a forced push`,
  );
}

function throwRefused(result: GitResult): void {
  if (result.exitCode === 0 || !/fsck error|error in (packed )?object/.test(result.stderr)) return;
  throw new DomainError('input-invalid', `the repository has objects that git refuses: ${explain(result)}`);
}

/** Damage of the mirror's own files, as a power cut leaves it. */
export function isDamaged(error: unknown): boolean {
  if (!(error instanceof DomainError) || error.code !== 'git-unavailable') return false;
  return /corrupt|is empty|bad object|unable to read|bad index|is truncated|invalid sha1 pointer/i.test(error.message);
}

async function runInMirror({ git, mirror, signal }: FetchRequest, args: readonly string[]): Promise<GitResult> {
  return git.run({ args, gitDir: mirror, signal });
}

async function isCommit(request: FetchRequest, sha: Sha): Promise<boolean> {
  const { stdout } = await runInMirror(request, ['cat-file', '-t', sha]);
  return stdout.toString('utf8').trim() === 'commit';
}

/** Is all of the commit there, and not only what another fetch left of it? */
async function isComplete(request: FetchRequest, sha: Sha): Promise<boolean> {
  if (!(await isCommit(request, sha))) return false;
  const { exitCode } = await runInMirror(request, ['rev-list', '--objects', '--quiet', sha, '--not', '--all']);
  return exitCode === 0;
}

async function runFetch(
  request: FetchRequest,
  options: readonly string[],
  refspecs: readonly string[],
): Promise<GitResult> {
  const { git, mirror, remote, limits, signal } = request;
  const guard = guardSize(mirror, limits.maxBytes);
  try {
    return await git.run({
      args: [...fetchArguments, ...options, '--', remote.url, ...refspecs],
      gitDir: mirror,
      protocols: remote.protocols,
      credential: remote.credential,
      timeoutMs: limits.timeoutMs,
      signal: AbortSignal.any([signal, guard.signal]),
    });
  } finally {
    guard.stop();
  }
}

/** git has no limit of its own for what a fetch brings. */
function guardSize(mirror: string, maxBytes: number): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const startedAtMs = Date.now();
  let isMeasuring = false;
  const timer = setInterval(() => {
    if (isMeasuring) return;
    isMeasuring = true;
    measureDrafts(mirror, startedAtMs)
      .then((size) => {
        if (size > maxBytes) controller.abort(tooLarge(maxBytes));
      })
      .catch((error: unknown) => controller.abort(error))
      .finally(() => (isMeasuring = false));
  }, measureMs);
  return { signal: controller.signal, stop: () => clearInterval(timer) };
}

function tooLarge(maxBytes: number): DomainError {
  const megabytes = Math.ceil(maxBytes / 1_000_000);
  return new DomainError('input-too-large', `the repository sends more than ${megabytes} MB at once`);
}
