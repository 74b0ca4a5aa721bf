import { Agent } from 'node:http';
import { stat } from 'node:fs/promises';
import { releaseFolder, releaseName, replicaFolder } from './layout.ts';
import { readReplicaState, stateFile } from './replica-state.ts';
import { whyUnhealthy } from './health.ts';
import type { Route } from './route.ts';

export interface Upstream {
  readonly port: number;
  readonly isHealthy: boolean;
}

interface Replica {
  readonly upstream: Upstream | undefined;
  refresh(): Promise<void>;
}

/** The release that an environment's front serves, and the requests that are open to it. */
export class LiveRelease {
  readonly key: string;
  readonly live: NonNullable<Route['live']>;
  readonly agent = new Agent({ keepAlive: true, maxFreeSockets: 64, keepAliveMsecs: 1000 });
  readonly #replicas: readonly Replica[];
  #turn = 0;
  #open = 0;
  #isRemoved = false;

  constructor(data: string, route: Route, live: NonNullable<Route['live']>) {
    this.key = releaseKey(route, live);
    this.live = live;
    const { published } = live;
    const folder = releaseFolder(data, { ...route, ...live });
    this.#replicas =
      published === undefined
        ? Array.from({ length: live.replicas }, (_, index) => new KeptReplica(replicaFolder(folder, index)))
        : published.ports.map((port) => new PublishedReplica(port, published.health));
  }

  get open(): number {
    return this.#open;
  }

  get upstreams(): readonly Upstream[] {
    return this.#replicas.map((replica) => replica.upstream).filter((upstream) => upstream !== undefined);
  }

  /** Looks at what has changed since the last time. */
  async refresh(): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica.refresh()));
  }

  /** Round robin over the healthy replicas; over all that run when none is healthy, since half an answer is better than none. */
  pick(tried: ReadonlySet<number>): Upstream | undefined {
    const all = this.upstreams;
    const healthy = all.filter((upstream) => upstream.isHealthy);
    const candidates = healthy.length > 0 ? healthy : all;
    const fresh = candidates.filter((upstream) => !tried.has(upstream.port));
    const choice = fresh.length > 0 ? fresh : candidates;
    return choice[this.#turn++ % choice.length];
  }

  /** Counts one request as open until the returned function is called. */
  begin(): () => void {
    this.#open += 1;
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      this.#open -= 1;
      this.#closeWhenIdle();
    };
  }

  /** No new request comes; idle connections to the application are closed once the last request has ended, so that it can end too. */
  remove(): void {
    this.#isRemoved = true;
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (this.#isRemoved && this.#open === 0) this.agent.destroy();
  }
}

/** A process, as its keeper describes it. */
class KeptReplica implements Replica {
  readonly #folder: string;
  #version = '';
  upstream: Upstream | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async refresh(): Promise<void> {
    const version = await versionOf(stateFile(this.#folder));
    if (version === this.#version) return;
    const state = await readReplicaState(this.#folder);
    this.#version = version;
    this.upstream =
      state?.app === undefined || state.port === undefined
        ? undefined
        : { port: state.port, isHealthy: state.status === 'healthy' };
  }
}

const checkEveryMs = 1_000;

/** A container behind a fixed port: nobody but the front looks at its health once it is live. It was well when it was switched to. */
class PublishedReplica implements Replica {
  readonly #health: string;
  #nextCheckMs = performance.now() + checkEveryMs;
  upstream: Upstream;

  constructor(port: number, health: string) {
    this.upstream = { port, isHealthy: true };
    this.#health = health;
  }

  /** Awaits no answer: one that hangs must not keep the other routes. */
  refresh(): Promise<void> {
    if (performance.now() >= this.#nextCheckMs) void this.#check();
    return Promise.resolve();
  }

  async #check(): Promise<void> {
    this.#nextCheckMs = Infinity;
    const { port } = this.upstream;
    this.upstream = { port, isHealthy: (await whyUnhealthy(port, this.#health)) === undefined };
    this.#nextCheckMs = performance.now() + checkEveryMs;
  }
}

export function releaseKey(
  place: { readonly application: string; readonly environment: string },
  live: { readonly release: number; readonly fence: number },
): string {
  return `${place.application}/${place.environment}/${releaseName(live)}`;
}

/** Changes with each rename onto the file. */
async function versionOf(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  return found === undefined ? 'absent' : `${found.ino}-${found.mtimeNs}`;
}
