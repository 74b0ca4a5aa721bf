import type { ApplicationName, Sha } from '../core/model/ids.ts';
import type { Secret } from './secret.ts';

export interface DeployKey {
  /** A private key without a passphrase, as ssh-keygen writes it. */
  readonly key: Secret;
  /** The keys that the server may show, as a file known_hosts lists them: no other is believed. */
  readonly knownHosts: string;
}

export interface Commit {
  readonly sha: Sha;
  /** First line of the message; foreign text. */
  readonly subject: string;
  readonly author: string;
}

/**
 * A mirror per application of its repository. Programs run with an argument array, allow-listed protocols, hooks, submodules, prompts and foreign
 * configuration off, with size and time limits. All methods may run twice and concurrently (a lock per mirror).
 */
export interface Git {
  /** Brings `sha` into the mirror: the exact commit, or `commit-missing`. `git-unavailable` when the remote does not answer. Cheap when it is there. */
  fetch(source: GitSource, sha: Sha, signal: AbortSignal): Promise<void>;
  /** A file of the commit as text; undefined when it has none. Throws `input-too-large` over `maxBytes`. */
  readFile(
    source: GitSource,
    sha: Sha,
    path: string,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<string | undefined>;
  /** The tree of the commit as a tar stream without owner or time of this machine; the same commit gives the same bytes. */
  archive(source: GitSource, sha: Sha, signal: AbortSignal): AsyncIterable<Uint8Array>;
  commit(source: GitSource, sha: Sha, signal: AbortSignal): Promise<Commit>;
  /** Commits reachable from `to` and not from `from`, newest first, at most `limit`. An unknown `from` counts as none. */
  log(
    source: GitSource,
    from: Sha | undefined,
    to: Sha,
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly Commit[]>;
  /** The commit that a ref of the remote points to; undefined when there is no such ref. */
  head(source: GitSource, ref: string, signal: AbortSignal): Promise<Sha | undefined>;
  /** Every branch of the remote by its full name, with the commit that it points to. Throws `input-too-large` when they are too many. */
  heads(source: GitSource, signal: AbortSignal): Promise<ReadonlyMap<string, Sha>>;
  /** Makes a bare repository if there is none; true when it made one. */
  createRepository(path: string): Promise<boolean>;
  /** Installs an executable post-receive hook; keeps a foreign one (`input-invalid`, with the place). */
  installHook(path: string, script: string): Promise<void>;
}

export interface GitSource {
  readonly application: ApplicationName;
  /** A URL, or an absolute path when the application was added locally. */
  readonly repositoryUrl: string;
  /** Only an application added locally may name a path of this machine. */
  readonly local: boolean;
  /** Who may read it: only for a remote with https. It goes to git, and nowhere else (I7). */
  readonly token?: Secret | undefined;
  /** Instead, for a remote with ssh. */
  readonly deployKey?: DeployKey | undefined;
}
