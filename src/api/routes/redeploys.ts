// Rollback and scale: runs of a plan that Loam makes itself, of a release that there was.
import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { Redeploy } from '../../core/graph/graph.ts';
import type { ApplicationName, EnvironmentName } from '../../core/model/ids.ts';
import type { CompiledPlan } from '../../core/plan/plan.ts';
import { makeRedeployPlan } from '../../core/plan/redeploy-plan.ts';
import { canonicalJson } from '../../core/template/canonical-json.ts';
import type { Environment, Release, RunPlan, RunRow } from '../../ports/store.ts';
import { TriggerAnswer } from '../delivery-view.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { askedBy, receiveManual } from '../manual-delivery.ts';
import type { AskedBy } from '../manual-delivery.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { ApplicationNameText, EnvironmentNameText } from '../fields.ts';

const maxReplicas = 20;

export function redeployRoutes(dependencies: RouteDependencies): readonly Route[] {
  const params = z.object({ application: ApplicationNameText, environment: EnvironmentNameText });
  const path = '/v1/applications/{application}/environments/{environment}';
  return [
    defineRoute({
      method: 'post',
      path: `${path}/rollback`,
      access: 'developer',
      scope: 'environment',
      recorded: ['release'],
      summary: 'Starts a run that deploys an earlier release once more; without a number the one that was live before',
      status: 202,
      params,
      body: z.strictObject({ release: z.int().min(1).max(999_999_999).optional() }),
      answer: TriggerAnswer,
      handle: async ({ params, body, caller, request }) => {
        const place = await findPlace(dependencies, params);
        const release = findFormer(place, body.release);
        const message = `Roll ${params.environment} back to release ${release.number}`;
        const wanted = { release, redeploy: { release: release.number }, message };
        return startRedeploy(dependencies, place, wanted, askedBy(request, caller()));
      },
    }),
    defineRoute({
      method: 'post',
      path: `${path}/scale`,
      access: 'developer',
      scope: 'environment',
      recorded: ['replicas'],
      summary: 'Starts a run that deploys the live release with another number of replicas',
      status: 202,
      params,
      body: z.strictObject({ replicas: z.int().min(1).max(maxReplicas) }),
      answer: TriggerAnswer,
      handle: async ({ params, body: { replicas }, caller, request }) => {
        const place = await findPlace(dependencies, params);
        const release = findLive(place, replicas);
        const message = `Scale ${params.environment} to ${replicas}`;
        const wanted = { release, redeploy: { release: release.number, replicas }, message };
        return startRedeploy(dependencies, place, wanted, askedBy(request, caller()));
      },
    }),
  ];
}

interface Place {
  readonly environment: Environment;
  /** Newest first. */
  readonly releases: readonly Release[];
}

async function findPlace(
  { store }: RouteDependencies,
  { application, environment: name }: { readonly application: ApplicationName; readonly environment: EnvironmentName },
): Promise<Place> {
  const environment = await store.environments.get(application, name);
  if (environment === undefined)
    throw new DomainError('environment-unknown', `There is no environment "${name}" of ${application}`);
  return { environment, releases: await store.releases.list(application, name) };
}

function findFormer({ environment, releases }: Place, number: number | undefined): Release {
  const { name, liveRelease } = environment;
  const formers = releases.filter((one) => one.liveAtMs !== undefined && one.number !== liveRelease);
  if (number !== undefined && number === liveRelease)
    throw new DomainError('deploy-refused', `Release ${number} is live in ${name} already`);
  if (number === undefined) {
    const [last] = formers.toSorted((one, other) => (other.liveAtMs ?? 0) - (one.liveAtMs ?? 0));
    if (last !== undefined) return last;
    throw new DomainError('release-unknown', `Nothing was live in ${name} before: there is nothing to go back to`);
  }
  const release = formers.find((one) => one.number === number);
  if (release !== undefined) return release;
  const other = releases.find((one) => one.number === number);
  const why = other === undefined ? 'does not exist' : `was never live (${other.status})`;
  const known = formers.slice(0, 10).map((one) => String(one.number));
  const others = known.length === 0 ? 'none was live before' : `these were live before: ${known.join(', ')}`;
  throw new DomainError('release-unknown', `Release ${number} of ${name} ${why}; ${others}`);
}

function findLive({ environment: { name, liveRelease, replicas: now }, releases }: Place, replicas: number): Release {
  const live = releases.find(({ number }) => number === liveRelease);
  if (live === undefined)
    throw new DomainError('release-unknown', `Nothing is live in ${name}: a run that deploys there comes first`);
  if (replicas !== now) return live;
  throw new DomainError('deploy-refused', `Release ${live.number} runs with ${now} replicas in ${name} already`);
}

async function startRedeploy(
  dependencies: RouteDependencies,
  { environment }: Place,
  { release, redeploy, message }: { readonly release: Release; readonly redeploy: Redeploy; readonly message: string },
  asked: AskedBy,
): Promise<TriggerAnswer> {
  const { logger } = dependencies;
  await needBlobs(dependencies, environment, release);
  const { ref, plan } = await makeRunPlan(dependencies, environment, release, redeploy);
  const wanted = { ref, after: release.commit, message, author: asked.by, plan };
  const answer = await receiveManual(dependencies, environment.application, asked, wanted);
  const { application, name } = environment;
  logger.info({ application, environment: name, ...redeploy, by: asked.by, run: answer.run }, 'redeploy asked for');
  return answer;
}

/** Said now, not when the deploy has waited for its lock: what it needs is gone. An image is no blob: the engine that starts it says whether it has it. */
async function needBlobs(
  { blobs }: RouteDependencies,
  { target }: Environment,
  { number, image, template }: Release,
): Promise<void> {
  try {
    await blobs.file(template);
    if (target === 'process' && image !== undefined) await blobs.file(image);
  } catch (error) {
    if (!(error instanceof DomainError) || error.code !== 'blob-missing') throw error;
    const message = `What release ${number} was made of is no longer stored; run its commit again with: loam trigger --commit`;
    throw new DomainError('artifact-invalid', message, { cause: error });
  }
}

async function makeRunPlan(
  { store, blobs }: RouteDependencies,
  environment: Environment,
  release: Release,
  redeploy: Redeploy,
): Promise<{ readonly ref: string; readonly plan: RunPlan }> {
  const made = JSON.parse(new TextDecoder().decode(await blobs.read(release.planDigest))) as CompiledPlan;
  const { ref, snapshot } = await readMaker(store, release);
  const plan = makeRedeployPlan(made, release, { redeploy, isProtected: environment.protected });
  const { digest: planDigest } = await blobs.put(canonicalJson(plan));
  return { ref, plan: { planDigest, snapshot, tasks: plan.graph.tasks.map(({ name, type }) => ({ name, type })) } };
}

/** The run that made the release: its branch is what the environment's rules are about. */
async function readMaker(
  { runs }: RouteDependencies['store'],
  { run, number }: Release,
): Promise<{ readonly ref: RunRow['ref']; readonly snapshot: RunPlan['snapshot'] }> {
  const row = await runs.get(run);
  if (row?.snapshot !== undefined) return { ref: row.ref, snapshot: row.snapshot };
  throw new DomainError('run-unknown', `The run ${run}, which made release ${number}, is no longer stored`);
}
