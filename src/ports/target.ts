import type { ApplicationName, EnvironmentName } from '../core/model/ids.ts';
import type { Secret } from './secret.ts';

/** One release in one environment. The fence is part of its name in the world: the next holder ends what carries an older one (I3). */
export interface ReleaseReference {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  readonly release: number;
  readonly fence: number;
}

export interface ReleaseSpec {
  readonly reference: ReleaseReference;
  /** For `process` the path of a tar on this host, for `docker` the id of an image. */
  readonly artifact: string;
  /** Undefined: what the image starts by itself; a process needs it. */
  readonly start: string | undefined;
  /** What a container listens on; a process is given a port. Undefined: the target's usual one. */
  readonly port: number | undefined;
  readonly health: string;
  readonly replicas: number;
  /** Of each container, in MiB and in cores; undefined: none. A local process has no limit. */
  readonly memoryMb: number | undefined;
  readonly cpus: number | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, Secret>>;
  /** The newest token of the environment's trust, given to the application as a file named by `LOAM_TRUST_TOKEN_FILE`. */
  readonly trustToken: Secret | undefined;
  /** Port of the environment's stable URL. */
  readonly frontPort: number;
}

export type Health =
  | { readonly type: 'healthy' }
  | {
      readonly type: 'unhealthy';
      readonly reason: string;
      /** Last lines that the application wrote. */ readonly output: string;
    };

/** Where environments live. The caller checks the fence before each method that changes the world; each is idempotent and may be repeated after a crash. */
export interface Target {
  readonly kind: 'process' | 'docker';
  /** Find-or-create: starts the release beside what serves now, without giving it traffic. */
  start(spec: ReleaseSpec, signal: AbortSignal): Promise<void>;
  /** Waits until every replica answers its health path from its own process. Abort rejects with the signal's reason. */
  awaitHealthy(
    reference: ReleaseReference,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<Health>;
  /** All new requests go to this release from now on. One atomic step. */
  switchTo(reference: ReleaseReference): Promise<{ readonly url: string }>;
  /** Waits for its open requests (at most `drainMs`), then ends and deletes it. Absent: does nothing. Never ends what the front serves: throws `internal`. */
  retire(reference: ReleaseReference, drainMs: number): Promise<void>;
  /** What the front serves now. */
  live(application: ApplicationName, environment: EnvironmentName): Promise<ReleaseReference | undefined>;
  /** Unix socket of this host that leads to the front's port: what a job is given that reads the environment's URL. */
  socketPath(frontPort: number): string;
  /** Every release of the environment that has a process or a folder. */
  list(application: ApplicationName, environment: EnvironmentName): Promise<readonly ReleaseReference[]>;
}
