import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DomainError } from '../../../core/errors.ts';
import type { JobSpec } from '../../../ports/executor.ts';
import type { Logger } from '../../../ports/logger.ts';
import type { JobFolder } from '../job/job-folder.ts';
import type { SandboxHost, SandboxNetwork } from './sandbox.ts';

/** What makes networks for jobs. */
export interface NetworkMaker {
  readonly slirpPath: string;
  readonly isolation: SandboxHost['isolation'];
}

export interface LaunchOrder {
  readonly host: SandboxHost;
  readonly shim: string;
  readonly job: JobSpec;
  readonly folder: JobFolder;
  readonly networkKind: SandboxNetwork;
  /** For the kind `prepared`. */
  readonly networks: NetworkMaker | undefined;
}

/** As it travels: between this process and its child alone, in memory (I7). */
export interface PlainOrder extends Omit<LaunchOrder, 'job'> {
  readonly job: Omit<JobSpec, 'secrets'>;
  readonly secrets: Readonly<Record<string, string>>;
}

export type ToLauncher =
  | { readonly type: 'launch'; readonly id: number; readonly order: PlainOrder }
  | { readonly type: 'prepare'; readonly networks: NetworkMaker };

export type FromLauncher =
  | { readonly type: 'launched'; readonly id: number; readonly created: boolean }
  | { readonly type: 'failed'; readonly id: number; readonly reason: string }
  | { readonly type: 'warning'; readonly reason: string };

const launchMs = 20_000;
const here = fileURLToPath(import.meta.url);
const program = join(dirname(here), `launcher-process${extname(here)}`);

/**
 * Starts processes from a small process of its own: to fork, the kernel copies the page tables of the whole process, and the worker has hundreds of
 * megabytes; three times for each job, in the thread that also polls and beats. The child ends with this process; shims do not.
 */
export class Launcher {
  readonly #logger: Logger;
  readonly #waiting = new Map<number, PromiseWithResolvers<boolean>>();
  #child: ChildProcess | undefined;
  #count = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Makes one network ahead of the next job. */
  prepare(networks: NetworkMaker): void {
    this.#send({ type: 'prepare', networks });
  }

  /** Whether this shim won the claim. Throws `executor-unavailable`; then the job may run all the same, and its claim tells. */
  async launch({ job: { secrets, ...job }, ...order }: LaunchOrder): Promise<boolean> {
    const id = (this.#count += 1);
    const waiting = Promise.withResolvers<boolean>();
    this.#waiting.set(id, waiting);
    const timer = setTimeout(() => this.#giveUp(`it did not start a job within ${launchMs / 1000} s`), launchMs);
    const plain = Object.fromEntries(Object.entries(secrets).map(([name, secret]) => [name, secret.reveal()]));
    try {
      this.#send({ type: 'launch', id, order: { ...order, job, secrets: plain } });
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  #send(message: ToLauncher): void {
    const child = (this.#child ??= this.#start());
    child.send(message, (error) => {
      if (error !== null && this.#child === child) this.#giveUp(error.message);
    });
  }

  #start(): ChildProcess {
    const child = fork(program, [], {
      detached: true, // not reached by Ctrl-C: it ends with us
      execArgv: [],
      env: {},
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.unref();
    child.channel?.unref();
    child.on('message', (message) => this.#receive(message as FromLauncher));
    const onEnd = (reason: string): void => {
      if (this.#child === child) this.#giveUp(reason);
    };
    child.on('error', (error) => onEnd(error.message)).on('exit', () => onEnd('it ended'));
    return child;
  }

  #receive(message: FromLauncher): void {
    switch (message.type) {
      case 'launched':
        this.#waiting.get(message.id)?.resolve(message.created);
        return;
      case 'failed':
        this.#waiting.get(message.id)?.reject(new DomainError('executor-unavailable', message.reason));
        return;
      case 'warning':
        this.#logger.warn({ reason: message.reason }, 'no network could be prepared for a job');
    }
  }

  /** The next job gets a new child. */
  #giveUp(reason: string): void {
    const child = this.#child;
    this.#child = undefined;
    child?.kill('SIGKILL');
    const error = new DomainError('executor-unavailable', `the process that starts jobs failed: ${reason}`);
    for (const { reject } of this.#waiting.values()) reject(error);
  }
}
