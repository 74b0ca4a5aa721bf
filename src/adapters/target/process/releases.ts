import { access, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../../core/errors.ts';
import type { SecretBox } from '../../../ports/secret.ts';
import type { Health, ReleaseReference, ReleaseSpec } from '../../../ports/target.ts';
import { ensureKeeper } from './daemons.ts';
import type { DaemonPrograms } from '../../front/daemon.ts';
import { releaseKey } from '../../front/upstreams.ts';
import { writeFileAtomically, writeJson } from '../../front/json-file.ts';
import { readLogTail } from './keeper/app-log.ts';
import { removePlainToken } from './keeper/app-process.ts';
import type { KeeperSpec } from './keeper/keeper-spec.ts';
import { killLeftovers } from './keeper/process-tree.ts';
import { readReplicaState } from '../../front/replica-state.ts';
import type { ReplicaState } from '../../front/replica-state.ts';
import { keptFolder, releaseFolder, releasesFolder, replicaFolder } from '../../front/layout.ts';
import { endProcess, isRunning } from '../../host/process-identity.ts';
import { deleteTree } from '../../host/delete-tree.ts';
import { listReleaseNames, listReplicaFolders, readReleaseFile, releaseFileName, SealedSpec } from './release-file.ts';
import type { ReleaseFile } from './release-file.ts';

export interface ReleasesOptions {
  readonly data: string;
  readonly programs: DaemonPrograms;
  readonly secretBox: SecretBox;
  readonly bwrapPath: string | undefined;
  readonly toolPrefixes: readonly string[];
}

const pollMs = 50;
/** Longer than a keeper gives its application. */
const keeperEndMs = 10_000;
/** An application that ended so often without one healthy answer will not get healthy. */
const crashLimit = 4;

/** Folders and keepers of releases. */
export class Releases {
  readonly #options: ReleasesOptions;

  constructor(options: ReleasesOptions) {
    this.#options = options;
  }

  async start(spec: ReleaseSpec, signal: AbortSignal): Promise<void> {
    await access(spec.artifact).catch((cause: unknown) => {
      throw new DomainError('blob-missing', 'the artifact of the release is not stored on this host', { cause });
    });
    signal.throwIfAborted();
    const folder = this.#folder(spec.reference);
    if ((await readReleaseFile(folder)) === undefined) await this.#write(spec, folder);
    signal.throwIfAborted();
    await this.ensureKeepers(spec.reference);
  }

  /** Starts the keepers that do not run. Safe beside `remove`: what is retired at that moment is not brought back. */
  async ensureKeepers(reference: ReleaseReference): Promise<void> {
    const folder = this.#folder(reference);
    const { replicas } = await this.describe(reference);
    const sealed = await readFile(path.join(folder, sealedName), 'utf8');
    const openSpec = (): KeeperSpec => this.#open(reference, sealed);
    const indexes = Array.from({ length: replicas }, (_, index) => index);
    const started = await Promise.allSettled(
      indexes.map((index) => ensureKeeper(this.#options.programs, replicaFolder(folder, index), openSpec)),
    );
    if ((await readReleaseFile(folder)) === undefined) await this.remove(reference);
    await this.describe(reference);
    for (const result of started) if (result.status === 'rejected') throw result.reason;
  }

  /** Throws when there is no such release on this host. */
  async describe(reference: ReleaseReference): Promise<ReleaseFile> {
    const file = await readReleaseFile(this.#folder(reference));
    if (file !== undefined) return file;
    throw new DomainError('internal', `release ${releaseKey(reference, reference)} is not on this host`);
  }

  async awaitHealthy(
    reference: ReleaseReference,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<Health> {
    const { replicas } = await this.describe(reference);
    const folders = Array.from({ length: replicas }, (_, index) => replicaFolder(this.#folder(reference), index));
    const end = performance.now() + options.timeoutMs;
    for (;;) {
      options.signal.throwIfAborted();
      const states = await Promise.all(folders.map(readReplicaState));
      if (states.every((state) => state?.status === 'healthy' && isRunning(state.keeper))) return { type: 'healthy' };
      const isLate = performance.now() > end;
      const worst = states.findIndex((state) => (isLate ? state?.status !== 'healthy' : isLost(state)));
      if (worst >= 0) return await describeUnhealthy(folders, states, worst, options.timeoutMs);
      // A keeper that was killed meanwhile; one that gave up has been answered above.
      if (states.some((state) => state !== undefined && !isRunning(state.keeper))) await this.ensureKeepers(reference);
      await delay(pollMs, undefined, { signal: options.signal }).catch(() => undefined);
    }
  }

  /** Ends and deletes a release. Absent: does nothing. */
  async remove(reference: ReleaseReference): Promise<void> {
    const folder = this.#folder(reference);
    await rm(path.join(folder, releaseFileName), { force: true }); // from here on nobody starts its keepers
    await this.#end(folder);
    await deleteTree(folder);
  }

  /** Ends every application of this data folder; their folders stay. */
  async endAll(): Promise<void> {
    const root = releasesFolder(this.#options.data);
    const ending: Promise<void>[] = [];
    for (const application of await readdir(root).catch(() => [])) {
      for (const environment of await readdir(path.join(root, application)).catch(() => [])) {
        const place = path.join(root, application, environment);
        const names = await listReleaseNames(place);
        ending.push(...names.map(({ release, fence }) => this.#end(path.join(place, `${release}-${fence}`))));
      }
    }
    await Promise.all(ending);
  }

  async #end(folder: string): Promise<void> {
    const replicas = await listReplicaFolders(folder);
    await Promise.all(
      replicas.map(async (replica) => {
        const state = await readReplicaState(replica);
        if (state !== undefined) await endProcess(state.keeper, keeperEndMs);
        killLeftovers(replica); // of a keeper that was killed
        await removePlainToken(replica);
      }),
    );
  }

  /** The clear part comes last: a release counts as there when it is whole. */
  async #write(spec: ReleaseSpec, folder: string): Promise<void> {
    const { application, environment, release } = spec.reference;
    const sealed: SealedSpec = {
      application,
      environment,
      release,
      artifact: path.resolve(spec.artifact),
      start: startOf(spec),
      health: spec.health,
      env: { ...spec.env },
      secrets: Object.fromEntries(Object.entries(spec.secrets).map(([name, secret]) => [name, secret.reveal()])),
      keptFolder: keptFolder(this.#options.data, application, environment),
      ...(spec.trustToken !== undefined && { trustToken: spec.trustToken.reveal() }),
    };
    await mkdir(folder, { recursive: true });
    const text = this.#options.secretBox.seal(JSON.stringify(sealed), contextOf(spec.reference));
    await writeFileAtomically(path.join(folder, sealedName), text);
    const file: ReleaseFile = { replicas: spec.replicas, frontPort: spec.frontPort, health: spec.health };
    await writeJson(path.join(folder, releaseFileName), file);
  }

  #open(reference: ReleaseReference, sealed: string): KeeperSpec {
    const plain: unknown = JSON.parse(this.#options.secretBox.open(sealed, contextOf(reference)).reveal());
    const { bwrapPath, toolPrefixes } = this.#options;
    return {
      ...SealedSpec.parse(plain),
      toolPrefixes: [...toolPrefixes],
      ...(bwrapPath !== undefined && { bwrapPath }),
    };
  }

  #folder(reference: ReleaseReference): string {
    return releaseFolder(this.#options.data, reference);
  }
}

function startOf({ start }: ReleaseSpec): string {
  if (start !== undefined) return start;
  throw new DomainError('deploy-refused', 'a local process needs a start command');
}

const sealedName = 'spec.sealed';

function contextOf(reference: ReleaseReference): string {
  return `release/${releaseKey(reference, reference)}`;
}

function isLost(state: ReplicaState | undefined): boolean {
  return state !== undefined && (state.isHopeless || (!state.hasBeenHealthy && state.restarts >= crashLimit));
}

async function describeUnhealthy(
  folders: readonly string[],
  states: readonly (ReplicaState | undefined)[],
  worst: number,
  timeoutMs: number,
): Promise<Health> {
  const state = states[worst];
  const which = folders.length === 1 ? '' : `replica ${worst + 1} of ${folders.length}: `;
  const reason = state?.error ?? 'it gave no sign of life';
  const often =
    state !== undefined && isLost(state) && !state.isHopeless ? ` (${state.restarts} times, never healthy)` : '';
  const late = isLost(state) ? '' : `not healthy within ${timeoutMs / 1000} s: `;
  return {
    type: 'unhealthy',
    reason: `${which}${late}${reason}${often}`,
    output: await readLogTail(folders[worst] ?? ''),
  };
}
