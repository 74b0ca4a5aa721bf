import { readdirSync, writeFileSync } from 'node:fs';
import { DomainError } from '../../../core/errors.ts';
import type { Executor, JobEnd, JobKey, JobSpec } from '../../../ports/executor.ts';
import { endJob, killJob } from './end-job.ts';
import { followJob } from '../job/follow.ts';
import type { FollowOptions } from '../job/follow.ts';
import { exists, jobFolder, parseJobName, readEnd, readShim } from '../job/job-folder.ts';
import type { JobFolder } from '../job/job-folder.ts';
import { collectFile, removeFolder } from '../job/job-files.ts';
import { checkJob } from '../job/job-limits.ts';
import type { Launcher, NetworkMaker } from './launcher.ts';
import { isShimAlive } from './processes.ts';
import type { SandboxHost, SandboxNetwork } from './sandbox.ts';

export interface ProcessExecutorParts {
  readonly jobsFolder: string;
  readonly shim: string;
  readonly host: SandboxHost;
  /** Undefined: `egress` is the host's network. */
  readonly networks: NetworkMaker | undefined;
  readonly launcher: Launcher;
  readonly limits: readonly string[];
}

/**
 * Jobs as processes of this host: under bubblewrap, each with a shim that outlives the worker.
 *
 * - I2: everything about a job is in its folder and in the process table; this class remembers nothing, so any worker of this host can go on.
 * - I8: the sandbox shows the system read-only and the job's own folders, nothing of Loam; its end is the end of every process in there.
 */
export class ProcessExecutor implements Executor {
  readonly kind = 'process';
  readonly limits: readonly string[];
  readonly #parts: ProcessExecutorParts;

  constructor(parts: ProcessExecutorParts) {
    this.#parts = parts;
    this.limits = parts.limits;
  }

  async start(job: JobSpec): Promise<{ readonly created: boolean }> {
    const folder = this.#folder(job.key);
    if (readShim(folder) !== undefined) return { created: false };
    checkJob(job);
    const networkKind = this.#networkOf(job);
    const { host, shim, networks, launcher } = this.#parts;
    return { created: await launcher.launch({ host, shim, job, folder, networkKind, networks }) };
  }

  async attach(key: JobKey, options: FollowOptions): Promise<JobEnd> {
    options.signal.throwIfAborted();
    const folder = this.#folder(key);
    if (readShim(folder) === undefined)
      throw new DomainError('not-found', `job ${folder.name} was never started or is removed`);
    const end = await followJob(folder, options, () => endWithoutWord(folder));
    if (end.type === 'lost') await killJob(folder); // a shim that was killed may have left the rest
    return end;
  }

  async stop(key: JobKey, graceMs: number): Promise<void> {
    const folder = this.#folder(key);
    if (readShim(folder) === undefined || readEnd(folder) !== undefined) return;
    writeFileSync(folder.stop, '');
    await endJob(folder, graceMs);
  }

  collect(key: JobKey, name: string): Promise<string | undefined> {
    return Promise.resolve(collectFile(this.#folder(key), name));
  }

  async remove(key: JobKey): Promise<void> {
    const folder = this.#folder(key);
    if (!exists(folder.path)) return;
    const shim = readShim(folder);
    if (shim !== undefined && (readEnd(folder) === undefined || isShimAlive(shim))) {
      if (readEnd(folder) === undefined) writeFileSync(folder.stop, '');
      await killJob(folder);
    }
    await removeFolder(this.#parts.jobsFolder, folder);
  }

  list(): Promise<readonly JobKey[]> {
    return Promise.resolve(readdirSync(this.#parts.jobsFolder).flatMap((name) => parseJobName(name) ?? []));
  }

  #folder(key: JobKey): JobFolder {
    return jobFolder(this.#parts.jobsFolder, key);
  }

  /** What is not isolated is only for those who could run it here anyway. */
  #networkOf(job: JobSpec): SandboxNetwork {
    const { host, networks } = this.#parts;
    if (host.isolation === 'none') {
      if (!job.local) throw refused('a sandbox', 'bubblewrap');
      return 'host';
    }
    if (job.network === 'none') return 'none';
    if (networks !== undefined) return 'prepared';
    if (!job.local) throw refused('a network of its own', 'slirp4netns');
    return 'host';
  }
}

/** A shim that is gone and left no word: killed, or the host restarted. */
function endWithoutWord(folder: JobFolder): JobEnd | undefined {
  const shim = readShim(folder);
  if (shim !== undefined && isShimAlive(shim)) return undefined;
  return readEnd(folder) ?? { type: exists(folder.stop) ? 'stopped' : 'lost' }; // it may have ended between the two looks
}

function refused(what: string, program: string): DomainError {
  return new DomainError(
    'executor-unavailable',
    `this host cannot give the job ${what}, which only applications added on this machine may do without: install ${program} here, see "loam doctor"`,
  );
}
