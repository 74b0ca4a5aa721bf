import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { KeeperSpec } from './keeper/keeper-spec.ts';
import { parseReleaseName } from '../../front/layout.ts';
import type { ReleaseReference } from '../../../ports/target.ts';
import { readJson } from '../../front/json-file.ts';

export const releaseFileName = 'release.json';

/** What is said in clear about a release on disk; everything that may hold a secret lies beside it, sealed. */
export const ReleaseFile = z.object({
  replicas: z.int().min(1),
  frontPort: z.int().min(1).max(65_535),
  health: z.string(),
});
export type ReleaseFile = Readonly<z.infer<typeof ReleaseFile>>;

/** The sealed part, without what belongs to this host's installation: an upgrade may move bubblewrap and Node. */
export const SealedSpec = KeeperSpec.omit({ bwrapPath: true, toolPrefixes: true });
export type SealedSpec = Readonly<z.infer<typeof SealedSpec>>;

export function readReleaseFile(folder: string): Promise<ReleaseFile | undefined> {
  return readJson(path.join(folder, releaseFileName), ReleaseFile);
}

/** Every folder of a release below an environment's folder, oldest grant first. */
export async function listReleaseNames(
  folder: string,
): Promise<readonly Pick<ReleaseReference, 'release' | 'fence'>[]> {
  const names = await readdir(folder).catch(() => []);
  const found = names.map(parseReleaseName).filter((name) => name !== undefined);
  return found.sort((one, other) => one.fence - other.fence || one.release - other.release);
}

export async function listReplicaFolders(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => /^\d{1,4}$/.test(name))
    .sort((one, other) => Number(one) - Number(other))
    .map((name) => path.join(folder, name));
}
