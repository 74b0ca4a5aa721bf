// I5: one build makes one kind of thing, and the environments that it is deployed to say which.
import type { TaskName } from '../model/ids.ts';
import type { PlanProblem } from '../plan/problem-kinds.ts';
import { problem } from '../plan/problem-kinds.ts';
import { quote } from './nearest-name.ts';
import type { BuildImageTask, GenerateTemplateTask, ImageSettings } from './graph.ts';
import type { Scope } from './scope.ts';

export const usualDockerfile = 'Dockerfile';

export interface Images {
  /** The builds, and the templates without one, that make an image, with all that it needs. All other builds make an archive. */
  readonly settings: ReadonlyMap<TaskName, ImageSettings>;
  readonly problems: readonly PlanProblem[];
}

/** A build that nothing deploys makes what its keys are for. */
function makesImage({ deploys }: Scope, build: BuildImageTask): boolean {
  const own = deploys.filter((deploy) => deploy.build === build);
  if (own.length === 0) return build.image !== undefined;
  return own.some(({ environment }) => environment !== undefined && environment.compute !== 'process');
}

const usual: ImageSettings = { dockerfile: usualDockerfile, target: undefined, args: {} };

/** A plan that says nothing of an image means the one that its commit describes. */
function isUnbuilt({ deploys }: Scope, template: GenerateTemplateTask): boolean {
  const own = deploys.filter((deploy) => deploy.template === template);
  return template.image === undefined && own.some(({ environment }) => environment?.compute === 'docker');
}

function checkImage(build: BuildImageTask, pointer: string): readonly PlanProblem[] {
  const problems: PlanProblem[] = [];
  if (build.cmd !== undefined) {
    const message = `${quote(build.name)} makes an image, and its cmd would run outside of it`;
    problems.push(problem('build-key-unfit', `${pointer}/cmd`, message, 'Write it as a RUN step of the Dockerfile.'));
  }
  const variables = Object.keys(build.env);
  if (variables.length > 0) {
    const message = `${quote(build.name)} makes an image; ${variables.slice(0, 5).map(quote).join(', ')} of env do not reach its steps`;
    problems.push(
      problem('build-env-unused', pointer, message, 'Use `args` with ARG in the Dockerfile, never for a secret.'),
    );
  }
  return problems;
}

function checkArchive(build: BuildImageTask, pointer: string): readonly PlanProblem[] {
  if (build.image === undefined) return [];
  const message = `${quote(build.name)} makes an archive for a process; dockerfile, target and args are for images`;
  return [problem('build-key-unfit', pointer, message, 'Leave them out, or deploy it to `compute: docker`.')];
}

export function findImages(scope: Scope): Images {
  const settings = new Map<TaskName, ImageSettings>();
  const problems = scope.draft.tasks.flatMap(({ task, pointer }) => {
    if (task.type === 'generate_template' && isUnbuilt(scope, task)) settings.set(task.name, usual);
    if (task.type !== 'build_image') return [];
    if (!makesImage(scope, task)) return checkArchive(task, pointer);
    settings.set(task.name, task.image ?? usual);
    return checkImage(task, pointer);
  });
  return { settings, problems };
}
