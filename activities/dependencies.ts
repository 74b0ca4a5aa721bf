import type { BlobStore } from '../src/ports/blob-store.ts';
import type { Executor } from '../src/ports/executor.ts';
import type { Git } from '../src/ports/git.ts';
import type { ImageBuilder } from '../src/ports/image-builder.ts';
import type { LogStore } from '../src/ports/log-store.ts';
import type { Logger } from '../src/ports/logger.ts';
import type { RunEngine } from '../src/ports/run-engine.ts';
import type { Store } from '../src/ports/store.ts';
import type { Target } from '../src/ports/target.ts';
import type { TrustProvider } from '../src/ports/trust-provider.ts';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { shareLogs } from './shared-log.ts';

/** The adapters that the worker's main hands in. */
export interface ActivityDependencies {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly logs: LogStore;
  readonly git: Git;
  readonly executor: Executor;
  /** One of each kind that environments may be registered for. */
  readonly targets: readonly Target[];
  readonly trustProviders: readonly TrustProvider[];
  readonly images: ImageBuilder;
  readonly engine: RunEngine;
  readonly logger: Logger;
  /** Names the machine (not the process): sandboxes that an earlier worker of this host left are found again. */
  readonly hostId: string;
  /** Bytes of a file that a job left; `createReadStream` of Node. */
  readonly openFile: (path: string) => AsyncIterable<Uint8Array>;
  /** For tests; by default the clock of this machine. */
  readonly clock?: Clock;
  /** For tests and settings; each has a default. */
  readonly limits?: Partial<ActivityLimits>;
}

export interface ActivityLimits {
  readonly snapshotBytes: number;
  readonly planBytes: number;
  readonly graphBytes: number;
  readonly artifactBytes: number;
  /** Output of one attempt. */
  readonly jobOutputBytes: number;
  readonly heartbeatEveryMs: number;
  /** From TERM to KILL when a job is cancelled. */
  readonly stopGraceMs: number;
  /** How long the end of a run waits until its sandboxes are gone. */
  readonly sandboxRemovalMs: number;
  readonly healthTimeoutMs: number;
  /** For the open requests of the release that is replaced. */
  readonly drainMs: number;
  /** How long a deploy waits for a token. */
  readonly tokenWaitMs: number;
  /** How long a run waits for a person to reconnect a trust. */
  readonly reconnectMs: number;
}

const megabyte = 1024 * 1024;

const defaultLimits: ActivityLimits = {
  snapshotBytes: 512 * megabyte,
  planBytes: 512 * 1024,
  graphBytes: 200 * 1024,
  artifactBytes: 1024 * megabyte,
  jobOutputBytes: 256 * megabyte,
  heartbeatEveryMs: 2_000,
  stopGraceMs: 10_000,
  sandboxRemovalMs: 10_000, // leaves time for the rows: `finish` has 20 s
  healthTimeoutMs: 60_000,
  drainMs: 10_000,
  tokenWaitMs: 45_000,
  reconnectMs: 7 * 24 * 3_600_000,
};

/** What every activity works with: all of `ActivityDependencies`, defaults filled in. */
export type Room = Omit<ActivityDependencies, 'clock' | 'limits'> & {
  readonly clock: Clock;
  readonly limits: ActivityLimits;
};

export function makeRoom(dependencies: ActivityDependencies): Room {
  return {
    ...dependencies,
    logs: shareLogs(dependencies.logs, dependencies.store.logs),
    clock: dependencies.clock ?? systemClock,
    limits: { ...defaultLimits, ...dependencies.limits },
  };
}
