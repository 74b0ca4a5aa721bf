import type Docker from 'dockerode';
import { DomainError } from '../../../core/errors.ts';
import type { ApplicationName, EnvironmentName } from '../../../core/model/ids.ts';
import type { Logger } from '../../../ports/logger.ts';
import type { Health, ReleaseReference, ReleaseSpec, Target } from '../../../ports/target.ts';
import { checkSpec } from '../../front/check-spec.ts';
import type { DaemonPrograms } from '../../front/daemon.ts';
import { FrontControl, urlOf } from '../../front/front-control.ts';
import { awaitHealthy } from './container-health.ts';
import { installationOf } from './container-spec.ts';
import { Containers, hostPortOf, isSame } from './containers.ts';
import type { Replica } from './containers.ts';

export interface DockerTargetOptions extends DaemonPrograms {
  readonly engine: Docker;
  readonly dataFolder: string;
  readonly logger: Logger;
}

/**
 * Releases as containers of one engine, behind the same front as local processes. The engine keeps them alive, also when Loam has ended; all that this class knows
 * are labels of containers and the front's routes, so each method may be repeated after a crash in its middle.
 */
export class DockerTarget implements Target {
  readonly kind = 'docker';
  readonly #front: FrontControl;
  readonly #containers: Containers;
  readonly #logger: Logger;
  #told = '[]';

  constructor({ engine, dataFolder, logger, ...programs }: DockerTargetOptions) {
    this.#front = new FrontControl(dataFolder, programs, this.kind);
    this.#containers = new Containers(engine, installationOf(dataFolder));
    this.#logger = logger;
  }

  async start(spec: ReleaseSpec, signal: AbortSignal): Promise<void> {
    checkSpec(spec);
    await this.#front.claimPort(spec.reference, spec.frontPort, signal);
    await this.#containers.start(spec, signal);
    this.#logger.info({ ...spec.reference, replicas: spec.replicas }, 'a release was started');
  }

  awaitHealthy(
    reference: ReleaseReference,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<Health> {
    return awaitHealthy(this.#containers, reference, options);
  }

  async switchTo(reference: ReleaseReference): Promise<{ readonly url: string }> {
    const replicas = await this.#containers.ofRelease(reference);
    const [{ frontPort, health }] = replicas;
    const ports = await Promise.all(replicas.map((replica) => this.#portOf(replica)));
    const published = { ports: ports.filter((port) => port !== undefined), health };
    await this.#front.switchTo(reference, { replicas: replicas.length, port: frontPort, published });
    this.#logger.info({ ...reference, frontPort }, 'the front was switched');
    return { url: urlOf(frontPort) };
  }

  async retire(reference: ReleaseReference, drainMs: number): Promise<void> {
    await this.#front.refuseLive(reference);
    await this.#front.drain(reference, drainMs);
    const all = await this.#containers.list(reference);
    await this.#containers.remove(all.filter((one) => isSame(one.reference, reference)));
    await this.#front.releasePorts(reference);
  }

  live(application: ApplicationName, environment: EnvironmentName): Promise<ReleaseReference | undefined> {
    return this.#front.live(application, environment);
  }

  socketPath(frontPort: number): string {
    return this.#front.socketPath(frontPort);
  }

  async list(application: ApplicationName, environment: EnvironmentName): Promise<readonly ReleaseReference[]> {
    const references = (await this.#containers.list({ application, environment })).map(({ reference }) => reference);
    return references.filter((one, index) => references.findIndex((other) => isSame(one, other)) === index);
  }

  /** Starts the containers of live releases that do not run, after `down`. Gives what failed; an engine that is away starts them itself once it is back. */
  async restore(): Promise<readonly { readonly reference: ReleaseReference; readonly reason: string }[]> {
    const failures: { readonly reference: ReleaseReference; readonly reason: string }[] = [];
    for (const { application, environment, live } of await this.#front.readRoutes()) {
      if (live?.published === undefined) continue;
      const reference = { application, environment, release: live.release, fence: live.fence };
      try {
        const stopped = (await this.#containers.ofRelease(reference)).filter(({ isRunning }) => !isRunning);
        for (const { id } of stopped) await this.#containers.resume(id);
      } catch (error) {
        failures.push({ reference, reason: error instanceof Error ? error.message : String(error) });
      }
    }
    this.#tell(failures);
    return failures;
  }

  /** Ends every container. What is live stays recorded: `restore` brings it back. Where nothing was ever deployed, no engine is needed. */
  async down(): Promise<void> {
    const hasLive = (await this.#front.readRoutes()).some(({ live }) => live?.published !== undefined);
    try {
      await this.#containers.stopAll();
    } catch (error) {
      if (hasLive || !(error instanceof DomainError) || error.code !== 'engine-unavailable') throw error;
    }
  }

  /** Once: `restore` is asked every few seconds. */
  #tell(failures: readonly { readonly reference: ReleaseReference; readonly reason: string }[]): void {
    const text = JSON.stringify(failures);
    if (text === this.#told) return;
    this.#told = text;
    for (const { reference, reason } of failures)
      this.#logger.error({ ...reference, reason }, 'a live release cannot be started again');
  }

  async #portOf({ id }: Replica): Promise<number | undefined> {
    const found = await this.#containers.inspect(id);
    return found === undefined ? undefined : hostPortOf(found);
  }
}

export function createDockerTarget(options: DockerTargetOptions): DockerTarget {
  return new DockerTarget(options);
}
