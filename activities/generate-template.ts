// Keeps I5: pure in plan and digest, so the same build gives the same template wherever and whenever it is made.
import { DomainError } from '../src/core/errors.ts';
import type { GenerateTemplateTask } from '../src/core/graph/graph.ts';
import type { Digest } from '../src/core/model/ids.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import { canonicalJson } from '../src/core/template/canonical-json.ts';
import { generateTemplate } from '../src/core/template/generate-template.ts';
import { attemptKey, runAttempt, succeeded } from './attempt.ts';
import type { AttemptEnd } from './attempt.ts';
import { buildFromDockerfile } from './build-dockerfile.ts';
import { readPlan } from './compiled-plan.ts';
import { resolveDigest } from './deploy-admission.ts';
import type { Room } from './dependencies.ts';
import { findPlanEnvironment } from './release-config.ts';
import type { TaskInput } from './types.ts';

export function makeTemplate(room: Room, input: TaskInput<GenerateTemplateTask>): Promise<TaskOutcome> {
  const { task } = input;
  if (task.build === undefined) {
    return runAttempt(room, attemptKey(input), { hasLog: false }, async () => {
      const { image } = task;
      return make(room, input, image === undefined ? undefined : await resolveDigest(room, input.run, image, 'image'));
    });
  }
  return buildFromDockerfile(room, {
    input: { ...input, task: { ...task, network: 'egress' } },
    image: task.build,
    onBuilt: ({ digest }) => make(room, input, digest),
  });
}

async function make(
  room: Room,
  { planDigest, task }: TaskInput<GenerateTemplateTask>,
  image: Digest | undefined,
): Promise<AttemptEnd> {
  const plan = await readPlan(room, planDigest);
  const application = plan.applications.find(({ name }) => name === task.application);
  if (application === undefined) {
    throw new DomainError('template-invalid', `the plan has no application ${task.application}`);
  }
  const template = generateTemplate({
    application,
    environment: task.environment === undefined ? undefined : findPlanEnvironment(plan, task.environment),
    image,
  });
  const { digest } = await room.blobs.put(canonicalJson(template));
  return succeeded({ '': digest });
}
