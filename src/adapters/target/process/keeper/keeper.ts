import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../../../ports/logger.ts';
import type { ProcessIdentity } from '../../../host/process-identity.ts';
import { AppLog } from './app-log.ts';
import { appFolder, removePlainToken, startApp } from './app-process.ts';
import type { AppProcess } from './app-process.ts';
import { canSandbox } from './bubblewrap.ts';
import { findFreePort } from './free-port.ts';
import { checkHealth } from './health.ts';
import type { Checkup } from './health.ts';
import type { KeeperSpec } from './keeper-spec.ts';
import { killLeftovers } from './process-tree.ts';
import { writeReplicaState } from '../../../front/replica-state.ts';
import type { ReplicaState } from '../../../front/replica-state.ts';
import { UnpackError, unpackArtifact } from './unpack.ts';

export interface KeeperOptions {
  readonly replicaFolder: string;
  readonly spec: KeeperSpec;
  readonly process: ProcessIdentity;
  readonly logger: Logger;
  /** Aborts when the replica shall end. */
  readonly signal: AbortSignal;
  /** A port that is free now; `wanted`, if possible. */
  readonly findPort?: (wanted?: number) => Promise<number>;
}

const timing = {
  stopMs: 5000,
  firstCheckMs: 100,
  laterCheckMs: 1000,
  firstBackoffMs: 100,
  longestBackoffMs: 10_000,
  /** An application that ran this long starts again at once. */
  stableMs: 30_000,
};
/** One slow answer is not an outage. */
const failuresUntilUnhealthy = 3;
/** A listener that was seen between two reads of /proc is no proof. */
const sightingsUntilTaken = 3;

/** Keeps one replica alive: unpacks, starts, watches its health, starts it again. One keeper per replica folder. */
export class Keeper {
  readonly #options: KeeperOptions;
  readonly #log: AppLog;
  #state: ReplicaState;
  #wantedPort: number | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
    const { spec } = options;
    const token = spec.trustToken === undefined ? [] : [spec.trustToken];
    this.#log = new AppLog(options.replicaFolder, [...Object.values(spec.secrets), ...token]);
    const keeper = options.process;
    this.#state = {
      status: 'starting',
      keeper,
      restarts: 0,
      hasBeenHealthy: false,
      isHopeless: false,
      sandbox: 'none',
    };
  }

  /** Resolves after the signal, when the application has ended; or earlier, when it can never run. */
  async run(): Promise<void> {
    const { replicaFolder, signal } = this.#options;
    killLeftovers(replicaFolder);
    await this.#update({ sandbox: this.#chooseSandbox() });
    if (this.#state.sandbox === 'none') await this.#log.note('not isolated: bubblewrap does not start on this host');
    if (await this.#unpack()) {
      let backoffMs = timing.firstBackoffMs;
      while (!signal.aborted) {
        const ranMs = await this.#runOnce();
        backoffMs = ranMs > timing.stableMs ? timing.firstBackoffMs : Math.min(backoffMs * 2, timing.longestBackoffMs);
        await delay(backoffMs / 2, undefined, { signal }).catch(() => undefined);
      }
    }
    await removePlainToken(replicaFolder);
    await this.#update({ status: 'stopped', app: undefined, port: undefined });
  }

  #chooseSandbox(): ReplicaState['sandbox'] {
    const { bwrapPath } = this.#options.spec;
    return bwrapPath !== undefined && canSandbox(bwrapPath) ? 'bubblewrap' : 'none';
  }

  async #unpack(): Promise<boolean> {
    const { replicaFolder, spec } = this.#options;
    const bwrapPath = this.#state.sandbox === 'bubblewrap' ? spec.bwrapPath : undefined;
    try {
      await unpackArtifact({ artifact: spec.artifact, folder: appFolder(replicaFolder), bwrapPath });
      return true;
    } catch (error) {
      const reason = error instanceof UnpackError ? error.message : String(error);
      await rm(`${appFolder(replicaFolder)}.new`, { recursive: true, force: true }).catch(() => undefined);
      await this.#update({ isHopeless: true, error: `the artifact cannot be unpacked: ${reason}` });
      return false;
    }
  }

  /** Starts the application and stays with it to its end; gives how long it ran. */
  async #runOnce(): Promise<number> {
    const { spec, replicaFolder, signal, findPort = findFreePort } = this.#options;
    const port = await findPort(this.#wantedPort);
    const started = performance.now();
    const app = await startApp({
      spec,
      replicaFolder,
      isBoxed: this.#state.sandbox === 'bubblewrap',
      port,
      log: this.#log,
    });
    await this.#update({ app: app.identity, port });

    const over = new AbortController();
    const ended = app.ended.finally(() => over.abort());
    const stopping = AbortSignal.any([signal, over.signal]);
    const isPortTaken = await this.#watchHealth(app, port, stopping);
    if (isPortTaken || signal.aborted) await app.stop(timing.stopMs);
    const reason = await ended;
    if (signal.aborted) return 0;

    // A replica that never got healthy may have lost its port to another program: the next start tries another one.
    this.#wantedPort = this.#state.status === 'starting' ? undefined : port;
    const error = isPortTaken ? `another program took port ${port}` : reason;
    await this.#log.note(isPortTaken ? `${error}; starting again on another one` : `${error}; starting it again`);
    const status = this.#state.hasBeenHealthy ? 'unhealthy' : 'starting';
    await this.#update({
      status,
      app: undefined,
      port: undefined,
      error,
      restarts: this.#state.restarts + (isPortTaken ? 0 : 1),
    });
    return performance.now() - started;
  }

  /** Until the application ends or shall end; true when it must move to another port. */
  async #watchHealth(app: AppProcess, port: number, signal: AbortSignal): Promise<boolean> {
    let failures = 0;
    let sightings = 0;
    while (!signal.aborted) {
      const checkup = await checkHealth(app.identity, port, this.#options.spec.health);
      if (isOver(signal)) break;
      sightings = checkup.type === 'port-taken' ? sightings + 1 : 0;
      if (sightings >= sightingsUntilTaken) return true;
      failures = checkup.type === 'healthy' ? 0 : failures + 1;
      await this.#report(checkup, failures);
      const pauseMs = this.#state.status === 'healthy' ? timing.laterCheckMs : timing.firstCheckMs;
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
    return false;
  }

  async #report(checkup: Checkup, failures: number): Promise<void> {
    if (checkup.type === 'healthy') await this.#update({ status: 'healthy', hasBeenHealthy: true, error: undefined });
    if (checkup.type !== 'unhealthy') return;
    const isDown = this.#state.status === 'healthy' && failures >= failuresUntilUnhealthy;
    await this.#update({ error: checkup.reason, ...(isDown && { status: 'unhealthy' as const }) });
  }

  async #update(change: { readonly [Key in keyof ReplicaState]?: ReplicaState[Key] | undefined }): Promise<void> {
    const next: ReplicaState = { ...this.#state, ...change } as ReplicaState;
    if (JSON.stringify(next) === JSON.stringify(this.#state) && change.sandbox === undefined) return;
    if (next.status !== this.#state.status)
      this.#options.logger.info({ status: next.status, error: next.error }, 'the replica changed');
    this.#state = next;
    await writeReplicaState(this.#options.replicaFolder, next);
  }
}

/** A call, since the compiler takes an abort between two statements for impossible. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}
