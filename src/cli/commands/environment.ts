import type { EnvironmentView } from '../../api/schema.ts';
import { addCommand, addGroup, collect, listOption, segment, textOption } from '../command.ts';
import type { Registry, Tools } from '../command.ts';
import { CliFailure, exitCodes, usage } from '../failure.ts';
import { table } from '../text.ts';

type Options = Readonly<Record<string, unknown>>;

export function environmentCommands(registry: Registry): void {
  const group = addGroup(registry, 'env', 'environments: where releases are deployed to, and what protects them');
  addCommand(
    registry,
    group,
    {
      usage: 'put <application> <environment>',
      summary: 'register or change an environment; what is left out keeps its value',
      examples: [
        'loam env put thingy staging --target process',
        'loam env put thingy production --protected --branch main --trust demo',
        'loam env put thingy staging --config GREETING=hello --unset OLD_KEY',
      ],
      more: 'A protected environment deploys only what a person with the role approver has approved, whatever the plan says.',
    },
    putEnvironment,
  )
    .option('--target <kind>', 'process, docker, swarm or heat')
    .option('--protected', 'ask for an approval')
    .option('--no-protected', 'ask for none')
    .option('--branch <glob>', 'only these branches may deploy here (repeat it)', collect)
    .option('--all-branches', 'every branch may deploy here')
    .option('--trust <name>', 'the trust that its deploys use')
    .option('--no-trust', 'none')
    .option('--replicas <count>', 'how many of each release')
    .option('--memory <MiB>', 'memory that each container may use')
    .option('--no-memory', 'no limit')
    .option('--cpus <count>', 'cores that each container may use, such as 0.5')
    .option('--no-cpus', 'no limit')
    .option('--lock-policy <policy>', 'queue: first come, first served; newest: a newer run replaces those that wait')
    .option('--config <KEY=VALUE>', 'a setting of this environment (repeat it)', collect)
    .option('--unset <KEY>', 'takes a setting away (repeat it)', collect);
  readingCommands(registry, group);
}

function readingCommands(registry: Registry, group: ReturnType<typeof addGroup>): void {
  addCommand(
    registry,
    group,
    {
      usage: 'list [application]',
      summary: 'list the environments, and what is live there',
      examples: ['loam env list', 'loam env list thingy'],
    },
    async ({ client, show }, [application]) => {
      const query = application === undefined ? '' : `?application=${segment(application)}`;
      const document = await client.request<{ environments: EnvironmentView[] }>('GET', `/v1/environments${query}`);
      show(document, () => drawList(document.environments));
      return exitCodes.ok;
    },
  );
  addCommand(
    registry,
    group,
    {
      usage: 'show <application> <environment>',
      summary: 'show an environment',
      examples: ['loam env show thingy production'],
    },
    async ({ client, show }, [application, name]) => {
      const one = await client.request<EnvironmentView>('GET', pathOf(application, name));
      show(one, () => drawEnvironment(one));
      return exitCodes.ok;
    },
  );
}

function pathOf(application: string | undefined, name: string | undefined): string {
  return `/v1/applications/${segment(application)}/environments/${segment(name)}`;
}

async function putEnvironment(
  { client, show }: Tools,
  [application, name]: readonly (string | undefined)[],
  options: Options,
): Promise<number> {
  const path = pathOf(application, name);
  const settings = readSettings(options);
  const [set, unset] = [listOption(options, 'config'), listOption(options, 'unset')];
  if (set !== undefined || unset !== undefined) {
    const before = await client.request<EnvironmentView>('GET', path).catch(ignoreUnknown);
    settings['config'] = mergeConfig(before?.config ?? {}, set ?? [], unset ?? []);
  }
  const one = await client.request<EnvironmentView>('PUT', path, settings);
  show(one, () => drawEnvironment(one));
  return exitCodes.ok;
}

function ignoreUnknown(error: unknown): undefined {
  if (error instanceof CliFailure && error.code === 'environment-unknown') return undefined;
  throw error;
}

function readSettings(options: Options): Record<string, unknown> {
  const { target, protected: isProtected, allBranches, trust, replicas, lockPolicy } = options;
  const branches = allBranches === true ? [] : listOption(options, 'branch');
  return {
    ...(target !== undefined && { target }),
    ...(isProtected !== undefined && { protected: isProtected }),
    ...(branches !== undefined && { branches }),
    ...(trust !== undefined && { trust: trust === false ? null : trust }),
    ...(replicas !== undefined && { replicas: readCount(textOption(options, 'replicas')) }),
    ...readLimit(options, 'memory', 'memoryMb'),
    ...readLimit(options, 'cpus', 'cpus'),
    ...(lockPolicy !== undefined && { lockPolicy }),
  };
}

function readCount(text = ''): number {
  if (!/^[0-9]{1,3}$/.test(text)) throw usage(`--replicas takes a whole number, not "${text}"`);
  return Number(text);
}

function readLimit(options: Options, option: 'memory' | 'cpus', key: string): Readonly<Record<string, number | null>> {
  if (options[option] === undefined) return {};
  if (options[option] === false) return { [key]: null };
  const text = textOption(options, option) ?? '';
  if (!/^\d{1,9}(\.\d{1,2})?$/.test(text)) throw usage(`--${option} takes a number, not "${text}"`);
  return { [key]: Number(text) };
}

function mergeConfig(
  before: Readonly<Record<string, string>>,
  set: readonly string[],
  unset: readonly string[],
): Record<string, string> {
  const config = new Map(Object.entries(before));
  for (const one of set) {
    const at = one.indexOf('=');
    if (at < 1) throw usage(`--config takes KEY=VALUE, not "${one}"`);
    config.set(one.slice(0, at), one.slice(at + 1));
  }
  for (const key of unset) config.delete(key);
  return Object.fromEntries(config);
}

function drawList(environments: readonly EnvironmentView[]): string {
  if (environments.length === 0)
    return 'No environments yet: the first deploy of a plan makes them on this machine, or "loam env put APPLICATION NAME" does.\n';
  return table(
    environments.map((one) => [
      `${one.application}/${one.name}`,
      one.target,
      one.protected ? 'protected' : 'open',
      one.liveRelease === null ? 'nothing live' : `release ${one.liveRelease}`,
      one.url ?? '',
    ]),
  );
}

function drawEnvironment(one: EnvironmentView): string {
  return table([
    ['environment', `${one.application}/${one.name}`],
    ['target', one.target],
    ['protected', one.protected ? 'yes: deploys need an approval' : 'no'],
    ['branches', one.branches.join(' ') || 'all'],
    ['trust', one.trust ?? 'none'],
    ['replicas', String(one.replicas)],
    ['memory', one.memoryMb === null ? 'no limit' : `${one.memoryMb} MiB each`],
    ['cores', one.cpus === null ? 'no limit' : `${one.cpus} each`],
    ['lock', one.lockPolicy],
    [
      'config',
      Object.entries(one.config)
        .map(([key, value]) => `${key}=${value}`)
        .join(' ') || 'none',
    ],
    ['live', one.liveRelease === null ? 'nothing' : `release ${one.liveRelease}`],
    ['url', one.url ?? 'none'],
  ]);
}
