import { Agent } from 'node:http';
import { stat } from 'node:fs/promises';
import { releaseFolder, releaseName, replicaFolder } from './layout.ts';
import { readReplicaState, stateFile } from './replica-state.ts';
import type { Route } from './route.ts';

export interface Upstream {
  readonly port: number;
  readonly isHealthy: boolean;
}

interface Replica {
  readonly folder: string;
  version: string;
  upstream: Upstream | undefined;
}

/** The release that an environment's front serves, as its keepers describe it, and the requests that are open to it. */
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
    const folder = releaseFolder(data, { ...route, ...live });
    this.#replicas = Array.from({ length: live.replicas }, (_, index) => ({
      folder: replicaFolder(folder, index),
      version: '',
      upstream: undefined,
    }));
  }

  get open(): number {
    return this.#open;
  }

  get upstreams(): readonly Upstream[] {
    return this.#replicas.map((replica) => replica.upstream).filter((upstream) => upstream !== undefined);
  }

  /** Reads what the keepers wrote since the last time. */
  async refresh(): Promise<void> {
    await Promise.all(
      this.#replicas.map(async (replica) => {
        const version = await versionOf(stateFile(replica.folder));
        if (version === replica.version) return;
        const state = await readReplicaState(replica.folder);
        replica.version = version;
        replica.upstream =
          state?.app === undefined || state.port === undefined
            ? undefined
            : { port: state.port, isHealthy: state.status === 'healthy' };
      }),
    );
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
