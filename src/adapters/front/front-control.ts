import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../core/errors.ts';
import type { ApplicationName, EnvironmentName } from '../../core/model/ids.ts';
import type { ReleaseReference, Target } from '../../ports/target.ts';
import { ensureFront } from './daemon.ts';
import type { DaemonPrograms } from './daemon.ts';
import { askFront } from './front-client.ts';
import type { FrontStatus } from './front-status.ts';
import { Route, readRoutes } from './route.ts';
import { releaseKey } from './upstreams.ts';
import { readJson, writeJson } from './json-file.ts';
import { frontFile, frontFolder, portSocketName, releaseName, routeFile, routesFolder } from './layout.ts';
import { endProcess, ProcessIdentity } from '../host/process-identity.ts';

const acknowledgeMs = 10_000;
const pollMs = 25;
const endMs = 15_000;

/** The target's side of the front: writes route files, starts the daemon, hears what it says. */
export class FrontControl {
  readonly #data: string;
  readonly #programs: DaemonPrograms;
  readonly #kind: Target['kind'];

  constructor(data: string, programs: DaemonPrograms, kind: Target['kind']) {
    this.#kind = kind;
    this.#data = path.resolve(data);
    this.#programs = programs;
  }

  ensure(): Promise<FrontStatus> {
    return ensureFront(this.#data, this.#programs);
  }

  readRoute(application: string, environment: string): Promise<Route | undefined> {
    return readJson(routeFile(this.#data, application, environment), Route);
  }

  readRoutes(): Promise<readonly Route[]> {
    return readRoutes(this.#data);
  }

  /** What the front serves now. */
  async live(application: ApplicationName, environment: EnvironmentName): Promise<ReleaseReference | undefined> {
    const live = (await this.readRoute(application, environment))?.live;
    return live === undefined ? undefined : { application, environment, release: live.release, fence: live.fence };
  }

  /** Leads to the same place as the port. */
  socketPath(port: number): string {
    return path.join(frontFolder(this.#data), portSocketName(port));
  }

  /** Listens on the port before there is anything to serve, so that a port which is taken fails the deploy at its beginning. */
  async claimPort(reference: ReleaseReference, port: number, signal: AbortSignal): Promise<void> {
    const before = await this.readRoute(reference.application, reference.environment);
    this.#refuseOther(reference, before);
    signal.throwIfAborted();
    if (before?.ports.includes(port) !== true) {
      await this.#write({
        ...placeOf(reference),
        ports: [...(before?.ports ?? []), port],
        ...(before?.live && { live: before.live }),
      });
    }
    await this.ensure();
    try {
      await this.#awaitListening(reference, port);
    } catch (error) {
      if (before?.ports.includes(port) !== true) await this.#dropPort(reference, port);
      throw error;
    }
  }

  /** Returns when every new request goes to this release. */
  async switchTo(
    reference: ReleaseReference,
    shape: Pick<NonNullable<Route['live']>, 'replicas' | 'port' | 'published'>,
  ): Promise<void> {
    const { release, fence } = reference;
    const { port } = shape;
    await this.#write({ ...placeOf(reference), ports: [port], live: { release, fence, ...shape } });
    await this.ensure();
    await this.#awaitListening(reference, port, releaseName(reference));
  }

  async refuseLive(reference: ReleaseReference): Promise<void> {
    const route = await this.readRoute(reference.application, reference.environment);
    if (route?.live === undefined || releaseKey(reference, route.live) !== releaseKey(reference, reference)) return;
    throw new DomainError(
      'internal',
      `release ${reference.release} serves ${nameOf(reference)} now and cannot be retired`,
    );
  }

  /** Waits for the requests that the front still has open to this release. */
  async drain(reference: ReleaseReference, drainMs: number): Promise<void> {
    const end = performance.now() + drainMs;
    while (performance.now() < end) {
      const open = (await askFront(this.#data))?.open[releaseKey(reference, reference)] ?? 0;
      if (open === 0) return;
      await delay(pollMs);
    }
  }

  /** A release that never went live may have asked for another port. */
  async releasePorts(reference: ReleaseReference): Promise<void> {
    const route = await this.readRoute(reference.application, reference.environment);
    if (route?.live === undefined || route.ports.length < 2) return;
    await this.#write({ ...route, ports: [route.live.port] });
  }

  async end(): Promise<void> {
    const identity = (await askFront(this.#data))?.process ?? (await readJson(frontFile(this.#data), ProcessIdentity));
    await endProcess(identity, endMs);
  }

  /** What another target serves there would never be ended. */
  #refuseOther(reference: ReleaseReference, route: Route | undefined): void {
    const kind = route?.live?.published === undefined ? 'process' : 'docker';
    if (route?.live === undefined || kind === this.#kind) return;
    throw new DomainError(
      'deploy-refused',
      `release ${route.live.release} of ${nameOf(reference)} serves from ${kind}, so nothing can be deployed there to ${this.#kind}: register another environment for it`,
    );
  }

  async #dropPort(reference: ReleaseReference, port: number): Promise<void> {
    const route = await this.readRoute(reference.application, reference.environment);
    if (route !== undefined) await this.#write({ ...route, ports: route.ports.filter((one) => one !== port) });
  }

  async #write(route: Route): Promise<void> {
    await mkdir(routesFolder(this.#data), { recursive: true });
    await writeJson(routeFile(this.#data, route.application, route.environment), route);
  }

  async #awaitListening(reference: ReleaseReference, port: number, live?: string): Promise<void> {
    const end = performance.now() + acknowledgeMs;
    for (;;) {
      const entry = (await askFront(this.#data))?.ports.find((one) => one.port === port);
      if (entry !== undefined) refuseTaken(entry, reference);
      if (entry !== undefined && (live === undefined || entry.live === live)) return;
      if (performance.now() > end) {
        throw new DomainError(
          'internal',
          `the front did not take the route of ${nameOf(reference)}; see processes/front.log`,
        );
      }
      await delay(pollMs);
    }
  }
}

export function urlOf(frontPort: number): string {
  return `http://127.0.0.1:${frontPort}`;
}

function refuseTaken(entry: FrontStatus['ports'][number], reference: ReleaseReference): void {
  const { port, error, application, environment } = entry;
  const isOurs = application === reference.application && environment === reference.environment;
  if (!isOurs) throw portTaken(port, `${application} in ${environment}`);
  if (error === 'EADDRINUSE') throw portTaken(port, 'another program');
  if (error !== undefined)
    throw new DomainError('deploy-refused', `the front cannot listen on 127.0.0.1:${port}: ${error}`);
}

function portTaken(port: number, owner: string): DomainError {
  return new DomainError(
    'deploy-refused',
    `port ${port} of 127.0.0.1 is taken by ${owner}: free it, or give the environment another port`,
    { details: { port } },
  );
}

function placeOf({ application, environment }: ReleaseReference): Pick<Route, 'application' | 'environment'> {
  return { application, environment };
}

function nameOf({ application, environment }: ReleaseReference): string {
  return `${application} in ${environment}`;
}
