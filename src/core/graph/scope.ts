import type { PlanEnvironment } from '../plan/plan.ts';
import type { TaskName } from '../model/ids.ts';
import type { Ancestry } from './ancestry.ts';
import type { Draft, DraftTask } from './draft.ts';
import type {
  ApprovalTask,
  BuildImageTask,
  CompiledTask,
  DeployStackTask,
  GenerateTemplateTask,
  TaskType,
  Value,
} from './graph.ts';

/** A graph without cycles, for the checks that look along its paths. */
export interface Scope {
  readonly draft: Draft;
  readonly tasks: ReadonlyMap<string, DraftTask>;
  readonly ancestry: Ancestry;
  readonly deploys: readonly Deploy[];
  readonly approvals: readonly ApprovalTask[];
  readonly builds: readonly BuildImageTask[];
}

/** A deploy and what it deploys, as far as the plan is right about it. */
export interface Deploy {
  readonly task: DeployStackTask;
  readonly pointer: string;
  readonly template: GenerateTemplateTask | undefined;
  readonly build: BuildImageTask | undefined;
  readonly environment: PlanEnvironment | undefined;
}

function isType<Type extends TaskType>(type: Type) {
  return (task: CompiledTask): task is Extract<CompiledTask, { readonly type: Type }> => task.type === type;
}

function follow(tasks: ReadonlyMap<string, DraftTask>, value: Value | undefined): CompiledTask | undefined {
  const name: TaskName | undefined = value !== undefined && 'output' in value ? value.output.task : undefined;
  return name === undefined ? undefined : tasks.get(name)?.task;
}

export function makeScope(draft: Draft, tasks: ReadonlyMap<string, DraftTask>, ancestry: Ancestry): Scope {
  const all = draft.tasks.map(({ task }) => task);
  const environments = new Map(draft.environments.map((one) => [one.name, one]));
  const isTemplate = isType('generate_template');
  const isBuild = isType('build_image');
  const deploys = draft.tasks.flatMap(({ task, pointer }): readonly Deploy[] => {
    if (task.type !== 'deploy_stack') return [];
    const source = follow(tasks, task.template);
    const template = source !== undefined && isTemplate(source) ? source : undefined;
    const image = follow(tasks, template?.image);
    const build = image !== undefined && isBuild(image) ? image : undefined;
    return [{ task, pointer, template, build, environment: environments.get(task.environment) }];
  });
  return { draft, tasks, ancestry, deploys, approvals: all.filter(isType('approval')), builds: all.filter(isBuild) };
}
