import { realpathSync } from 'node:fs';
import path from 'node:path';
import type { ApplicationName, EnvironmentName } from '../../../core/model/ids.ts';
import type { Logger } from '../../../ports/logger.ts';
import type { SecretBox } from '../../../ports/secret.ts';
import type { Health, ReleaseReference, ReleaseSpec, Target } from '../../../ports/target.ts';
import { checkSpec } from '../../front/check-spec.ts';
import type { DaemonPrograms } from '../../front/daemon.ts';
import { FrontControl, urlOf } from '../../front/front-control.ts';
import { environmentFolder } from '../../front/layout.ts';
import { listReleaseNames } from './release-file.ts';
import { Releases } from './releases.ts';
import type { TargetStatus } from './target-status.ts';
import { readStatus } from './target-status.ts';
import { nodePrefixes } from './tool-prefix.ts';

export interface ProcessTargetOptions {
  readonly dataFolder: string;
  /** Undefined: applications run as plain processes, which is said in their state and log. */
  readonly bwrapPath: string | undefined;
  readonly secretBox: SecretBox;
  /** The Node that runs front and keepers, and that applications find on their PATH. */
  readonly nodePath: string;
  /** Folder of front.ts and keeper.ts. */
  readonly mainFolder: string;
  readonly logger: Logger;
  /** More installations that applications may use: folders with a `bin`. */
  readonly toolPrefixes?: readonly string[];
}

/**
 * Releases as local processes. Front and keepers are daemons that outlive whoever started them; all that this class knows lies on disk, so several processes
 * may use it on one data folder, and each method may be repeated after a crash in its middle.
 */
export class ProcessTarget implements Target {
  readonly kind = 'process';
  readonly #data: string;
  readonly #front: FrontControl;
  readonly #releases: Releases;
  readonly #logger: Logger;

  constructor(options: ProcessTargetOptions) {
    this.#data = path.resolve(options.dataFolder);
    this.#logger = options.logger;
    const programs: DaemonPrograms = options;
    const toolPrefixes = [...nodePrefixes(realpathSync(options.nodePath)), ...(options.toolPrefixes ?? [])];
    this.#front = new FrontControl(this.#data, programs, this.kind);
    this.#releases = new Releases({
      data: this.#data,
      programs,
      secretBox: options.secretBox,
      bwrapPath: options.bwrapPath,
      toolPrefixes,
    });
  }

  async start(spec: ReleaseSpec, signal: AbortSignal): Promise<void> {
    checkSpec(spec);
    await this.#front.claimPort(spec.reference, spec.frontPort, signal);
    await this.#releases.start(spec, signal);
    this.#logger.info({ ...spec.reference, replicas: spec.replicas }, 'a release was started');
  }

  awaitHealthy(
    reference: ReleaseReference,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<Health> {
    return this.#releases.awaitHealthy(reference, options);
  }

  async switchTo(reference: ReleaseReference): Promise<{ readonly url: string }> {
    const { replicas, frontPort } = await this.#releases.describe(reference);
    await this.#front.switchTo(reference, { replicas, port: frontPort });
    this.#logger.info({ ...reference, frontPort }, 'the front was switched');
    return { url: urlOf(frontPort) };
  }

  async retire(reference: ReleaseReference, drainMs: number): Promise<void> {
    await this.#front.refuseLive(reference);
    await this.#front.drain(reference, drainMs);
    await this.#releases.remove(reference);
    await this.#front.releasePorts(reference);
  }

  live(application: ApplicationName, environment: EnvironmentName): Promise<ReleaseReference | undefined> {
    return this.#front.live(application, environment);
  }

  socketPath(frontPort: number): string {
    return this.#front.socketPath(frontPort);
  }

  async list(application: ApplicationName, environment: EnvironmentName): Promise<readonly ReleaseReference[]> {
    const names = await listReleaseNames(environmentFolder(this.#data, application, environment));
    return names.map((name) => ({ application, environment, ...name }));
  }

  /**
   * Brings back what shall live: the front, and the keepers of every live release that do not run. After a kill -9 of any of them, after a reboot. Does nothing
   * to what runs; may run at any time, also concurrently with deploys. One release that cannot be started does not keep the others down: gives what failed.
   */
  async restore(): Promise<readonly { readonly reference: ReleaseReference; readonly reason: string }[]> {
    const routes = await this.#front.readRoutes();
    if (routes.length > 0) await this.#front.ensure();
    const failures: { readonly reference: ReleaseReference; readonly reason: string }[] = [];
    for (const { application, environment, live } of routes) {
      if (live === undefined || live.published !== undefined) continue;
      const reference = { application, environment, release: live.release, fence: live.fence };
      try {
        await this.#releases.ensureKeepers(reference);
      } catch (error) {
        if (!(await this.#isLive(reference))) continue; // a deploy replaced it meanwhile
        const reason = error instanceof Error ? error.message : String(error);
        this.#logger.error({ ...reference, reason }, 'a live release cannot be started again');
        failures.push({ reference, reason });
      }
    }
    return failures;
  }

  async #isLive({ application, environment, release, fence }: ReleaseReference): Promise<boolean> {
    const live = await this.live(application, environment);
    return live?.release === release && live.fence === fence;
  }

  /** Ends the front and every application. What is live stays recorded: `restore` brings it back. */
  async down(): Promise<void> {
    await this.#front.end();
    await this.#releases.endAll();
  }

  status(): Promise<TargetStatus> {
    return readStatus(this.#data);
  }
}

export function createProcessTarget(options: ProcessTargetOptions): ProcessTarget {
  return new ProcessTarget(options);
}
