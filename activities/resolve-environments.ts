// What a plan asks of the service's environments. The plan itself protects nothing and registers nothing (I4).
import { DomainError } from '../src/core/errors.ts';
import { whyBranchRefused } from '../src/core/gate/branch-rule.ts';
import type { ApplicationName, EnvironmentName } from '../src/core/model/ids.ts';
import type { CompiledPlan } from '../src/core/plan/plan.ts';
import type { Trust } from '../src/ports/credential-store.ts';
import type { Application, Environment } from '../src/ports/store.ts';
import type { Room } from './dependencies.ts';
import { findPlanEnvironment, trustOf } from './release-config.ts';
import { providerOf } from './trust-token.ts';

interface Admission {
  readonly application: Application;
  readonly compiled: CompiledPlan;
  readonly ref: string;
}

/** Registers what may be registered by itself and answers warnings; throws when the run cannot reach the places that its plan names. */
export async function admitEnvironments(
  room: Room,
  { application, compiled, ref }: Admission,
): Promise<readonly string[]> {
  const names = namesOf(compiled);
  const found = await Promise.all(names.map((name) => room.store.environments.get(application.name, name)));
  const missing = names.filter((_, index) => found[index] === undefined);
  const refused = missing.filter((name) => !mayRegister(application, compiled, name));
  if (refused.length > 0) throw unregistered(application.name, refused);

  const refusals = found.flatMap((environment) =>
    environment === undefined ? [] : (whyBranchRefused(environment, ref) ?? []),
  );
  if (refusals.length > 0) throw new DomainError('deploy-refused', refusals.join('; '));

  for (const name of missing) await room.store.environments.put(application.name, name, { target: 'process' });
  return [
    ...missing.map(
      (name) =>
        `environment ${name} was not registered: it is now, on this machine and unprotected; change it with: loam env put ${application.name} ${name}`,
    ),
    ...found.flatMap((environment) => (environment === undefined ? [] : otherTarget(compiled, environment))),
  ];
}

/** Environments that the graph touches, in its order. */
function namesOf({ graph }: CompiledPlan): readonly EnvironmentName[] {
  const names = graph.tasks.flatMap((task) =>
    task.type === 'deploy_stack' || task.type === 'approval' ? [task.environment] : [],
  );
  return [...new Set(names)];
}

function mayRegister(application: Application, compiled: CompiledPlan, name: EnvironmentName): boolean {
  return application.local && findPlanEnvironment(compiled, name)?.compute === 'process';
}

function unregistered(application: ApplicationName, names: readonly EnvironmentName[]): DomainError {
  const commands = names.map((name) => `loam env put ${application} ${name}`);
  return new DomainError(
    'environment-unregistered',
    `not registered: ${names.join(', ')}; register with: ${commands.join('; ')}`,
    {
      details: { environments: names },
    },
  );
}

/** The service says where an environment is, the plan only expects it. */
function otherTarget(compiled: CompiledPlan, { name, target }: Environment): readonly string[] {
  const planned = findPlanEnvironment(compiled, name)?.compute;
  if (planned === undefined || planned === target) return [];
  return [`environment ${name} is registered for ${target}, the plan says ${planned}: ${target} counts`];
}

/** Those that a keeper has to keep. */
export function keptTrusts(trusts: readonly Trust[]): readonly string[] {
  return trusts.flatMap(({ name, provider }) => (provider === 'static' ? [] : [name]));
}

/** A run that may live longer than its trust is told before it begins. */
export function warnOfTrustEnds(room: Room, compiled: CompiledPlan, trusts: readonly Trust[]): readonly string[] {
  const longestMs = compiled.graph.tasks.reduce((sum, { timeoutMs }) => sum + timeoutMs, 0);
  return trusts.flatMap((trust) => {
    const endsAtMs = providerOf(room, trust).endsAtMs(trust.settings);
    if (endsAtMs === undefined || endsAtMs > room.clock.nowMs() + longestMs) return [];
    const end = new Date(endsAtMs).toISOString();
    return [`trust ${trust.name} ends at ${end}: a later deploy waits until a person has reconnected it`];
  });
}

/** Trusts of the environments that are deployed to. Throws `trust-unknown` for a name that is not registered. */
export async function readTrusts(
  room: Room,
  application: ApplicationName,
  compiled: CompiledPlan,
): Promise<readonly Trust[]> {
  const deployed = compiled.graph.tasks.flatMap((task) => (task.type === 'deploy_stack' ? [task.environment] : []));
  const trusts = new Set<string>();
  for (const name of new Set(deployed)) {
    const environment = await room.store.environments.get(application, name);
    const trust = trustOf(environment, compiled, name);
    if (trust !== undefined) trusts.add(trust);
  }
  const known = await Promise.all([...trusts].map(async (name) => ({ name, row: await room.store.trusts.get(name) })));
  const unknown = known.filter(({ row }) => row === undefined).map(({ name }) => name);
  if (unknown.length === 0) return known.flatMap(({ row }) => row ?? []);
  throw new DomainError(
    'trust-unknown',
    `not registered: ${unknown.join(', ')}; register with: loam trust put ${unknown.join(' ')}`,
  );
}
