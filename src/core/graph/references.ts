// Names that tasks write: do they exist, and does the output that is asked for?
import type { PlanProblem } from '../plan/problem-kinds.ts';
import { problem } from '../plan/problem-kinds.ts';
import type { TaskName } from '../model/ids.ts';
import type { Draft, DraftOutput, DraftTask } from './draft.ts';
import type { TaskType } from './graph.ts';
import { quote, suggestName } from './nearest-name.ts';

/** Outputs by type of task; `''` is the main one. */
export const outputKeys: Readonly<Record<TaskType, readonly string[]>> = {
  repo_job: [],
  build_image: ['', 'digest', 'reference'],
  generate_template: [''],
  deploy_stack: ['url', 'release'],
  approval: [],
};

const useTypes = { image: 'build_image', template: 'generate_template' } as const;

function describeOutputs(name: string, type: TaskType): string {
  const keys = outputKeys[type];
  if (type === 'repo_job')
    return 'A repo_job has no outputs; what a later task needs must be in the tree or built by a build_image.';
  if (keys.length === 0) return `A task of type ${type} has no outputs.`;
  return `Write ${keys.map((key) => (key === '' ? name : `${name}.${key}`)).join(' or ')}.`;
}

function unknownTask(draft: Draft, name: string, pointer: string): readonly PlanProblem[] {
  if (draft.broken.tasks.has(name)) return [];
  const names = [...draft.tasks.map(({ task }) => task.name), ...draft.broken.tasks];
  return [problem('task-unknown', pointer, `There is no task ${quote(name)}`, suggestName(name, names))];
}

function checkOutput(output: DraftOutput, type: TaskType): readonly PlanProblem[] {
  const { task, key, pointer, use } = output;
  const shown = quote(key === '' ? task : `${task}.${key}`);
  if (use !== 'variable' && type !== useTypes[use]) {
    const wanted = useTypes[use];
    const remedy = `Name a task of type ${wanted}.`;
    return [
      problem(
        'output-kind',
        pointer,
        `The ${use} must be the output of a ${wanted} task; ${shown} is of a ${type}`,
        remedy,
      ),
    ];
  }
  if (outputKeys[type].includes(key)) return [];
  return [problem('output-unknown', pointer, `There is no output ${shown}`, describeOutputs(task, type))];
}

function checkNeed(
  draft: Draft,
  tasks: ReadonlyMap<string, DraftTask>,
  own: DraftTask,
  name: string,
  pointer: string,
): readonly PlanProblem[] {
  if (name === own.task.name) {
    return [problem('self-need', pointer, `The task ${quote(name)} waits for itself`, 'Remove its own name.')];
  }
  return tasks.has(name) ? [] : unknownTask(draft, name, pointer);
}

function checkNeeds(draft: Draft, tasks: ReadonlyMap<string, DraftTask>, own: DraftTask): readonly PlanProblem[] {
  const depends = own.dependsOn.flatMap(({ name, pointer }) => checkNeed(draft, tasks, own, name, pointer));
  const outputs = own.outputs.flatMap((output) => {
    const found = checkNeed(draft, tasks, own, output.task, output.pointer);
    const from = tasks.get(output.task);
    return found.length > 0 || from === undefined ? found : checkOutput(output, from.task.type);
  });
  return [...depends, ...outputs];
}

function checkEnvironment(
  draft: Draft,
  names: ReadonlySet<string>,
  { task, pointer }: DraftTask,
): readonly PlanProblem[] {
  const name = 'environment' in task ? task.environment : undefined;
  if (name === undefined || names.has(name) || draft.broken.environments.has(name)) return [];
  const remedy =
    name === 'default'
      ? 'The others inherit from `default`; it is no place itself. Add one.'
      : suggestName(name, names);
  return [problem('environment-unknown', `${pointer}/environment`, `There is no environment ${quote(name)}`, remedy)];
}

function checkApplication(
  draft: Draft,
  names: ReadonlySet<string>,
  { task, pointer }: DraftTask,
): readonly PlanProblem[] {
  const name = 'application' in task ? task.application : undefined;
  if (name === undefined || names.has(name) || draft.broken.applications.has(name)) return [];
  return [
    problem(
      'application-unknown',
      `${pointer}/application`,
      `There is no application ${quote(name)}`,
      suggestName(name, names),
    ),
  ];
}

export function checkReferences(draft: Draft, tasks: ReadonlyMap<string, DraftTask>): readonly PlanProblem[] {
  const environments = new Set<string>(draft.environments.map(({ name }) => name));
  const applications = new Set<string>(draft.applications.map(({ name }) => name));
  return draft.tasks.flatMap((task) => [
    ...checkNeeds(draft, tasks, task),
    ...checkEnvironment(draft, environments, task),
    ...checkApplication(draft, applications, task),
  ]);
}

/** depends_on and get_output together: existing tasks, in plan order, without repeats and without itself. */
export function findNeeds(own: DraftTask, positions: ReadonlyMap<string, number>): readonly TaskName[] {
  const names = new Set([...own.dependsOn.map(({ name }) => name), ...own.outputs.map(({ task }) => task)]);
  names.delete(own.task.name);
  return [...names]
    .flatMap((name) => {
      const position = positions.get(name);
      return position === undefined ? [] : [{ name: name as TaskName, position }];
    })
    .sort((one, other) => one.position - other.position)
    .map(({ name }) => name);
}
