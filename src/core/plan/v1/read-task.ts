import type { DraftOutput, DraftTask } from '../../graph/draft.ts';
import type { CompiledTask, ImageSettings, Network, Value } from '../../graph/graph.ts';
import { taskTypes } from '../../graph/graph.ts';
import { usualDockerfile } from '../../graph/images.ts';
import { jsonPointer } from '../../graph/json-pointer.ts';
import { quote, suggestName } from '../../graph/nearest-name.ts';
import { isTaskName } from '../../model/ids.ts';
import type { ApplicationName, EnvironmentName, TaskName } from '../../model/ids.ts';
import { readAttempts } from './read-attempts.ts';
import type { AttemptDefaults, Attempts } from './read-attempts.ts';
import type { PlanReader } from './reader.ts';
import { isMapping } from './reader.ts';
import { task as taskSchema, tasks } from './schema.ts';
import { outputOf, toOutput } from './values.ts';
import type { WrittenTask } from './values.ts';

/** What the plan's `defaults` say for jobs and builds. */
export interface TaskDefaults extends AttemptDefaults {
  readonly network: Network | undefined;
  readonly env: Readonly<Record<string, Value>>;
}

export interface TaskContext {
  readonly reader: PlanReader;
  readonly defaults: TaskDefaults;
  /** Names of all applications that the plan writes, right or wrong. */
  readonly applications: readonly string[];
}

type WrittenOf<Type extends WrittenTask['type']> = Extract<WrittenTask, { readonly type: Type }>;
type Common = Attempts & Pick<CompiledTask, 'name' | 'needs'>;

/** The application that a task names, or the only one of the plan. */
function readApplicationName(
  context: TaskContext,
  name: TaskName,
  written: string | undefined,
): ApplicationName | undefined {
  if (written !== undefined) return written as ApplicationName;
  const [only, ...others] = context.applications;
  if (only !== undefined && others.length === 0) return only as ApplicationName;
  const remedy =
    only === undefined
      ? 'Add it under `applications`.'
      : `Add \`application:\` with one of ${context.applications.slice(0, 10).map(quote).join(', ')}.`;
  context.reader.report(
    'application-missing',
    ['workflow', name],
    `task ${quote(name)} does not say which application it means`,
    remedy,
  );
  return undefined;
}

function readEnv(
  context: TaskContext,
  name: TaskName,
  written: WrittenOf<'repo_job'>['env'],
): Readonly<Record<string, Value>> {
  return { ...context.defaults.env, ...context.reader.values(['workflow', name, 'env'], written) };
}

function readNetwork(context: TaskContext, written: Network | undefined): Network {
  return written ?? context.defaults.network ?? 'egress';
}

function readCommand(context: TaskContext, name: TaskName, cmd: string): string {
  return context.reader.command(['workflow', name, 'cmd'], cmd);
}

function readJob(context: TaskContext, common: Common, written: WrittenOf<'repo_job'>): CompiledTask {
  const { name } = common;
  const cmd = readCommand(context, name, written.cmd);
  const env = readEnv(context, name, written.env);
  return { ...common, type: 'repo_job', cmd, env, network: readNetwork(context, written.network) };
}

function readBuild(context: TaskContext, common: Common, written: WrittenOf<'build_image'>): CompiledTask | undefined {
  const { name } = common;
  const application = readApplicationName(context, name, written.application);
  const cmd = written.cmd === undefined ? undefined : readCommand(context, name, written.cmd);
  const env = readEnv(context, name, written.env);
  if (application === undefined) return undefined;
  const network = readNetwork(context, written.network);
  return {
    ...common,
    type: 'build_image',
    application,
    cmd,
    env,
    network,
    ...readImageSettings(context, name, written),
  };
}

/** Only when the plan says something of them: whether an image is built at all, the deploys decide. */
function readImageSettings(
  context: TaskContext,
  name: TaskName,
  { dockerfile, target, args }: WrittenOf<'build_image'>,
): { readonly image?: ImageSettings } {
  if (dockerfile === undefined && target === undefined && args === undefined) return {};
  const values = context.reader.values(['workflow', name, 'args'], args);
  return { image: { dockerfile: dockerfile ?? usualDockerfile, target, args: values } };
}

function readTemplateImage(written: WrittenOf<'generate_template'>['image']): Value | undefined {
  if (written === undefined) return undefined;
  return typeof written === 'string' ? { literal: written } : { output: toOutput(written.get_output) };
}

