// Version 1 of the plan, as it is written. docs/plan-v1.schema.json is generated from here. Every `error` says what to write instead.
import { z } from 'zod';

export const limits = {
  applications: 50,
  environments: 50,
  tasks: 500,
  variables: 100,
  /** Longer values cannot become an environment variable. */
  valueLength: 4096,
  commandLength: 16_384,
} as const;

function text(error: string, pattern: RegExp, max: number) {
  return z.string({ error }).max(max, { error }).regex(pattern, { error });
}

function whole(least: number, most: number, error: string) {
  return z.int({ error }).min(least, { error }).max(most, { error });
}

const nameError = 'a name of lower-case letters, digits and hyphens, at most 40, beginning with a letter';
const taskNameError =
  'the name of a task: letters, digits, hyphens and underscores, at most 60, beginning with a letter';
const commandError = `a command as text, at most ${limits.commandLength} characters`;
const durationError = 'a duration such as 90s, 15m, 2h or 7d, or whole seconds as a number';
const valueError = `a text (at most ${limits.valueLength} characters), {get_output: task.key} or {secret: name}`;
const settingError = `a text (at most ${limits.valueLength} characters) or {secret: name}`;
const longValue = `a text of at most ${limits.valueLength} characters`;
const argumentError = `a text (at most ${limits.valueLength} characters) or {get_output: task.key}; never a secret`;
const pathError = 'a path inside the tree, such as docker/Dockerfile';
const outputError = 'an output such as {get_output: build.digest}';
const retryError = 'the number of further attempts, 0 to 10, or {attempts: 2, delay: 10s}';

const deployName = text(nameError, /^[a-z][a-z0-9-]{0,39}$/, 40);
const taskName = text(taskNameError, /^[A-Za-z][A-Za-z0-9_-]{0,59}$/, 60);
const serviceName = text(
  'the name of a service: lower-case letters, digits, hyphens and underscores',
  /^[a-z][a-z0-9_-]{0,39}$/,
  40,
);
const variableName = text(
  'the name of a variable: letters, digits and underscores, not beginning with a digit',
  /^[A-Za-z_][A-Za-z0-9_]{0,99}$/,
  100,
);
const secretName = text('the name of a secret: letters, digits, . _ -', /^[A-Za-z][A-Za-z0-9._-]{0,59}$/, 60);
const command = text(commandError, /\S/, limits.commandLength);

const scalar = z.union([z.string().max(limits.valueLength, { error: longValue }), z.number(), z.boolean()], {
  error: settingError,
});
const secret = z.strictObject({ secret: secretName }, { error: settingError });
const output = z.strictObject(
  {
    get_output: text(
      'a task, or a task and its output, such as build.digest',
      /^[A-Za-z][A-Za-z0-9_-]{0,59}(\.[A-Za-z][A-Za-z0-9_-]{0,59})?$/,
      121,
    ),
  },
  { error: outputError },
);
const setting = z.union([scalar, secret], { error: settingError });
const value = z.union([scalar, output, secret], { error: valueError });

export const duration = z
  .union([whole(1, 90 * 86_400, durationError), text(durationError, /^[1-9][0-9]{0,8}[smhd]$/, 10)], {
    error: durationError,
  })
  .describe('90s, 15m, 2h, 7d, or seconds');
export const retry = z
  .union(
    [
      whole(0, 10, retryError),
      z.strictObject({ attempts: whole(0, 10, retryError), delay: z.optional(duration) }, { error: retryError }),
    ],
    { error: retryError },
  )
  .describe('Further attempts after the first has failed.');

const config = z.record(variableName, setting, { error: 'settings by name' });
const env = z
  .record(variableName, value, { error: 'variables by name' })
  .describe('Environment variables: texts, outputs of tasks, secrets by name.');
const network = z
  .enum(['none', 'egress'], { error: '`none` or `egress`' })
  .describe('none: no network at all. egress: the internet, but nothing of Loam.');

const args = z
  .record(variableName, z.union([scalar, output], { error: argumentError }), { error: 'arguments by name' })
  .describe('Build arguments: texts and outputs of tasks. Everybody who has the image can read them.');

