import { describe, expect, it } from 'vitest';
import { compileGraph } from '../../../src/core/graph/compile.ts';
import type { CompiledTask } from '../../../src/core/graph/graph.ts';
import { checkPlan } from '../../../src/core/plan/check-plan.ts';
import { makeDraft, makeJob } from './drafts.ts';

const head = `version: 1
applications: {thingy: {start: run}}
environments: {staging: {}, production: {}}
workflow:
  build: {type: build_image}
  template: {type: generate_template, image: {get_output: build}}
`;

function check(tasks: string): {
  readonly tasks: ReadonlyMap<string, CompiledTask>;
  readonly codes: readonly string[];
} {
  const { compiled, errors, warnings } = checkPlan(head + tasks);
  const found = compiled?.graph.tasks.map((task) => [String(task.name), task] as const) ?? [];
  return { tasks: new Map(found), codes: [...errors, ...warnings].map(({ code }) => String(code)) };
}

function deploy(name: string, environment: string, needs: string): string {
  return `  ${name}: {type: deploy_stack, environment: ${environment}, depends_on: [${needs}], template: {get_output: template}}\n`;
}

describe('compileGraph', () => {
  it('joins depends_on and get_output in plan order, without repeats', () => {
    const { tasks } = check(
      `${deploy('staging', 'staging', '')}  smoke: {type: repo_job, cmd: x, depends_on: [staging, template, build, staging], env: {A: {get_output: staging.url}, B: {get_output: build}}}\n`,
    );

    expect(tasks.get('smoke')?.needs).toEqual(['build', 'template', 'staging']);
  });

  it('keeps the order of the plan where needs allow it', () => {
    const draft = makeDraft([makeJob('d', { dependsOn: ['b'] }), makeJob('a'), makeJob('b'), makeJob('c')]);

    expect(compileGraph(draft).graph.tasks.map(({ name }) => name)).toEqual(['b', 'd', 'a', 'c']);
  });

  it('takes a fan-out of 300 and the join after it', () => {
    const fan = Array.from({ length: 300 }, (_, index) => makeJob(`t${index}`, { dependsOn: ['first'] }));
    const last = makeJob('last', { dependsOn: fan.map(({ task }) => task.name) });

    const { graph, problems } = compileGraph(makeDraft([makeJob('first'), ...fan, last]));

    expect(problems).toEqual([]);
    expect(graph.tasks.at(-1)?.needs).toHaveLength(300);
  });

  it('shows a long cycle with its middle left out', () => {
    const ring = Array.from({ length: 40 }, (_, index) =>
      makeJob(`t${index}`, { dependsOn: [`t${(index + 1) % 40}`] }),
    );

    const { problems } = compileGraph(makeDraft(ring));

    expect(problems.map(({ message }) => message)).toEqual([
      'The tasks wait for each other: t0 -> t1 -> t2 -> t3 -> t4 -> t5 -> ... -> t36 -> t37 -> t38 -> t39 -> t0',
    ]);
  });

  it('says nothing of a name whose own problem is reported', () => {
    const { codes } = check(
      '  bad: {type: repo_job}\n  x: {type: repo_job, cmd: x, depends_on: bad, env: {A: {get_output: bad.url}}}\n',
    );

    expect(codes).toEqual(['key-missing']);
  });
});

describe('readers', () => {
  it('are the tasks that read an output, each once, and not those that only wait', () => {
    const { tasks, codes } = check(
      `${deploy('staging', 'staging', '')}  smoke: {type: repo_job, cmd: x, env: {A: {get_output: staging.url}, B: {get_output: staging.release}}}
  load: {type: repo_job, cmd: x, env: {A: {get_output: staging.url}}}
  after: {type: repo_job, cmd: x, depends_on: staging}\n`,
    );

    expect(tasks.get('staging')).toMatchObject({ readers: ['smoke', 'load'] });
    expect(codes).toEqual([]);
  });

  it('do not hold the lock across a gate', () => {
    const { tasks, codes } = check(
      `${deploy('staging', 'staging', '')}  ok: {type: approval, environment: production, depends_on: staging}
${deploy('production', 'production', 'ok')}  late: {type: repo_job, cmd: x, depends_on: ok, env: {A: {get_output: staging.url}}}\n`,
    );

    expect(tasks.get('staging')).toMatchObject({ readers: [] });
    expect(codes).toEqual(['reader-behind-gate']);
  });

  it('may be behind an approval that came before the deploy', () => {
    const { tasks, codes } = check(
      `  ok: {type: approval, environment: production, depends_on: template}
${deploy('production', 'production', 'ok')}  smoke: {type: repo_job, cmd: x, env: {A: {get_output: production.url}}}\n`,
    );

    expect(tasks.get('production')).toMatchObject({ readers: ['smoke'] });
    expect(codes).toEqual([]);
  });

  it('may wait for a deploy that was over before', () => {
    const { codes } = check(
      `${deploy('staging', 'staging', '')}${deploy('production', 'production', 'staging')}  smoke: {type: repo_job, cmd: x, env: {A: {get_output: production.url}}}\n`,
    );

    expect(codes).toEqual([]);
  });

  it('may not wait for a deploy beside the one they read: two locks at once can stand against each other', () => {
    const { codes } = check(
      `${deploy('staging', 'staging', '')}${deploy('production', 'production', '')}  both: {type: repo_job, cmd: x, env: {A: {get_output: staging.url}, B: {get_output: production.url}}}\n`,
    );

    expect(codes).toEqual(['lock-nested', 'lock-nested']);
  });
});

