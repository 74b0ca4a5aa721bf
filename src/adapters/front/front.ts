import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import type { Logger } from '../../ports/logger.ts';
import { routesFolder } from './layout.ts';
import type { ProcessIdentity } from '../host/process-identity.ts';
import type { FrontStatus } from './front-status.ts';
import { listen } from './listeners.ts';
import type { PortListener } from './listeners.ts';
import { Proxy } from './proxy.ts';
import type { Destination } from './proxy.ts';
import { readRoutes } from './route.ts';
import type { Route } from './route.ts';
import { LiveRelease, releaseKey } from './upstreams.ts';

export interface FrontOptions {
  /** Absolute path of the data folder. The working folder must be its `front` folder. */
  readonly data: string;
  readonly process: ProcessIdentity;
  readonly logger: Logger;
  readonly pollMs?: number;
}

interface Place {
  route: Route;
  release: LiveRelease | undefined;
}

interface Port {
  readonly owner: string;
  listener: PortListener;
  error: string | undefined;
}

/**
 * The stable URLs of environments. What is live is decided by the route files alone, so a front that was killed serves the same after its restart, and a
 * switch is the rename of one file: requests that began before it end where they began.
 */
export class Front {
  readonly #options: FrontOptions;
  readonly #proxy: Proxy;
  readonly #places = new Map<string, Place>();
  readonly #ports = new Map<number, Port>();
  /** Releases that lost their route and still have open requests. */
  readonly #draining = new Set<LiveRelease>();
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #applying: Promise<void> = Promise.resolve();
  #isClosing = false;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#proxy = new Proxy(options.logger);
  }

  async start(): Promise<void> {
    await this.apply();
    this.#watcher = watch(routesFolder(this.#options.data), () => void this.apply());
    this.#watcher.on('error', () => undefined); // the poll below sees what the watcher misses
    this.#timer = setInterval(() => void this.apply(), this.#options.pollMs ?? 200);
  }

  /** Reads the route files and what the keepers say, and follows them. Calls are run one after the other. */
  apply(): Promise<void> {
    this.#applying = this.#applying.then(async () => {
      if (this.#isClosing) return;
      try {
        await this.#applyOnce();
      } catch (error) {
        this.#options.logger.error({ error: String(error) }, 'the routes could not be applied');
      }
    });
    return this.#applying;
  }

  status(): FrontStatus {
    const places = [...this.#places.values()];
    const releases = [...this.#draining, ...places.map((place) => place.release).filter((one) => one !== undefined)];
    return {
      process: this.#options.process,
      ports: [...this.#ports].flatMap(([port, { owner, error }]) => {
        const place = this.#places.get(owner);
        if (place === undefined) return [];
        const { application, environment } = place.route;
        const live = place.release?.key.split('/').at(-1);
        const upstreams = [...(place.release?.upstreams ?? [])];
        return [
          {
            port,
            application,
            environment,
            upstreams,
            ...(error !== undefined && { error }),
            ...(live !== undefined && { live }),
          },
        ];
      }),
      open: Object.fromEntries(releases.filter(({ open }) => open > 0).map(({ key, open }) => [key, open])),
    };
  }

  /** Ends after the open requests, at most after `drainMs`. */
  async close(drainMs: number): Promise<void> {
    this.#watcher?.close();
    clearInterval(this.#timer);
    await this.#applying;
    this.#isClosing = true;
    await Promise.all([...this.#ports.values()].map((port) => port.listener.close(drainMs)));
  }

  async #applyOnce(): Promise<void> {
    const routes = await readRoutes(this.#options.data);
    const names = new Set(routes.map(nameOf));
    for (const [name, place] of this.#places) {
      if (names.has(name)) continue;
      this.#drop(place.release);
      this.#places.delete(name);
    }
    for (const route of routes) await this.#followRoute(route);
    for (const release of this.#draining) if (release.open === 0) this.#draining.delete(release);
    await this.#followPorts(routes);
  }

  async #followRoute(route: Route): Promise<void> {
    const name = nameOf(route);
    const place = this.#places.get(name) ?? { route, release: undefined };
    const isSame = route.live !== undefined && place.release?.key === releaseKey(route, route.live);
    const next = isSame ? place.release : route.live && new LiveRelease(this.#options.data, route, route.live);
    await next?.refresh(); // before it gets requests
    if (!isSame) this.#drop(place.release);
    place.route = route;
    place.release = next;
    this.#places.set(name, place);
  }

  #drop(release: LiveRelease | undefined): void {
    release?.remove();
    if (release !== undefined && release.open > 0) this.#draining.add(release);
  }

  async #followPorts(routes: readonly Route[]): Promise<void> {
    const wanted = this.#choosePorts(routes);
    for (const [port, { owner, listener }] of this.#ports) {
      if (wanted.get(port) === owner) continue;
      this.#ports.delete(port);
      void listener.close(60_000); // not awaited: what is open there may take long
    }
    for (const [port, owner] of wanted) {
      const known = this.#ports.get(port);
      if (known === undefined || known.error !== undefined) await this.#listen(port, owner);
    }
  }

  /** A port has one owner: whoever has it already, else the first that asks. */
  #choosePorts(routes: readonly Route[]): ReadonlyMap<number, string> {
    const wanted = new Map<number, string>();
    for (const route of routes) {
      for (const port of route.ports) {
        const isOurs = this.#ports.get(port)?.owner === nameOf(route);
        if (isOurs || !wanted.has(port)) wanted.set(port, nameOf(route));
      }
    }
    return wanted;
  }

  async #listen(port: number, owner: string): Promise<void> {
    const before = this.#ports.get(port)?.error;
    const [application = '', environment = ''] = owner.split('/');
    const destination: Destination = {
      port,
      name: `${application} in ${environment}`,
      release: () => this.#places.get(owner)?.release,
      isClosing: () => this.#isClosing,
    };
    const listener = await listen(destination, this.#proxy);
    this.#ports.set(port, { owner, listener, error: listener.error });
    if (listener.error === before && before !== undefined) return;
    const fields = { port, application, environment, error: listener.error };
    if (listener.error === undefined) this.#options.logger.info(fields, 'the front listens');
    else this.#options.logger.error(fields, 'the front cannot listen');
  }
}

function nameOf(route: Route): string {
  return `${route.application}/${route.environment}`;
}
