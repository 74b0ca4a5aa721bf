import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../../core/errors.ts';
import { daemonPollMs, daemonStartMs, startDaemon } from '../../front/daemon.ts';
import type { DaemonPrograms } from '../../front/daemon.ts';
import { isRunning } from '../../host/process-identity.ts';
import { readReplicaState } from '../../front/replica-state.ts';
import type { ReplicaState } from '../../front/replica-state.ts';
import type { KeeperSpec } from './keeper/keeper-spec.ts';

/** Starts the keeper of a replica unless one runs. Returns when a keeper has the replica. */
export async function ensureKeeper(
  programs: DaemonPrograms,
  replicaFolder: string,
  openSpec: () => KeeperSpec,
): Promise<void> {
  if (await hasKeeper(replicaFolder)) return;
  await mkdir(replicaFolder, { recursive: true });
  const log = path.join(replicaFolder, 'keeper.log');
  const before = await readReplicaState(replicaFolder);
  const input = JSON.stringify(openSpec());
  const daemon = await startDaemon(programs, { file: 'keeper.ts', argument: replicaFolder, log, input });
  const end = performance.now() + daemonStartMs;
  while (performance.now() < end) {
    const state = await readReplicaState(replicaFolder);
    if (state !== undefined && isNew(state, before)) {
      daemon.endUnless(state.keeper.pid);
      return;
    }
    await delay(daemonPollMs);
  }
  throw new DomainError('internal', `the keeper of a replica did not start; its log is ${log}`);
}

export async function hasKeeper(replicaFolder: string): Promise<boolean> {
  const state = await readReplicaState(replicaFolder);
  return state !== undefined && isRunning(state.keeper);
}

function isNew(state: ReplicaState, before: ReplicaState | undefined): boolean {
  const isSame = before?.keeper.pid === state.keeper.pid && before.keeper.startTime === state.keeper.startTime;
  return !isSame || isRunning(state.keeper);
}
