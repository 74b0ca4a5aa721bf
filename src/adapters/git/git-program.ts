import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DomainError } from '../../core/errors.ts';
import { type HostEnvironment, makeAuthorization, makeGitEnvironment, makeSettings } from './git-environment.ts';
import type { Credential } from './git-source.ts';
import { removeOldKeys, withKeyFiles } from './ssh-key.ts';
import { type GitCommand, type GitResult, runGit, streamGit } from './run-git.ts';

const shortMs = 60_000;

export interface GitCall {
  readonly args: readonly string[];
  readonly signal: AbortSignal;
  readonly gitDir?: string;
  /** Protocols that this call may use; none for calls that stay in the mirror. */
  readonly protocols?: readonly string[];
  /** What a private repository asks for. */
  readonly credential?: Credential | undefined;
  readonly timeoutMs?: number;
  readonly input?: string;
  readonly maxOutputBytes?: number;
}

/** git with nothing of its surroundings but what we give it. */
export class GitProgram {
  readonly #folder: string;
  readonly #environment: Readonly<Record<string, string>>;
  #ready: Promise<void> | undefined;

  /** `folder`: ours, where it is started. */
  constructor(folder: string, host: HostEnvironment) {
    this.#folder = folder;
    this.#environment = makeGitEnvironment(host);
  }

  async run(call: GitCall): Promise<GitResult> {
    const command = await this.#command(call);
    const { credential } = call;
    if (credential?.type !== 'key') return runGit(command);
    return withKeyFiles(this.#folder, credential, (ssh) =>
      runGit({ ...command, environment: { ...command.environment, ...ssh } }),
    );
  }

  async *stream(call: GitCall, fail: (result: GitResult) => Error): AsyncGenerator<Uint8Array> {
    yield* streamGit(await this.#command(call), fail);
  }

  async #command(call: GitCall): Promise<GitCommand> {
    await this.prepare();
    const { args, gitDir, protocols = [], credential, timeoutMs = shortMs, ...rest } = call;
    const place = gitDir === undefined ? [] : [`--git-dir=${gitDir}`];
    return {
      ...rest,
      timeoutMs,
      args: [...place, ...makeSettings(protocols), ...args],
      cwd: this.#folder,
      environment: {
        ...(protocols.includes('file') ? this.#localEnvironment() : this.#environment),
        ...(credential?.type === 'header' && makeAuthorization(credential.value)),
      },
    };
  }

  async prepare(): Promise<void> {
    this.#ready ??= this.#makeFolder();
    try {
      await this.#ready;
    } catch (error) {
      this.#ready = undefined;
      throw new DomainError('git-unavailable', `the folder ${this.#folder} cannot be used`, { cause: error });
    }
  }

  async #makeFolder(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await removeOldKeys(this.#folder);
    await writeFile(this.#localSettings(), '[safe]\n\tdirectory = *\n');
  }

  /**
   * The owner of this machine named the folder, which may belong to another user: git refuses to serve that otherwise, and takes leave only from a file of
   * settings, since the serving program drops those of the command line.
   */
  #localEnvironment(): Readonly<Record<string, string>> {
    return { ...this.#environment, GIT_CONFIG_GLOBAL: this.#localSettings() };
  }

  #localSettings(): string {
    return path.join(this.#folder, 'local.gitconfig');
  }
}

/** What git says below each failure of ssh. */
const vague = /^(Please make sure you have the correct access rights|and the repository exists\.)$/;

/** The last lines that git said, for people; a URL in them may name a user. */
export function explain({ stderr, exitCode }: GitResult): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !vague.test(line));
  const text = lines
    .slice(-3)
    .join(' | ')
    .replaceAll(/\/\/[^/@\s]+@/g, '//')
    .slice(0, 400);
  if (/could not read (Username|Password)|Authentication failed|returned error: 403/.test(text))
    return `${text}; give Loam a token that may read it: loam app token APPLICATION`;
  if (/Permission denied \(|Host key verification failed/.test(text))
    return `${text}; give Loam a key that may read it, and the server's own: loam app deploy-key APPLICATION`;
  return text === '' ? `git ended with code ${String(exitCode)}` : text;
}
