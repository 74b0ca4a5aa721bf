import type { Network } from '../core/graph/graph.ts';
import type { LogKey } from './log-store.ts';
import type { Secret } from './secret.ts';

/** A job is one task attempt: the same three values. */
export type JobKey = LogKey;

/** A server of this host that the job may reach although its network does not: `127.0.0.1:port` inside the sandbox leads to the socket. */
export interface JobSocket {
  readonly port: number;
  readonly path: string;
}

export interface JobSpec {
  readonly key: JobKey;
  /** Path of a tar with the tree; unpacked inside the sandbox into the working folder. Undefined: an empty folder. */
  readonly source: string | undefined;
  /** Script for `sh -c`. */
  readonly cmd: string;
  /** Beside these the job has only `PATH`, `HOME`, `CI`, `TMPDIR`, `LANG`, `LOAM_OUT` (a folder whose files `collect` gives). */
  readonly env: Readonly<Record<string, string>>;
  /** As `env`, but never on a command line or in a file that outlives the job. */
  readonly secrets: Readonly<Record<string, Secret>>;
  readonly network: Network;
  /** The application was added on this machine by its owner: weaker isolation is allowed where it must be, and said. */
  readonly local: boolean;
  /** From the first start of the job, also over re-attachments; kept by the shim. */
  readonly timeoutMs: number;
  readonly outputLimitBytes: number;
  readonly sockets: readonly JobSocket[];
}

export type JobEnd =
  | { readonly type: 'exited'; readonly exitCode: number }
  | { readonly type: 'timed-out' }
  | { readonly type: 'output-limit' }
  | { readonly type: 'out-of-memory' }
  /** Ended by `stop`. */
  | { readonly type: 'stopped' }
  /** The sandbox is gone and left no exit code: the host restarted or somebody killed it. */
  | { readonly type: 'lost' };

export interface JobOutput {
  /** Offset of the first byte in the job's output. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Runs commands in disposable sandboxes that outlive the worker (I2, I8). */
export interface Executor {
  readonly kind: 'process' | 'docker';
  /** What the sandbox of this host does not do, in sentences for log and run, such as "egress uses the host's network". Empty: all of the contract. */
  readonly limits: readonly string[];
  /**
   * Find-or-create by key: a job that runs or has ended is left alone. Returns whether this call made it. Throws `executor-unavailable` when the platform
   * failed, `image-missing` and `image-unusable` where a job needs an image. Two calls at once make one job.
   */
  start(job: JobSpec): Promise<{ readonly created: boolean }>;
  /**
   * Follows the output from `fromOffset`, in order, awaiting `onOutput` (back-pressure reaches the disk, not memory), until the job has ended and all its output was
   * given. Abort detaches and rejects with the signal's reason: the job goes on. Does not end a job. Throws `not-found` for a key that was never started or was removed.
   */
  attach(
    key: JobKey,
    options: {
      readonly fromOffset: number;
      readonly signal: AbortSignal;
      readonly onOutput: (output: JobOutput) => Promise<void>;
    },
  ): Promise<JobEnd>;
  /** TERM to the whole tree, KILL after `graceMs`. Resolves when nothing of it runs. Absent or ended: does nothing. */
  stop(key: JobKey, graceMs: number): Promise<void>;
  /** Path of a regular file that the job left in `LOAM_OUT`; undefined when it did not. Its content is foreign. Valid until `remove`. */
  collect(key: JobKey, name: string): Promise<string | undefined>;
  /** Ends the job if it runs and deletes all of it. Absent: does nothing. */
  remove(key: JobKey): Promise<void>;
  /** All jobs on this host and of no other one that shares its engine: the sweeper ends those that the host does not own. */
  list(): Promise<readonly JobKey[]>;
}