export const application = z.strictObject(
  {
    git_url: z
      .optional(text('the address of a git repository', /^\S+$/, 2048))
      .describe('Where the source is; for people.'),
    start: z.optional(command).describe('Command that serves the application; it gets PORT.'),
    port: z
      .optional(whole(1, 65_535, 'a port from 1 to 65535'))
      .describe('Port where each release has a network of its own.'),
    health: z
      .optional(text('a path that begins with /', /^\/[^\s#]*$/, 200))
      .describe('Path that answers 2xx when the release can serve. Default /.'),
    config: z.optional(config).describe('Environment variables of the application.'),
    services: z
      .optional(
        z.union([z.array(serviceName).max(20, 'at most 20 names'), z.string().max(1000, 'at most 20 names')], {
          error: 'a list of names of services',
        }),
      )
      .describe('Backing services, such as a database.'),
  },
  { error: 'an application: a mapping of git_url, start, port, health, config, services' },
);

export const environment = z
  .object(
    {
      compute: z
        .optional(z.enum(['process', 'docker', 'swarm', 'heat'], { error: '`process`, `docker`, `swarm` or `heat`' }))
        .describe('What a release is deployed to. Default process.'),
      trust: z.optional(deployName).describe('Name of a trust that is registered in the service.'),
      trust_token: z
        .optional(z.string({ error: 'nothing: use trust' }))
        .describe('Deprecated; dropped with a warning. Use trust.'),
      config: z.optional(config).describe('Laid over the config of the application.'),
    },
    { error: 'an environment: a mapping, such as {compute: process}' },
  )
  .catchall(scalar);

const dependsOn = z
  .optional(
    z.union([taskName, z.array(taskName).max(limits.tasks, 'fewer names')], {
      error: 'the name of a task, or a list of names',
    }),
  )
  .describe('Tasks that must have succeeded first.');
const common = { depends_on: dependsOn, timeout: z.optional(duration) };
const attempts = {
  retry: z.optional(retry),
  rerun: z
    .optional(z.enum(['restart', 'resume', 'never'], { error: '`restart`, `resume` or `never`' }))
    .describe('What happens when the machine of an attempt is lost.'),
};

export const tasks = {
  repo_job: z.strictObject({
    type: z.literal('repo_job'),
    cmd: command.describe('A script for sh, run in the root of the tree.'),
    env: z.optional(env),
    network: z.optional(network),
    ...common,
    ...attempts,
  }),
  build_image: z.strictObject({
    type: z.literal('build_image'),
    application: z.optional(deployName),
    cmd: z.optional(command).describe('A script that runs in the tree before it is archived; not for an image.'),
    dockerfile: z
      .optional(text(pathError, /^(?!\/)(?!(.*\/)?\.\.?(\/|$))[^\s\\]+(?<!\/)$/, 200))
      .describe('How the image is built. Default Dockerfile.'),
    target: z
      .optional(text('the name of a stage of the Dockerfile', /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 100))
      .describe('Stage to build. Default: the last one.'),
    args: z.optional(args),
    env: z.optional(env),
    network: z.optional(network),
    ...common,
    ...attempts,
  }),
  generate_template: z.strictObject({
    type: z.literal('generate_template'),
    application: z.optional(deployName),
    environment: z.optional(deployName).describe('Makes a template for this environment only.'),
    image: z
      .optional(
        z.union([output, z.string().regex(/^sha256:[0-9a-f]{64}$/)], {
          error: `${outputError}, or a digest (sha256:...)`,
        }),
      )
      .describe('Digest of what is deployed.'),
    ...common,
    ...attempts,
  }),
  deploy_stack: z.strictObject({
    type: z.literal('deploy_stack'),
    environment: deployName,
    template: output.describe('Output of a generate_template task.'),
    ...common,
    ...attempts,
  }),
  approval: z.strictObject({
    type: z.literal('approval'),
    environment: deployName.describe('Its protection in the service says who may decide.'),
    ...common,
  }),
} as const;

export const task = z.discriminatedUnion('type', [
  tasks.repo_job,
  tasks.build_image,
  tasks.generate_template,
  tasks.deploy_stack,
  tasks.approval,
]);

export const on = z.strictObject(
  {
    branches: z
      .optional(
        z
          .array(text('a pattern for branches, such as main or release/*', /^\S+$/, 200))
          .min(1, 'at least one pattern')
          .max(100, 'at most 100 patterns'),
      )
      .describe('Branches that this plan is for; * stands for anything but a slash, ** for anything.'),
  },
  { error: 'a mapping such as {branches: [main]}' },
);

export const defaults = z.strictObject(
  { timeout: z.optional(duration), retry: z.optional(retry), network: z.optional(network), env: z.optional(env) },
  { error: 'a mapping of timeout, retry, network, env' },
);

export const onFailure = z.enum(['fail-fast', 'continue'], { error: '`fail-fast` or `continue`' });

/** The whole plan. The parts are checked one by one, so that one bad task does not hide the mistakes of the others; this joins them for the published schema. */
export const planSchema = z
  .strictObject({
    version: z.optional(z.literal(1)).describe('Version of the plan. Absent means 1, with a warning.'),
    on: z.optional(on),
    defaults: z.optional(defaults).describe('For the repo_job and build_image tasks that do not say otherwise.'),
    on_failure: z
      .optional(onFailure)
      .describe('fail-fast (default): the first failed task ends the run. continue: only what needs it is skipped.'),
    applications: z.optional(z.record(deployName, z.nullable(application))),
    environments: z.optional(z.record(deployName, z.nullable(environment))).describe('They inherit from `default`.'),
    workflow: z.record(taskName, task),
  })
  .meta({ title: 'Loam plan, version 1', description: 'loam.yaml: how a commit reaches production.' });