function readTemplate(
  context: TaskContext,
  common: Common,
  written: WrittenOf<'generate_template'>,
): CompiledTask | undefined {
  const application = readApplicationName(context, common.name, written.application);
  if (application === undefined) return undefined;
  const environment = written.environment as EnvironmentName | undefined;
  return { ...common, type: 'generate_template', application, environment, image: readTemplateImage(written.image) };
}

function readByType(context: TaskContext, common: Common, written: WrittenTask): CompiledTask | undefined {
  switch (written.type) {
    case 'repo_job':
      return readJob(context, common, written);
    case 'build_image':
      return readBuild(context, common, written);
    case 'generate_template':
      return readTemplate(context, common, written);
    case 'deploy_stack': {
      const template = { output: toOutput(written.template.get_output) };
      return {
        ...common,
        type: 'deploy_stack',
        environment: written.environment as EnvironmentName,
        template,
        readers: [],
      };
    }
    case 'approval':
      return { ...common, type: 'approval', environment: written.environment as EnvironmentName, covers: [] };
  }
}

function findVariables(path: readonly string[], values: Readonly<Record<string, Value>>): readonly DraftOutput[] {
  return Object.entries(values).flatMap(([key, value]) => outputOf(value, jsonPointer([...path, key]), 'variable'));
}

function findOutputs(path: readonly string[], task: CompiledTask): readonly DraftOutput[] {
  switch (task.type) {
    case 'repo_job':
      return findVariables([...path, 'env'], task.env);
    case 'build_image':
      return [
        ...findVariables([...path, 'env'], task.env),
        ...findVariables([...path, 'args'], task.image?.args ?? {}),
      ];
    case 'generate_template':
      return outputOf(task.image, jsonPointer([...path, 'image']), 'image');
    case 'deploy_stack':
      return outputOf(task.template, jsonPointer([...path, 'template']), 'template');
    case 'approval':
      return [];
  }
}

function readDependsOn(path: readonly string[], written: WrittenTask['depends_on']): DraftTask['dependsOn'] {
  if (written === undefined) return [];
  if (typeof written === 'string') return [{ name: written, pointer: jsonPointer([...path, 'depends_on']) }];
  return written.map((name, index) => ({ name, pointer: jsonPointer([...path, 'depends_on', index]) }));
}

function isTaskType(type: unknown): type is keyof typeof tasks {
  return taskTypes.some((one) => one === type);
}

function checkType(
  reader: PlanReader,
  path: readonly string[],
  title: string,
  raw: unknown,
): keyof typeof tasks | undefined {
  if (!isMapping(raw)) {
    reader.report(
      'value-invalid',
      path,
      `${title} is not a mapping`,
      'Write its keys below it, such as `type: repo_job`.',
    );
    return undefined;
  }
  const type = Object.hasOwn(raw, 'type') ? raw['type'] : undefined;
  if (isTaskType(type)) return type;
  if (type === undefined) {
    reader.report('key-missing', path, `${title} has no type`, `Add \`type:\` with one of ${taskTypes.join(', ')}.`);
  } else {
    reader.report(
      'type-unknown',
      [...path, 'type'],
      `${title} has an unknown type`,
      suggestName(typeof type === 'string' ? type : '', taskTypes),
    );
  }
  return undefined;
}

/** One entry of `workflow`; undefined when it is wrong, which is reported. */
export function readTask(context: TaskContext, name: string, raw: unknown): DraftTask | undefined {
  const { reader } = context;
  const path = ['workflow', name];
  const title = `task ${quote(name)}`;
  const isNamed = isTaskName(name);
  if (!isNamed) {
    const remedy = 'Write letters, digits, hyphens and underscores, at most 60, beginning with a letter.';
    reader.report('name-invalid', path, `${quote(name)} is not an allowed name of a task`, remedy);
  }
  const type = checkType(reader, path, title, raw);
  if (type === undefined) return undefined;
  const written = reader.check({ path, title, keys: Object.keys(tasks[type].shape) }, taskSchema, raw);
  if (written === undefined || !isNamed) return undefined;
  const common = { name, needs: [], ...readAttempts(reader, context.defaults, name, written) };
  const task = readByType(context, common, written);
  if (task === undefined) return undefined;
  return {
    pointer: jsonPointer(path),
    task,
    dependsOn: readDependsOn(path, written.depends_on),
    outputs: findOutputs(path, task),
  };
}
