// Keeps I4 (a protected environment demands the decision for exactly these digests, whatever the graph says) and I5 (deployed by digest).
import { DomainError } from '../src/core/errors.ts';
import { whyBranchRefused } from '../src/core/gate/branch-rule.ts';
import type { GateSubject } from '../src/core/gate/gate.ts';
import type { Value } from '../src/core/graph/graph.ts';
import { isDigest } from '../src/core/model/ids.ts';
import type { Digest, RunId, TaskName } from '../src/core/model/ids.ts';
import type { Template } from '../src/core/template/template.ts';
import type { Environment, RunRow } from '../src/ports/store.ts';
import type { Target } from '../src/ports/target.ts';
import type { Room } from './dependencies.ts';
import { resolveValue } from './job-environment.ts';
import { readTemplate } from './read-template.ts';

export interface FoundTemplate {
  readonly digest: Digest;
  readonly template: Template;
}

/** The template that a value of the plan names. Throws `output-missing`, `template-invalid`, `blob-missing`. */
export async function findTemplate(room: Room, run: RunId, value: Value): Promise<FoundTemplate> {
  const digest = await resolveDigest(room, run, value, 'template');
  return { digest, template: await readTemplate(room, digest) };
}

export async function resolveDigest(room: Room, run: RunId, value: Value, what: string): Promise<Digest> {
  if ('secret' in value) throw new DomainError('template-invalid', `the ${what} is a secret; a digest is needed`);
  const text = await resolveValue(room, run, value);
  if (isDigest(text)) return text;
  throw new DomainError(
    'template-invalid',
    `the ${what} is not a digest: use {get_output: ...} of the task that makes it`,
  );
}

/** What a decision for this deploy is bound to. */
export function subjectOf(task: TaskName, { digest, template }: FoundTemplate): GateSubject {
  return { task, template: digest, image: template.image };
}

export interface Admitted {
  readonly image: Digest;
  readonly start: string | undefined;
  /** Where the target finds it. */
  readonly artifact: string;
}

/** Everything that must hold before a release is begun. Changes nothing. */
export async function admitDeploy(
  room: Room,
  deploy: {
    readonly row: RunRow;
    readonly environment: Environment;
    readonly task: TaskName;
    readonly found: FoundTemplate;
  },
): Promise<Admitted> {
  const { row, environment, found } = deploy;
  const refusal = whyBranchRefused(environment, row.ref);
  if (refusal !== undefined) throw new DomainError('deploy-refused', refusal);
  const { kind } = findTarget(room, environment);
  guardEnvironment(environment, found.template);
  guardLimits(environment, kind);
  if (environment.protected) await demandApproval(room, deploy);
  return needArtifact(room, found.template, kind);
}

/** Throws `deploy-refused`: an environment may be registered for what this Loam does not serve. */
export function findTarget(room: Room, { name, target }: Environment): Target {
  const found = room.targets.find(({ kind }) => kind === target);
  if (found !== undefined) return found;
  const kinds = room.targets.map(({ kind }) => kind).join(' and ');
  throw new DomainError(
    'deploy-refused',
    `environment ${name} is registered for ${target}; this Loam deploys to ${kinds} only`,
  );
}

function guardEnvironment({ name }: Environment, template: Template): void {
  if (template.environment === undefined || template.environment === name) return;
  throw new DomainError(
    'template-invalid',
    `the template was made for environment ${template.environment} and is deployed to ${name}`,
  );
}

/** A limit that is not kept would be worse than none. */
function guardLimits({ application, name, memoryMb, cpus }: Environment, kind: Target['kind']): void {
  if (kind !== 'process' || (memoryMb === undefined && cpus === undefined)) return;
  throw new DomainError(
    'deploy-refused',
    `environment ${name} has a limit of memory or cores, which Loam cannot keep for a local process; take it away: loam env put ${application} ${name} --no-memory --no-cpus`,
  );
}

/** No target brings services of its own: each is bound by its address in the environment's config. */
export function guardServices(
  { application, name }: Environment,
  { services }: Template,
  config: Readonly<Record<string, unknown>>,
): void {
  const missing = services.map(addressOf).filter((variable) => !Object.hasOwn(config, variable));
  if (missing.length === 0) return;
  const settings = missing.map((variable) => `--config ${variable}=...`).join(' ');
  throw new DomainError(
    'deploy-refused',
    `services of ${application} are not bound in ${name}; give their addresses: loam env put ${application} ${name} ${settings}`,
  );
}

/** The variable that binds a service. */
function addressOf(service: string): string {
  return `${service.toUpperCase().replaceAll('-', '_')}_URL`;
}

async function demandApproval(
  room: Room,
  {
    row,
    environment,
    task,
    found,
  }: {
    readonly row: RunRow;
    readonly environment: Environment;
    readonly task: TaskName;
    readonly found: FoundTemplate;
  },
): Promise<void> {
  const decision = await room.store.gates.approvalFor(row.id, environment.name, subjectOf(task, found));
  if (decision?.verdict === 'approved') return;
  throw new DomainError(
    'approval-required',
    `environment ${environment.name} is protected and nobody has approved exactly this deploy; add a task {type: approval, environment: ${environment.name}} that ${task} depends on`,
  );
}

/** Also when the run starts its release again: the artifact must still be there. An image is looked for by the engine that starts it. */
export async function needArtifact(
  room: Room,
  { image, start, application }: Template,
  kind: Target['kind'],
): Promise<Admitted> {
  if (image === undefined) {
    throw new DomainError(
      'template-invalid',
      'the template has no artifact: give generate_template an image: {get_output: <build task>.digest}',
    );
  }
  if (kind === 'docker') return { image, start, artifact: image };
  if (start === undefined) {
    throw new DomainError('template-invalid', `application ${application} has no "start": say how it is started`);
  }
  return { image, start, artifact: await room.blobs.file(image) };
}
