// Builders of compiled graphs, for the suites of scheduler and workflows.
import type {
  ApprovalTask,
  BuildImageTask,
  CompiledGraph,
  CompiledTask,
  DeployStackTask,
  FailurePolicy,
  GenerateTemplateTask,
  RepoJobTask,
} from '../../src/core/graph/graph.ts';
import type { ApplicationName, Digest, EnvironmentName, TaskName } from '../../src/core/model/ids.ts';

const application = 'thingy' as ApplicationName;

function names(texts: readonly string[]): readonly TaskName[] {
  return texts as readonly TaskName[];
}

function base(name: string, needs: readonly string[]) {
  return {
    name: name as TaskName,
    needs: names(needs),
    timeoutMs: 60_000,
    maxAttempts: 1,
    retryDelayMs: 0,
    rerun: 'restart',
  } as const;
}

export function makeJob(name: string, needs: readonly string[] = [], more: Partial<RepoJobTask> = {}): RepoJobTask {
  return { ...base(name, needs), type: 'repo_job', cmd: `echo ${name}`, env: {}, network: 'egress', ...more };
}

export function makeBuild(name: string, needs: readonly string[] = []): BuildImageTask {
  return { ...base(name, needs), type: 'build_image', application, cmd: undefined, env: {}, network: 'egress' };
}

export function makeTemplate(name: string, needs: readonly string[] = []): GenerateTemplateTask {
  return { ...base(name, needs), type: 'generate_template', application, environment: undefined, image: undefined };
}

export function makeDeploy(
  name: string,
  needs: readonly string[] = [],
  {
    environment = name,
    readers = [],
    ...more
  }: { environment?: string; readers?: readonly string[]; maxAttempts?: number } = {},
): DeployStackTask {
  return {
    ...base(name, needs),
    ...more,
    type: 'deploy_stack',
    rerun: 'resume',
    environment: environment as EnvironmentName,
    template: { output: { task: 'template' as TaskName, key: '' } },
    readers: names(readers),
  };
}

export function makeApproval(
  name: string,
  needs: readonly string[] = [],
  more: Partial<ApprovalTask> = {},
): ApprovalTask {
  const environment = 'production' as EnvironmentName;
  return { ...base(name, needs), type: 'approval', environment, covers: names(['production']), ...more };
}

export function makeGraph(tasks: readonly CompiledTask[], onFailure: FailurePolicy = 'fail-fast'): CompiledGraph {
  return { version: 1, onFailure, tasks };
}

/** The plan that a newcomer writes, compiled. */
export function makeNewcomerGraph(): CompiledGraph {
  return makeGraph([
    makeJob('test'),
    makeBuild('build', ['test']),
    makeTemplate('template', ['build']),
    makeDeploy('staging', ['template'], { readers: ['smoke'] }),
    makeJob('smoke', ['staging']),
    makeApproval('approve', ['smoke']),
    makeDeploy('production', ['approve', 'template']),
  ]);
}

export const planDigest = `sha256:${'0'.repeat(64)}` as Digest;
