import type { Draft, DraftTask } from '../../graph/draft.ts';
import type { PlanApplication } from '../plan.ts';
import type { PlanProblem } from '../problem-kinds.ts';
import type { Node } from '../sieve.ts';
import { readApplication } from './read-application.ts';
import { readEnvironments } from './read-environment.ts';
import { readTask } from './read-task.ts';
import type { TaskDefaults } from './read-task.ts';
import { isMapping, PlanReader } from './reader.ts';
import type { Mapping } from './reader.ts';
import { toProblems } from './issues.ts';
import {
  defaults as defaultsSchema,
  limits,
  on as onSchema,
  onFailure as onFailureSchema,
  planSchema,
} from './schema.ts';
import { z } from 'zod';

export interface PlanReading {
  readonly draft: Draft;
  readonly onBranches: readonly string[] | undefined;
  readonly problems: readonly PlanProblem[];
}

const keys = Object.keys(planSchema.shape);

/** The top alone: what the sections hold is read one by one. */
const topSchema = z.strictObject(Object.fromEntries(keys.map((key) => [key, z.optional(z.unknown())])));

function sectionOf(
  reader: PlanReader,
  plan: Mapping,
  key: 'applications' | 'environments' | 'workflow',
  most: number,
): Mapping {
  const raw = plan[key] ?? {};
  if (!isMapping(raw)) {
    reader.report(
      'value-invalid',
      [key],
      `"${key}" is not a mapping`,
      'Write one name per line, each with its keys below it.',
    );
    return {};
  }
  if (Object.keys(raw).length <= most) return raw;
  reader.report(
    'too-many',
    [key],
    `There are more than ${most} ${key === 'workflow' ? 'tasks' : key}`,
    'Split the plan over several applications.',
  );
  return {};
}

function checkVersion(reader: PlanReader, plan: Mapping): void {
  if (!Object.hasOwn(plan, 'version')) {
    reader.report(
      'version-absent',
      [],
      'The plan does not say its version; 1 is taken',
      'Write `version: 1` as the first line.',
    );
  } else if (plan['version'] !== 1) {
    reader.report('version-unsupported', ['version'], 'Only version 1 is known', 'Write `version: 1`, without quotes.');
  }
}

function readDefaults(reader: PlanReader, raw: unknown): TaskDefaults {
  const part = { path: ['defaults'], title: 'defaults', keys: Object.keys(defaultsSchema.shape) };
  const written = reader.check(part, defaultsSchema, raw ?? {});
  const env = reader.values(['defaults', 'env'], written?.env);
  for (const [name, value] of Object.entries(env)) {
    if (!('output' in value)) continue;
    const remedy = 'Write it into the `env` of the tasks that read it.';
    reader.report(
      'value-invalid',
      ['defaults', 'env', name],
      'Defaults cannot take the output of a task: every job would need it',
      remedy,
    );
  }
  return { timeout: written?.timeout, retry: written?.retry, network: written?.network, env };
}

function readBranches(reader: PlanReader, raw: unknown): readonly string[] | undefined {
  const written = reader.check({ path: ['on'], title: 'on', keys: Object.keys(onSchema.shape) }, onSchema, raw ?? {});
  return written?.branches;
}

function readApplications(reader: PlanReader, raw: Mapping): readonly PlanApplication[] {
  return Object.entries(raw).flatMap(([name, one]) => readApplication(reader, name, one) ?? []);
}

function brokenNames(raw: Mapping, good: readonly { readonly name: string }[]): ReadonlySet<string> {
  const names = new Set(Object.keys(raw));
  for (const { name } of good) names.delete(name);
  return names;
}

function checkTop(reader: PlanReader, plan: Mapping): void {
  const result = topSchema.safeParse(plan);
  if (!result.success) reader.problems.push(...toProblems({ path: [], title: 'The plan', keys }, plan, result.error));
  checkVersion(reader, plan);
  const workflow = plan['workflow'];
  const isEmpty =
    workflow === undefined || workflow === null || (isMapping(workflow) && Object.keys(workflow).length === 0);
  if (isEmpty)
    reader.report(
      'key-missing',
      [],
      'The plan has no tasks',
      'Add them under `workflow`, such as `test: {type: repo_job, cmd: npm test}`.',
    );
}

/** Reads what a plan of version 1 says. Everything that is right is in the draft, everything that is wrong in the problems. */
export function readPlan(plan: Mapping, nodes: ReadonlyMap<string, Node>): PlanReading {
  const reader = new PlanReader(nodes);
  checkTop(reader, plan);
  const onFailure = reader.check(
    { path: ['on_failure'], title: 'on_failure', keys: [] },
    onFailureSchema,
    plan['on_failure'] ?? 'fail-fast',
  );
  const applicationsRaw = sectionOf(reader, plan, 'applications', limits.applications);
  const applications = readApplications(reader, applicationsRaw);
  const { environments, broken } = readEnvironments(
    reader,
    sectionOf(reader, plan, 'environments', limits.environments),
  );
  const workflow = sectionOf(reader, plan, 'workflow', limits.tasks);
  const context = {
    reader,
    defaults: readDefaults(reader, plan['defaults']),
    applications: Object.keys(applicationsRaw),
  };
  const tasks: DraftTask[] = Object.entries(workflow).flatMap(([name, raw]) => readTask(context, name, raw) ?? []);
  return {
    draft: {
      onFailure: onFailure ?? 'fail-fast',
      applications,
      environments,
      tasks,
      broken: {
        applications: brokenNames(applicationsRaw, applications),
        environments: broken,
        tasks: brokenNames(
          workflow,
          tasks.map(({ task }) => task),
        ),
      },
    },
    onBranches: readBranches(reader, plan['on']),
    problems: dedupe(reader.problems),
  };
}

/** A wrong default is found again in each task that takes it. */
function dedupe(problems: readonly PlanProblem[]): readonly PlanProblem[] {
  const seen = new Map(problems.map((one) => [JSON.stringify([one.code, one.pointer, one.message]), one]));
  return [...seen.values()];
}
