// I5: what a deploy gives to its environment must fit it, and must have been built before.
import type { PlanProblem } from '../plan/problem-kinds.ts';
import { problem } from '../plan/problem-kinds.ts';
import { jsonPointer } from './json-pointer.ts';
import { quote } from './nearest-name.ts';
import type { BuildImageTask, CompiledTask, RepoJobTask } from './graph.ts';
import type { Deploy, Scope } from './scope.ts';

function checkTemplateEnvironment({ task, template, pointer }: Deploy): readonly PlanProblem[] {
  const made = template?.environment;
  if (made === undefined || made === task.environment) return [];
  const message = `${quote(task.name)} deploys to ${quote(task.environment)} what was made for ${quote(made)}`;
  return [
    problem(
      'template-environment',
      `${pointer}/template/get_output`,
      message,
      'Leave `environment` out of the template, or make one for each environment.',
    ),
  ];
}

/** A local process can only run what Loam has built and knows how to start; elsewhere the template may bring everything. */
function checkProcess({ draft }: Scope, { task, template, environment, pointer }: Deploy): readonly PlanProblem[] {
  if (template === undefined || environment?.compute !== 'process') return [];
  const problems: PlanProblem[] = [];
  if (template.image === undefined) {
    const message = `${quote(task.name)} deploys to a process, but its template ${quote(template.name)} has no image`;
    problems.push(
      problem(
        'image-missing',
        `${pointer}/template/get_output`,
        message,
        `Add \`image: {get_output: build.digest}\` to ${template.name}.`,
      ),
    );
  }
  const application = draft.applications.find(({ name }) => name === template.application);
  if (application !== undefined && application.start === undefined) {
    const message = `${quote(task.name)} deploys ${quote(application.name)} to a process, but nothing says how it is started`;
    problems.push(
      problem(
        'start-missing',
        jsonPointer(['applications', application.name]),
        message,
        'Add `start:` with the command that serves it.',
      ),
    );
  }
  return problems;
}

function isBuildOrJob(task: CompiledTask): task is BuildImageTask | RepoJobTask {
  return task.type === 'build_image' || task.type === 'repo_job';
}

/** In plans that began with `repo_job` alone, a job is a build by its name. */
function isBuildOf(task: BuildImageTask | RepoJobTask, application: string): boolean {
  if (task.type === 'build_image') return task.application === application;
  const words = task.name
    .toLowerCase()
    .replaceAll('-', '_')
    .replace(application.replaceAll('-', '_'), '')
    .split('_')
    .filter((word) => word !== '');
  return words.includes('build') && words.every((word) => ['build', 'app', 'image'].includes(word));
}

function warnOfUnbuilt(
  { ancestry }: Scope,
  { task, template, pointer }: Deploy,
  builds: readonly (BuildImageTask | RepoJobTask)[],
): readonly PlanProblem[] {
  if (template === undefined) return [];
  const missed = builds.filter(
    (build) => isBuildOf(build, template.application) && !ancestry.isBefore(build.name, task.name),
  );
  return missed.map(({ name }) => {
    const message = `${quote(task.name)} does not wait for ${quote(name)}, which builds ${quote(template.application)}`;
    return problem(
      'unbuilt-deploy',
      pointer,
      message,
      `Add ${name} to its depends_on, or give its output to the template.`,
    );
  });
}

function checkMixed({ deploys }: Scope): readonly PlanProblem[] {
  const users = new Map<BuildImageTask, Deploy[]>();
  for (const deploy of deploys) {
    if (deploy.build === undefined) continue;
    const known = users.get(deploy.build);
    if (known === undefined) users.set(deploy.build, [deploy]);
    else known.push(deploy);
  }
  return [...users].flatMap(([build, own]) => {
    const process = own.find(({ environment }) => environment?.compute === 'process');
    const other = own.find(({ environment }) => environment !== undefined && environment.compute !== 'process');
    if (process === undefined || other === undefined) return [];
    const message = `${quote(build.name)} would have to make an archive for ${quote(process.task.environment)} and an image for ${quote(other.task.environment)}`;
    return [
      problem(
        'build-mixed',
        jsonPointer(['workflow', build.name]),
        message,
        'Use one build_image and one generate_template for each of them.',
      ),
    ];
  });
}

export function checkDeploys(scope: Scope): readonly PlanProblem[] {
  const builds = scope.draft.tasks.map(({ task }) => task).filter(isBuildOrJob);
  const own = scope.deploys.flatMap((deploy) => [
    ...checkTemplateEnvironment(deploy),
    ...checkProcess(scope, deploy),
    ...warnOfUnbuilt(scope, deploy, builds),
  ]);
  return [...own, ...checkMixed(scope)];
}
