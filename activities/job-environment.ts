// Keeps I7 and I8: a job gets the values that its task names and nothing else; secrets travel apart from the rest.
import { DomainError } from '../src/core/errors.ts';
import type { BuildImageTask, OutputReference, RepoJobTask, Value } from '../src/core/graph/graph.ts';
import type { CompiledPlan } from '../src/core/plan/plan.ts';
import { branchOf } from '../src/core/model/branch-filter.ts';
import type { RunId } from '../src/core/model/ids.ts';
import type { JobSocket } from '../src/ports/executor.ts';
import type { Secret } from '../src/ports/secret.ts';
import type { RunRow } from '../src/ports/store.ts';
import { readPlan } from './compiled-plan.ts';
import type { Room } from './dependencies.ts';
import type { TaskInput } from './types.ts';

export type JobTask = RepoJobTask | BuildImageTask;

export interface JobEnvironment {
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, Secret>>;
  readonly sockets: readonly JobSocket[];
}

const maxValueBytes = 4 * 1024;

export async function makeJobEnvironment(room: Room, input: TaskInput<JobTask>, row: RunRow): Promise<JobEnvironment> {
  const entries = Object.entries(input.task.env);
  const env: Record<string, string> = {};
  const secrets: Record<string, Secret> = {};
  const visible = entries.some(([, value]) => 'secret' in value)
    ? await room.store.secrets.values(row.application, undefined)
    : new Map<string, Secret>();
  for (const [name, value] of entries) {
    if ('secret' in value) secrets[name] = findSecret(visible, value.secret, row);
    else env[name] = await resolveValue(room, input.run, value);
  }
  return { env: { ...env, ...commitFacts(input, row) }, secrets, sockets: await findSockets(room, input, row) };
}

/** Event text reaches a job as environment only, never as script text. */
function commitFacts(input: TaskInput<JobTask>, row: RunRow): Record<string, string> {
  return {
    CI: 'true',
    LOAM_RUN: input.run,
    LOAM_TASK: input.task.name,
    LOAM_ATTEMPT: String(input.attempt),
    LOAM_COMMIT: row.commit,
    LOAM_REF: row.ref,
    LOAM_BRANCH: branchOf(row.ref) ?? '',
    LOAM_AUTHOR: withoutNul(row.author),
    LOAM_MESSAGE: withoutNul(row.message),
  };
}

/** An environment variable ends at a NUL, and a program that is given one does not start. */
function withoutNul(text: string): string {
  return text.replaceAll('\0', ' ');
}

/** A literal, or what another task of this run left. Throws `output-missing` with task and key, `output-too-large`. */
export async function resolveValue(room: Room, run: RunId, value: Exclude<Value, { secret: string }>): Promise<string> {
  if ('literal' in value) return value.literal;
  const found = await room.store.tasks.output(run, value.output);
  if (found === undefined) throw outputMissing(value.output);
  if (new TextEncoder().encode(found).byteLength > maxValueBytes) {
    throw new DomainError(
      'output-too-large',
      `${describe(value.output)} is over 4 kB: it cannot be an environment variable`,
    );
  }
  return found;
}

export function outputMissing(reference: OutputReference): DomainError {
  return new DomainError('output-missing', `${describe(reference)} does not exist`, {
    details: { task: reference.task, key: reference.key },
  });
}

function describe({ task, key }: OutputReference): string {
  return key === '' ? `the output of task ${task}` : `the output "${key}" of task ${task}`;
}

function findSecret(visible: ReadonlyMap<string, Secret>, name: string, { application }: RunRow): Secret {
  const secret = visible.get(name);
  if (secret !== undefined) return secret;
  throw new DomainError(
    'secret-missing',
    `the secret ${name} of ${application} does not exist, or only for one environment; set it with: loam secret put ${application} ${name}`,
  );
}

/** The fronts of the environments whose deploy outputs the job reads: its network does not reach this host, a socket does. */
async function findSockets(room: Room, input: TaskInput<JobTask>, row: RunRow): Promise<readonly JobSocket[]> {
  const read = new Set(
    Object.values(input.task.env).flatMap((value) => ('output' in value ? [value.output.task] : [])),
  );
  if (read.size === 0) return [];
  const plan: CompiledPlan = await readPlan(room, input.planDigest);
  const names = plan.graph.tasks.flatMap((task) =>
    task.type === 'deploy_stack' && read.has(task.name) ? [task.environment] : [],
  );
  const rows = await Promise.all([...new Set(names)].map((name) => room.store.environments.get(row.application, name)));
  return rows.flatMap((environment) => {
    const target = room.targets.find(({ kind }) => kind === environment?.target);
    if (environment === undefined || target === undefined) return [];
    return [{ port: environment.frontPort, path: target.socketPath(environment.frontPort) }];
  });
}
