import { head, apps, path, job, withPath, manyTasks } from './problem-cases.ts';
import type { ProblemCase } from './problem-cases.ts';

const onSwarm = path.replace('environment: staging', 'environment: swarm');

export const graphCases: readonly ProblemCase[] = [
  {
    code: 'application-unknown',
    text: `${head}${apps}workflow: {a: {type: build_image, application: thing}}`,
    at: '4:48',
    remedy: '"thingy"',
  },
  {
    code: 'environment-unknown',
    text: withPath('  ok: {type: approval, environment: stagin}\n'),
    at: '8:37',
    remedy: '"staging"',
  },
  {
    code: 'environment-unknown',
    text: `${head}workflow: {a: {type: approval, environment: default}}`,
    at: '2:45',
    remedy: 'inherit',
  },
  {
    code: 'environment-unknown',
    text: `${head}workflow: {a: {type: approval, environment: x}}`,
    at: '2:45',
    remedy: 'There is none',
  },
  { code: 'task-unknown', text: job('depends_on: [tests]'), at: '2:58', remedy: 'Did you mean "test"' },
  { code: 'task-unknown', text: job('depends_on: lint'), at: '2:57', remedy: 'Use one of "test"' },
  { code: 'self-need', text: job('depends_on: test'), at: '2:57', remedy: 'Remove' },
  { code: 'self-need', text: job('env: {A: {get_output: test.x}}'), at: '2:67', remedy: 'Remove' },
  {
    code: 'cycle',
    text: `${head}workflow:\n  a: {type: repo_job, cmd: x, depends_on: c}\n  b: {type: repo_job, cmd: x, depends_on: a}\n  c: {type: repo_job, cmd: x, depends_on: b}`,
    at: '3:3',
    remedy: 'depends_on',
  },
  {
    code: 'output-unknown',
    text: withPath('  smoke: {type: repo_job, cmd: x, env: {A: {get_output: staging}}}\n'),
    at: '8:57',
    remedy: 'staging.url or staging.release',
  },
  {
    code: 'output-unknown',
    text: withPath('  smoke: {type: repo_job, cmd: x, env: {A: {get_output: build.size}}}\n'),
    at: '8:57',
    remedy: 'build or build.digest',
  },
  {
    code: 'output-unknown',
    text: `${head}workflow:\n  a: {type: repo_job, cmd: x}\n  b: {type: repo_job, cmd: x, env: {A: {get_output: a.coverage}}}`,
    at: '4:53',
    remedy: 'no outputs',
  },
  {
    code: 'output-unknown',
    text: withPath(
      '  ok: {type: approval, environment: staging, depends_on: template}\n  b: {type: repo_job, cmd: x, env: {A: {get_output: ok}}}\n',
    ),
    at: '9:53',
    remedy: 'approval has no outputs',
  },
  {
    code: 'output-kind',
    text: withPath('  b: {type: deploy_stack, environment: staging, template: {get_output: build}}\n'),
    at: '8:72',
    remedy: 'generate_template',
  },
  {
    code: 'output-kind',
    text: withPath('  b: {type: generate_template, image: {get_output: template}}\n'),
    at: '8:52',
    remedy: 'build_image',
  },
  {
    code: 'template-environment',
    text: `${head}${apps}workflow:\n${path.replace('generate_template', 'generate_template, environment: production')}`,
    at: '7:78',
    remedy: 'Leave',
  },
  {
    code: 'image-missing',
    text: `${head}${apps}workflow:\n${path.replace(', image: {get_output: build.digest}', ', depends_on: build')}`,
    at: '7:78',
    remedy: 'build.digest',
  },
  {
    code: 'start-missing',
    text: `${head}${apps.replace('start', 'health').replace('run', '/')}workflow:\n${path}`,
    at: '2:16',
    remedy: '`start:`',
  },
  {
    code: 'build-key-unfit',
    text: `${head}${apps}workflow:\n${onSwarm.replace('build_image', 'build_image, cmd: make')}`,
    at: '5:35',
    remedy: 'RUN step',
  },
  {
    code: 'build-key-unfit',
    text: `${head}${apps}workflow:\n${path.replace('build_image', 'build_image, target: app')}`,
    at: '5:3',
    remedy: 'compute: docker',
  },
  {
    code: 'build-env-unused',
    text: `${head}${apps}workflow:\n${onSwarm.replace('build_image', 'build_image, env: {A: b}')}`,
    at: '5:3',
    remedy: '`args`',
  },
  {
    code: 'build-mixed',
    text: withPath('  b: {type: deploy_stack, environment: swarm, template: {get_output: template}}\n'),
    at: '5:3',
    remedy: 'one build_image',
  },
  {
    code: 'unbuilt-deploy',
    text: withPath('  thingy-build: {type: repo_job, cmd: make}\n'),
    at: '7:3',
    remedy: 'Add thingy-build',
  },
  {
    code: 'gate-unbound',
    text: withPath(
      '  ok: {type: approval, environment: production}\n  live: {type: deploy_stack, environment: production, depends_on: ok, template: {get_output: template}}\n',
    ),
    at: '9:94',
    remedy: 'Add template to the depends_on of ok',
  },
  {
    code: 'gate-covers-nothing',
    text: withPath('  ok: {type: approval, environment: production, depends_on: staging}\n'),
    at: '8:3',
    remedy: 'Add ok',
  },
  {
    code: 'reader-behind-gate',
    text: withPath(
      '  ok: {type: approval, environment: production, depends_on: staging}\n  live: {type: deploy_stack, environment: production, depends_on: ok, template: {get_output: template}}\n  late: {type: repo_job, cmd: x, depends_on: ok, env: {A: {get_output: staging.url}}}\n',
    ),
    at: '10:72',
    remedy: 'before the approval',
  },
  {
    code: 'lock-nested',
    text: withPath(
      '  live: {type: deploy_stack, environment: production, depends_on: staging, template: {get_output: template}}\n  smoke: {type: repo_job, cmd: x, depends_on: live, env: {A: {get_output: staging.url}}}\n',
    ),
    at: '9:75',
    remedy: 'Let live come before staging',
  },
  {
    code: 'graph-too-large',
    text: `${head}workflow:\n${manyTasks(20).replaceAll('tox', 'x'.repeat(12_000))}`,
    at: '2:1',
    remedy: 'Move long commands',
  },
];
