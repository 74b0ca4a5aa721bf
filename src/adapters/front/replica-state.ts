import path from 'node:path';
import { z } from 'zod';
import { readJson, writeJson } from './json-file.ts';
import { ProcessIdentity } from '../host/process-identity.ts';

/** What a keeper says about its replica; the front and the target read it. */
export const ReplicaState = z.object({
  status: z.enum(['starting', 'healthy', 'unhealthy', 'stopped']),
  keeper: ProcessIdentity,
  /** Undefined while the application does not run. */
  app: ProcessIdentity.optional(),
  port: z.int().optional(),
  /** How often the application ended by itself and was started again. */
  restarts: z.int(),
  /** Was it healthy at least once under this keeper? */
  hasBeenHealthy: z.boolean(),
  /** The artifact or the host cannot run it: starting again would not help. */
  isHopeless: z.boolean(),
  sandbox: z.enum(['bubblewrap', 'none']),
  /** Why it is not healthy. */
  error: z.string().optional(),
});
export type ReplicaState = Readonly<z.infer<typeof ReplicaState>>;

export function stateFile(replicaFolder: string): string {
  return path.join(replicaFolder, 'state.json');
}

export function readReplicaState(replicaFolder: string): Promise<ReplicaState | undefined> {
  return readJson(stateFile(replicaFolder), ReplicaState);
}

export function writeReplicaState(replicaFolder: string, state: ReplicaState): Promise<void> {
  return writeJson(stateFile(replicaFolder), state);
}
