import { DomainError } from '../src/core/errors.ts';
import type { Secret } from '../src/ports/secret.ts';
import type { Release } from '../src/ports/store.ts';
import type { ReleaseReference, ReleaseSpec } from '../src/ports/target.ts';
import { findTarget, needArtifact } from './deploy-admission.ts';
import type { Room } from './dependencies.ts';
import { findReplicas } from './redeploy.ts';
import { readTemplate } from './read-template.ts';
import { resolveReleaseConfig } from './release-config.ts';

export function referenceOf({ application, environment, number, fence }: Release): ReleaseReference {
  return { application, environment, release: number, fence };
}

export function isSameRelease(one: ReleaseReference | undefined, other: ReleaseReference): boolean {
  return one?.release === other.release && one.fence === other.fence;
}

/** What the target is given for a release, from its row alone: the same again after a restart of the machine. */
export async function makeReleaseSpec(
  room: Room,
  release: Release,
  trustToken: Secret | undefined,
): Promise<ReleaseSpec> {
  const { application, environment } = release;
  const row = await room.store.environments.get(application, environment);
  if (row === undefined) throw new DomainError('environment-unregistered', `${environment} is not registered`);
  const template = await readTemplate(room, release.template);
  const { start, artifact } = await needArtifact(room, template, findTarget(room, row).kind);
  const visible = await room.store.secrets.values(application, environment);
  const { env, secrets } = resolveReleaseConfig(release.config, visible);
  return {
    reference: referenceOf(release),
    artifact,
    start,
    port: template.port,
    health: template.health,
    replicas: (await findReplicas(room, release)) ?? row.replicas,
    memoryMb: row.memoryMb,
    cpus: row.cpus,
    env: { ...env, LOAM_ENVIRONMENT: environment, LOAM_COMMIT: release.commit },
    secrets,
    trustToken,
    frontPort: row.frontPort,
  };
}
