import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../../core/errors.ts';
import type { Executor, JobEnd, JobKey, JobSpec } from '../../../ports/executor.ts';
import { followJob } from '../job/follow.ts';
import type { FollowOptions } from '../job/follow.ts';
import { exists, jobFolder, parseJobName, readEnd } from '../job/job-folder.ts';
import type { JobFolder } from '../job/job-folder.ts';
import { checkJob } from '../job/job-limits.ts';
import { collectFile, prepareJobsFolder, removeFolder } from '../job/job-files.ts';
import { containerOptions, expiresLabel, layFiles } from './container.ts';
import type { ContainerHost } from './container.ts';
import { Engine } from './engine.ts';

export interface DockerExecutorOptions {
  /** `<data>/containers`: the engine must see it under the same path. */
  readonly jobsFolder: string;
  readonly socketPath: string;
  /** What jobs run in; the engine must have it. */
  readonly image: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  /** Variables of Loam's own environment that name a file with certificates: jobs get them too. */
  readonly certificateFiles?: Readonly<Record<string, string>>;
}

const network = 'loam-jobs';
const killMs = 5_000;

/** The engine need not answer yet: then each job is `executor-unavailable`, which is tried again. */
export async function createDockerExecutor(options: DockerExecutorOptions): Promise<DockerExecutor> {
  const jobsFolder = resolve(options.jobsFolder);
  await prepareJobsFolder(jobsFolder);
  return new DockerExecutor({ ...options, jobsFolder });
}

/**
 * Jobs as containers of a Docker engine on this machine.
 *
 * - I2: a container belongs to the engine, not to the worker, and its output, written by a shim within, lies in a folder of this host: any worker of this host can go on.
 * - I8: no capability, no new privilege, a read-only root, a user id of its own, limits for memory, processes and cpu; nothing of Loam inside.
 */
export class DockerExecutor implements Executor {
  readonly kind = 'docker';
  readonly limits = ['the disk that a job uses is not limited'];
  readonly #engine: Engine;
  readonly #host: ContainerHost;
  readonly #jobsFolder: string;

  constructor({ socketPath, jobsFolder, ...options }: DockerExecutorOptions) {
    this.#engine = new Engine(socketPath);
    this.#jobsFolder = jobsFolder;
    // Other data folders may use the same engine.
    const owner = createHash('sha256').update(jobsFolder).digest('hex').slice(0, 12);
    this.#host = { ...options, owner, network, certificateFiles: options.certificateFiles ?? {} };
  }

  /** Whether jobs can run here now. Throws `executor-unavailable` or `image-missing`. Gives the engine's version. */
  async check(): Promise<string> {
    const version = await this.#engine.version();
    await this.#engine.requireImage(this.#host.image);
    return version;
  }

  async start(job: JobSpec): Promise<{ readonly created: boolean }> {
    const folder = this.#folder(job.key);
    const name = this.#name(folder);
    const found = await this.#engine.find(name);
    if (found === undefined && hasBegun(folder)) return { created: false }; // somebody removed its container: `attach` says so
    if (found !== undefined && found.Status !== 'created') return { created: false };
    checkJob(job);
    layFiles(folder, job);
    if (job.network === 'egress') await this.#engine.ensureNetwork(network);
    const created = found === undefined && (await this.#engine.create(containerOptions(this.#host, job, folder, name)));
    // Whoever finds it made and not started starts it: its maker may be dead. A second start of one that has run does nothing (the shim sees to that).
    await this.#begin(name, created);
    return { created };
  }

  async attach(key: JobKey, options: FollowOptions): Promise<JobEnd> {
    options.signal.throwIfAborted();
    const folder = this.#folder(key);
    const name = this.#name(folder);
    const found = await this.#engine.find(name);
    if (found === undefined && !hasBegun(folder))
      throw new DomainError('not-found', `job ${folder.name} was never started or is removed`);
    const watch = new AbortController();
    const expiresAtMs = Number(found?.labels[expiresLabel] ?? 0);
    const timer = setTimeout(
      () => void this.#engine.signal(name, 'KILL').catch(() => undefined),
      Math.max(0, expiresAtMs - Date.now()),
    );
    let ended: { readonly failure: Error | undefined } | undefined;
    const ending = this.#engine.untilEnded(name, watch.signal).then(
      () => void (ended = { failure: undefined }),
      (error: unknown) => void (ended = { failure: asError(error) }),
    );
    try {
      const end = await followJob(folder, options, () => {
        if (ended === undefined) return undefined;
        if (ended.failure !== undefined) throw ended.failure;
        return readEnd(folder) ?? endWithoutWord(folder, expiresAtMs);
      });
      return await this.#explain(end, name, ending);
    } finally {
      clearTimeout(timer);
      watch.abort();
    }
  }

