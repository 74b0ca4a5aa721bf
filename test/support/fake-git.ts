import { DomainError } from '../../src/core/errors.ts';
import type { Sha } from '../../src/core/model/ids.ts';
import type { Commit, Git, GitSource } from '../../src/ports/git.ts';

export interface FakeCommit extends Commit {
  readonly files: Readonly<Record<string, string>>;
}

/** One line of history, oldest first, on one remote. */
export class FakeGit implements Git {
  readonly commits: FakeCommit[] = [];
  isReachable = true;

  async fetch(_: GitSource, sha: Sha): Promise<void> {
    if (!this.isReachable) throw new DomainError('git-unavailable', 'the remote does not answer');
    this.#find(sha);
    return Promise.resolve();
  }

  async readFile(_: GitSource, sha: Sha, path: string, maxBytes: number): Promise<string | undefined> {
    const text = this.#find(sha).files[path];
    if (text !== undefined && Buffer.byteLength(text) > maxBytes) throw new DomainError('input-too-large', path);
    return Promise.resolve(text);
  }

  async *archive(_: GitSource, sha: Sha): AsyncGenerator<Uint8Array> {
    yield Promise.resolve(new TextEncoder().encode(JSON.stringify(this.#find(sha).files)));
  }

  async commit(_: GitSource, sha: Sha): Promise<Commit> {
    return Promise.resolve(this.#find(sha));
  }

  async log(_: GitSource, from: Sha | undefined, to: Sha, limit: number): Promise<readonly Commit[]> {
    const first = this.commits.findIndex(({ sha }) => sha === from) + 1;
    const last = this.commits.findIndex(({ sha }) => sha === to) + 1;
    const commits = this.commits.slice(first, last).reverse().slice(0, limit);
    return Promise.resolve(commits.map(({ sha, subject, author }) => ({ sha, subject, author })));
  }

  async head(): Promise<Sha | undefined> {
    return Promise.resolve(this.commits.at(-1)?.sha);
  }

  async createRepository(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async installHook(): Promise<void> {
    return Promise.resolve();
  }

  #find(sha: Sha): FakeCommit {
    const commit = this.commits.find((one) => one.sha === sha);
    if (commit === undefined) throw new DomainError('commit-missing', `no commit ${sha}`);
    return commit;
  }
}
