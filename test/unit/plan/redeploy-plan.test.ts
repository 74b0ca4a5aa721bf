import { expect, it } from 'vitest';
import { parseDigest, parseEnvironmentName, parseTaskName } from '../../../src/core/model/ids.ts';
import { checkPlan } from '../../../src/core/plan/check-plan.ts';
import type { CompiledPlan } from '../../../src/core/plan/plan.ts';
import { makeRedeployPlan } from '../../../src/core/plan/redeploy-plan.ts';

const former = {
  environment: parseEnvironmentName('staging'),
  task: parseTaskName('ship'),
  template: parseDigest(`sha256:${'a'.repeat(64)}`),
};

function made(): CompiledPlan {
  const { compiled } = checkPlan(`version: 1
on: {branches: [main]}
applications:
  thingy: {start: node server.mjs}
environments:
  staging: {compute: process, trust: demo}
workflow:
  build: {type: build_image}
  template: {type: generate_template, application: thingy, image: {get_output: build.digest}}
  ship: {type: deploy_stack, environment: staging, timeout: 40m, retry: 2, template: {get_output: template}}
  smoke: {type: repo_job, cmd: "true", env: {URL: {get_output: ship.url}}}
`);
  if (compiled === undefined) throw new Error('the plan is wrong');
  return compiled;
}

it('deploys the template of a release again, by itself, as long as its own deploy might take', () => {
  const plan = makeRedeployPlan(made(), former, { redeploy: { release: 3 }, isProtected: false });

  expect(plan.graph.tasks).toMatchObject([
    {
      name: 'deploy',
      type: 'deploy_stack',
      needs: [],
      timeoutMs: 2_400_000,
      rerun: 'resume',
      template: { literal: former.template },
      readers: [],
      redeploy: { release: 3 },
    },
  ]);
  expect(plan).toMatchObject({ onBranches: undefined, environments: [{ name: 'staging', trust: 'demo' }] });
});

it('asks for an approval of exactly that deploy first in a protected environment (I4)', () => {
  const plan = makeRedeployPlan(made(), former, { redeploy: { release: 3, replicas: 2 }, isProtected: true });

  expect(plan.graph.tasks).toMatchObject([
    { name: 'approve', type: 'approval', needs: [], environment: 'staging', covers: ['deploy'] },
    { name: 'deploy', needs: ['approve'], redeploy: { release: 3, replicas: 2 } },
  ]);
});

it('deploys again what was deployed again', () => {
  const once = makeRedeployPlan(made(), former, { redeploy: { release: 3, replicas: 2 }, isProtected: true });
  const again = { ...former, task: parseTaskName('deploy') };

  const plan = makeRedeployPlan(once, again, { redeploy: { release: 4 }, isProtected: false });

  expect(plan.graph.tasks).toHaveLength(1);
  expect(plan.graph.tasks[0]).toMatchObject({ name: 'deploy', timeoutMs: 2_400_000, redeploy: { release: 4 } });
  expect(plan.graph.tasks[0]).not.toHaveProperty('redeploy.replicas');
});

it('refuses a plan that has not made the release', () => {
  const other = { ...former, task: parseTaskName('smoke') };
  const options = { redeploy: { release: 3 }, isProtected: false };

  expect(() => makeRedeployPlan(made(), other, options)).toThrow(/not made by the task smoke/);
  expect(() => makeRedeployPlan(made(), { ...other, task: parseTaskName('gone') }, options)).toThrow(/gone/);
});