  async stop(key: JobKey, graceMs: number): Promise<void> {
    const folder = this.#folder(key);
    const name = this.#name(folder);
    const startedAtMs = performance.now();
    for (;;) {
      const found = await this.#engine.find(name);
      if (found?.Running !== true) return;
      writeFileSync(folder.stop, '');
      const elapsedMs = performance.now() - startedAtMs;
      await this.#engine.signal(name, signalAfter(elapsedMs, graceMs));
      await delay(Math.min(100, 10 + elapsedMs / 10));
    }
  }

  collect(key: JobKey, name: string): Promise<string | undefined> {
    return Promise.resolve(collectFile(this.#folder(key), name));
  }

  async remove(key: JobKey): Promise<void> {
    const folder = this.#folder(key);
    if (!exists(folder.path)) return;
    await this.#engine.remove(this.#name(folder));
    await removeFolder(this.#jobsFolder, folder);
  }

  /** By their folders: each is made before its container, and deleted after it. */
  list(): Promise<readonly JobKey[]> {
    return Promise.resolve(readdirSync(this.#jobsFolder).flatMap((name) => parseJobName(name) ?? []));
  }

  async #begin(name: string, created: boolean): Promise<void> {
    if (!created && (await this.#engine.find(name))?.Status !== 'created') return;
    try {
      await this.#engine.start(name);
    } catch (error) {
      if (error instanceof DomainError && error.code === 'image-unusable') await this.#engine.remove(name);
      throw error;
    }
  }

  /** What the kernel killed for its memory says only that it was killed; the engine knows why. */
  async #explain(end: JobEnd, name: string, ending: Promise<void>): Promise<JobEnd> {
    const isDoubtful = end.type === 'lost' || (end.type === 'exited' && end.exitCode !== 0);
    if (!isDoubtful) return end;
    await ending;
    return (await this.#engine.find(name))?.OOMKilled === true ? { type: 'out-of-memory' } : end;
  }

  #folder(key: JobKey): JobFolder {
    return jobFolder(this.#jobsFolder, key);
  }

  #name(folder: JobFolder): string {
    return `loam-${this.#host.owner}-${folder.name}`;
  }
}

/** The shim asks for the end again and again, since it may not listen yet. Last, the engine ends it. */
function signalAfter(elapsedMs: number, graceMs: number): string {
  if (elapsedMs < graceMs / 2) return 'TERM';
  if (elapsedMs < graceMs) return 'USR1';
  return elapsedMs < graceMs + killMs ? 'USR2' : 'KILL';
}

function hasBegun(folder: JobFolder): boolean {
  try {
    return readFileSync(folder.begun, 'utf8') !== '';
  } catch {
    return false;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function endWithoutWord(folder: JobFolder, expiresAtMs: number): JobEnd {
  if (exists(folder.stop)) return { type: 'stopped' };
  return expiresAtMs > 0 && Date.now() >= expiresAtMs ? { type: 'timed-out' } : { type: 'lost' };
}
