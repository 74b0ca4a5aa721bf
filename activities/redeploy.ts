// I5: what is deployed again is what has run: the artifact and the template by digest, and the settings of that release's row.
import { DomainError } from '../src/core/errors.ts';
import type { DeployStackTask } from '../src/core/graph/graph.ts';
import type { CompiledPlan } from '../src/core/plan/plan.ts';
import type { Template } from '../src/core/template/template.ts';
import type { Environment, Release } from '../src/ports/store.ts';
import { readPlan } from './compiled-plan.ts';
import type { Room } from './dependencies.ts';
import { makeReleaseConfig } from './release-config.ts';
import type { ReleaseConfig } from './release-config.ts';

interface Deploy {
  readonly deploy: Pick<DeployStackTask, 'redeploy'>;
  readonly template: Template;
  readonly plan: CompiledPlan;
  readonly environment: Environment;
}

/** What a deploy will run with, also as its gate shows it. Throws `release-unknown`. */
export async function findReleaseConfig(
  room: Room,
  { deploy: { redeploy }, template, plan, environment }: Deploy,
): Promise<ReleaseConfig> {
  if (redeploy === undefined) return makeReleaseConfig(template, plan, environment);
  const former = await room.store.releases.get(environment.application, environment.name, redeploy.release);
  if (former !== undefined) return former.config;
  throw new DomainError('release-unknown', `environment ${environment.name} has no release ${redeploy.release}`);
}

/** Another deploy may have come first: scaling the release of before would take that one back. */
export function guardScale({ name, liveRelease }: Environment, { redeploy }: Pick<DeployStackTask, 'redeploy'>): void {
  if (redeploy?.replicas === undefined || redeploy.release === liveRelease) return;
  throw new DomainError(
    'deploy-refused',
    `release ${redeploy.release} was to be scaled and is not live in ${name} any more; ask again with: loam scale`,
  );
}

export function describeRedeploy({ redeploy }: Pick<DeployStackTask, 'redeploy'>): string {
  return redeploy === undefined ? '' : `which is release ${redeploy.release} again, `;
}

/** Of a scale; from the release's row alone, whoever goes on with it. */
export async function findReplicas(room: Room, { planDigest, task }: Release): Promise<number | undefined> {
  const { graph } = await readPlan(room, planDigest);
  const deploy = graph.tasks.find(({ name }) => name === task);
  return deploy?.type === 'deploy_stack' ? deploy.redeploy?.replicas : undefined;
}