describe('covers', () => {
  it('are the deploys to the environment of the approval that come after it', () => {
    const { tasks, codes } = check(
      `  ok: {type: approval, environment: production, depends_on: template}
${deploy('first', 'production', 'ok')}${deploy('second', 'production', 'first')}${deploy('staging', 'staging', 'ok')}`,
    );

    expect(tasks.get('ok')).toMatchObject({ covers: ['first', 'second'] });
    expect(codes).toEqual([]);
  });

  it('do not reach past a template that is made after the decision', () => {
    const { codes } = check(
      `  ok: {type: approval, environment: production, depends_on: build}
  late: {type: generate_template, image: {get_output: build}, depends_on: ok}
  live: {type: deploy_stack, environment: production, template: {get_output: late}}\n`,
    );

    expect(codes).toEqual(['gate-unbound']);
  });
});

describe('deploys', () => {
  it('do not need an image or a start command where the template can bring everything', () => {
    const { codes } = check(`  own: {type: generate_template, depends_on: build}\n`);
    const { errors } = checkPlan(
      'version: 1\napplications: {thingy: {}}\nenvironments: {live: {compute: heat}}\nworkflow:\n  t: {type: generate_template}\n  d: {type: deploy_stack, environment: live, template: {get_output: t}}\n',
    );

    expect(codes).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('of one build may go to docker and swarm alike', () => {
    const { errors } = checkPlan(
      `version: 1
applications: {thingy: {}}
environments: {one: {compute: docker}, two: {compute: swarm}}
workflow:
  b: {type: build_image}
  t: {type: generate_template, image: {get_output: b}}
  d: {type: deploy_stack, environment: one, template: {get_output: t}}
  e: {type: deploy_stack, environment: two, template: {get_output: t}}
`,
    );

    expect(errors).toEqual([]);
  });

  it('are not warned of builds of other applications, or of jobs that only sound like one', () => {
    const { warnings } = checkPlan(
      `version: 1
applications: {thingy: {start: x}, other: {start: x}}
environments: {live: {}}
workflow:
  docs-build: {type: repo_job, cmd: x}
  other-build: {type: build_image, application: other}
  b: {type: build_image, application: thingy}
  t: {type: generate_template, application: thingy, image: {get_output: b}}
  d: {type: deploy_stack, environment: live, template: {get_output: t}}
`,
    );

    expect(warnings).toEqual([]);
  });

  it('of a broken environment, application or template get no second problem', () => {
    const { errors } = checkPlan(
      `version: 1
applications: {thingy: {port: x}}
environments: {live: {compute: x}}
workflow:
  t: {type: generate_template, application: thingy}
  d: {type: deploy_stack, environment: live, template: {get_output: t}}
  e: {type: deploy_stack, environment: live, template: {get_output: gone}}
`,
    );

    expect(errors.map(({ code }) => code)).toEqual(['value-invalid', 'value-invalid', 'task-unknown']);
  });

  it('builds an image where one is deployed, with the usual Dockerfile unless the plan says otherwise (I5)', () => {
    const plan = (keys: string, compute: string) => `version: 1
applications: {thingy: {start: run}}
environments: {staging: {compute: ${compute}}}
workflow:
  facts: {type: repo_job, cmd: x}
  deployed: {type: build_image${keys}}
  alone: {type: build_image, target: app, args: {A: {get_output: deployed}}}
  plain: {type: build_image}
  template: {type: generate_template, image: {get_output: deployed}}
  staging: {type: deploy_stack, environment: staging, template: {get_output: template}}
`;
    const imagesOf = (text: string) =>
      Object.fromEntries(
        (checkPlan(text).compiled?.graph.tasks ?? []).flatMap((task) =>
          task.type === 'build_image' ? [[task.name, task.image]] : [],
        ),
      );
    const usual = { dockerfile: 'Dockerfile', target: undefined, args: {} };
    const alone = { ...usual, target: 'app', args: { A: { output: { task: 'deployed', key: '' } } } };

    expect(imagesOf(plan('', 'docker'))).toEqual({ deployed: usual, alone, plain: undefined });
    expect(imagesOf(plan(', dockerfile: a/b', 'docker'))).toMatchObject({ deployed: { dockerfile: 'a/b' } });
    expect(imagesOf(plan('', 'process'))).toEqual({ deployed: undefined, alone, plain: undefined });
  });

  it('lets a template without an image build the one of its commit where one is needed', () => {
    const buildsOf = (compute: string, keys: string) =>
      checkPlan(`version: 1
applications: {thingy: {start: run}}
environments: {staging: {compute: ${compute}}}
workflow:
  build: {type: build_image}
  template: {type: generate_template${keys}}
  alone: {type: generate_template}
  staging: {type: deploy_stack, environment: staging, template: {get_output: template}}
`).compiled?.graph.tasks.flatMap((task) => (task.type === 'generate_template' ? [[task.name, task.build]] : []));
    const usual = { dockerfile: 'Dockerfile', target: undefined, args: {} };

    expect(buildsOf('docker', '')).toEqual([
      ['template', usual],
      ['alone', undefined],
    ]);
    expect(buildsOf('docker', ', image: {get_output: build}')).toContainEqual(['template', undefined]);
    expect(buildsOf('heat', '')).toContainEqual(['template', undefined]);
  });

  it('leaves it open what a build makes for an environment that does not exist', () => {
    const { codes } = check(deploy('there', 'nowhere', ''));

    expect(codes).toEqual(['environment-unknown']);
  });
});
