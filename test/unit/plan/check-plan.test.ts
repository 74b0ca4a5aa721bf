import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Problem } from '../../../src/core/errors.ts';
import type { CompiledTask } from '../../../src/core/graph/graph.ts';
import { checkPlan, maxProblems } from '../../../src/core/plan/check-plan.ts';
import type { CompiledPlan } from '../../../src/core/plan/plan.ts';

function readFixture(name: string): string {
  return readFileSync(new URL(`../../fixtures/plans/${name}.yaml`, import.meta.url), 'utf8');
}

function compile(text: string): CompiledPlan {
  const { compiled, errors } = checkPlan(text);
  expect(errors).toEqual([]);
  if (compiled === undefined) throw new Error('not compiled');
  return compiled;
}

function taskOf(plan: CompiledPlan, name: string): CompiledTask {
  const found = plan.graph.tasks.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no task ${name}`);
  return found;
}

function places(problems: readonly Problem[]): readonly string[] {
  return problems.map(({ code, line, column }) => `${String(code)} ${String(line)}:${String(column)}`);
}

const jobs = (tasks: string) => `version: 1\nworkflow:\n${tasks}`;

describe('the plan of the newcomer', () => {
  it('compiles without an error and without a warning', () => {
    const result = checkPlan(readFixture('newcomer'));

    expect(result.errors).toEqual([]);
    expect(result.warnings).toEqual([]);
    expect(result.compiled?.graph.tasks.map(({ name }) => name)).toEqual([
      'test',
      'build',
      'template',
      'staging',
      'smoke',
      'approve',
      'production',
    ]);
  });

  it('keeps staging locked for its smoke test and binds the approval to production', () => {
    const plan = compile(readFixture('newcomer'));

    expect(taskOf(plan, 'staging')).toMatchObject({
      needs: ['template'],
      readers: ['smoke'],
      rerun: 'resume',
      timeoutMs: 900_000,
    });
    expect(taskOf(plan, 'approve')).toMatchObject({
      needs: ['smoke'],
      covers: ['production'],
      timeoutMs: 604_800_000,
      maxAttempts: 1,
    });
    expect(taskOf(plan, 'production')).toMatchObject({ needs: ['template', 'approve'], readers: [] });
    expect(taskOf(plan, 'build')).toMatchObject({
      application: 'thingy',
      cmd: undefined,
      network: 'egress',
      timeoutMs: 3_600_000,
    });
    expect(taskOf(plan, 'template')).toMatchObject({
      image: { output: { task: 'build', key: 'digest' } },
      timeoutMs: 300_000,
    });
  });

  it('is what the demo application has', () => {
    const demo = readFileSync(new URL('../../../examples/thingy/loam.yaml', import.meta.url), 'utf8');

    expect(checkPlan(demo)).toEqual(checkPlan(readFixture('newcomer')));
  });
});

describe('the plan of 2014', () => {
  it('compiles as it stands, each doubt a warning with its place', () => {
    const { compiled, errors, warnings } = checkPlan(readFixture('original'));

    expect(errors).toEqual([]);
    expect(places(warnings)).toEqual([
      'version-absent 1:1',
      'literal-secret 7:46',
      'literal-secret 8:29',
      'unbuilt-deploy 13:3',
    ]);
    expect(compiled?.environments).toEqual([
      {
        name: 'production',
        compute: 'docker',
        config: {},
        trust: undefined,
        settings: { region: 'US1', flavor: 'm1.large' },
      },
    ]);
    expect(compiled?.applications[0]?.services).toEqual(['trove', 'remote_logging']);
    expect(compiled?.graph.tasks.map(({ name }) => name)).toEqual(['check', 'gen_template', 'build', 'deploy']);
  });

  it('is read as meant with services as folded text and a command in typographic quotes', () => {
    const { compiled, errors, warnings } = checkPlan(readFixture('original-2014'));

    expect(errors).toEqual([]);
    expect(places(warnings)).toEqual([
      'version-absent 1:1',
      'services-as-text 4:5',
      'literal-secret 13:18',
      'literal-secret 17:18',
      'quotes-typographic 32:10',
      'unbuilt-deploy 33:3',
    ]);
    expect(compiled).toEqual(checkPlan(readFixture('original')).compiled);
  });

  it('leaves no token in what is compiled (I7)', () => {
    const text = JSON.stringify(checkPlan(readFixture('original')));

    expect(text).not.toMatch(/bla-bla|foo-fee/);
  });
});

describe('checkPlan', () => {
  it('inherits from default key by key', () => {
    const plan = compile(
      `version: 1
environments:
  default: {compute: swarm, trust: demo, region: SYD, zone: 010, config: {A: 1, B: two}}
  one: {compute: docker, trust: other, zone: b, config: {B: 2.50, C: {secret: key}}}
  two:
workflow: {test: {type: repo_job, cmd: tox}}`,
    );

    expect(plan.environments).toEqual([
      {
        name: 'one',
        compute: 'docker',
        trust: 'other',
        config: { A: { literal: '1' }, B: { literal: '2.50' }, C: { secret: 'key' } },
        settings: { region: 'SYD', zone: 'b' },
      },
      {
        name: 'two',
        compute: 'swarm',
        trust: 'demo',
        config: { A: { literal: '1' }, B: { literal: 'two' } },
        settings: { region: 'SYD', zone: '010' },
      },
    ]);
  });

  it('takes numbers and booleans of variables as they are written', () => {
    const plan = compile(
      jobs('  test: {type: repo_job, cmd: tox, env: {A: 3.10, B: 010, C: True, D: 0x1F, E: "", F: yes}}'),
    );

    expect(taskOf(plan, 'test')).toMatchObject({
      env: {
        A: { literal: '3.10' },
        B: { literal: '010' },
        C: { literal: 'True' },
        D: { literal: '0x1F' },
        E: { literal: '' },
        F: { literal: 'yes' },
      },
    });
  });

  it('gives defaults to jobs and builds, and to nothing else', () => {
    const plan = compile(
      `version: 1
on_failure: continue
on: {branches: [main, release/*]}
defaults: {timeout: 90s, retry: {attempts: 2, delay: 10s}, network: none, env: {A: 1, B: 2}}
applications: {thingy: {start: run}}
environments: {staging: {}}
workflow:
  test: {type: repo_job, cmd: tox, env: {B: 3}}
  build: {type: build_image, cmd: make, depends_on: [test], timeout: 2h, retry: 1, network: egress}
  template: {type: generate_template, image: {get_output: build}, timeout: 60}
  deploy: {type: deploy_stack, environment: staging, template: {get_output: template}, rerun: never, retry: {attempts: 3}}`,
    );

    expect(plan.onBranches).toEqual(['main', 'release/*']);
    expect(plan.graph.onFailure).toBe('continue');
    expect(taskOf(plan, 'test')).toMatchObject({
      timeoutMs: 90_000,
      maxAttempts: 3,
      retryDelayMs: 10_000,
      network: 'none',
      env: { A: { literal: '1' }, B: { literal: '3' } },
    });
    expect(taskOf(plan, 'build')).toMatchObject({
      timeoutMs: 7_200_000,
      maxAttempts: 2,
      retryDelayMs: 0,
      network: 'egress',
      cmd: 'make',
    });
    expect(taskOf(plan, 'template')).toMatchObject({
      timeoutMs: 60_000,
      maxAttempts: 1,
      image: { output: { task: 'build', key: '' } },
    });
    expect(taskOf(plan, 'deploy')).toMatchObject({ timeoutMs: 900_000, maxAttempts: 4, rerun: 'never' });
  });

  it('takes secrets by name and the digest of an image that was built elsewhere', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const plan = compile(
      `version: 1
applications: {thingy: {start: run, config: {KEY: {secret: key}}}}
environments: {staging: {compute: docker}}
workflow:
  test: {type: repo_job, cmd: tox, env: {NPM_TOKEN: {secret: npm}}}
  template: {type: generate_template, environment: staging, image: "${digest}", depends_on: test}
  deploy: {type: deploy_stack, environment: staging, template: {get_output: template}}`,
    );

    expect(taskOf(plan, 'test')).toMatchObject({ env: { NPM_TOKEN: { secret: 'npm' } } });
    expect(taskOf(plan, 'template')).toMatchObject({ environment: 'staging', image: { literal: digest } });
    expect(plan.applications[0]?.config).toEqual({ KEY: { secret: 'key' } });
  });

  it('tells a forgotten section from an empty one', () => {
    const plan = compile(
      'version: 1\napplications: {thingy: }\nenvironments:\ndefaults:\non:\nworkflow: {test: {type: repo_job, cmd: tox}}',
    );

    expect(plan).toMatchObject({
      applications: [{ name: 'thingy', health: '/' }],
      environments: [],
      onBranches: undefined,
    });
  });

  it('does not count a byte order mark as a column', () => {
    const { warnings } = checkPlan('\uFEFFworkflow: {test: {type: repo_job, cmd: “tox”}}');

    expect(places(warnings)).toEqual(['version-absent 1:1', 'quotes-typographic 1:40']);
  });

  it('counts lines of every kind of line break', () => {
    const text = jobs('  test: {type: repo_job}').replaceAll('\n', '\r\n');

    expect(places(checkPlan(text).errors)).toEqual(['key-missing 3:3']);
    expect(places(checkPlan(text.replaceAll('\r\n', '\r')).errors)).toEqual(['key-missing 3:3']);
  });

  it('reports every problem at once, in the order of their places', () => {
    const { compiled, errors } = checkPlan(
      `version: 1
enviroments: {staging: {}}
workflow:
  test: {type: repo_job, cmd: 7, depend_on: x}
  test: {type: repo_job}
  build: {type: bild_image}
  deploy: {type: deploy_stack, environment: staging, template: {get_output: templat}}
  template: {type: generate_template, image: *digest}`,
    );

    expect(compiled).toBeUndefined();
    expect(places(errors)).toEqual([
      'key-unknown 2:1',
      'value-invalid 4:31',
      'key-unknown 4:34',
      'yaml-duplicate-key 5:3',
      'type-unknown 6:17',
      'environment-unknown 7:45',
      'task-unknown 7:77',
      'yaml-alias 8:46',
    ]);
    for (const { message, remedy } of errors) expect(`${message} ${String(remedy)}`.length).toBeGreaterThan(20);
  });

  it('shows a hundred problems and counts the others', () => {
    const tasks = Array.from({ length: 150 }, (_, index) => `  t${index}: {type: repo_job}\n`);

    const { errors } = checkPlan(jobs(tasks.join('')));

    expect(errors).toHaveLength(maxProblems);
    expect(errors.at(-1)).toMatchObject({ code: 'too-many-problems', message: 'There are 51 more problems' });
  });

  it('never shows a value, which may be a secret in the wrong place', () => {
    const text = jobs(
      '  test: {type: repo_job, cmd: [hunter2], timeout: hunter2, env: {A: [hunter2]}, retry: hunter2}',
    );

    expect(JSON.stringify(checkPlan(text).errors)).not.toContain('hunter2');
  });

  it('treats names of Object.prototype like any other', () => {
    const plan = compile(
      jobs(
        '  constructor: {type: repo_job, cmd: tox, env: {constructor: a, toString: b}}\n  toString: {type: repo_job, cmd: tox, depends_on: constructor}',
      ),
    );
    const { errors } = checkPlan(
      'version: 1\nconstructor: 1\nworkflow: {a: {type: toString}, b: {type: repo_job, cmd: x, valueOf: 1, depends_on: hasOwnProperty}}',
    );

    expect(plan.graph.tasks.map(({ name }) => name)).toEqual(['constructor', 'toString']);
    expect(taskOf(plan, 'constructor')).toMatchObject({
      env: { constructor: { literal: 'a' }, toString: { literal: 'b' } },
    });
    expect(errors.map(({ code }) => code)).toEqual(['key-unknown', 'type-unknown', 'key-unknown']);
  });
});
