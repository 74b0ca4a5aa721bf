import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { SecretView, TokenView, TrustView } from '../../api/schema.ts';
import { addCommand, addGroup, collect, listOption, segment, textOption } from '../command.ts';
import type { Registry, Tools } from '../command.ts';
import { CliFailure, exitCodes, usage } from '../failure.ts';
import { readInput } from '../input.ts';
import { oneLine, table } from '../text.ts';

type Options = Readonly<Record<string, unknown>>;
const maxSecretBytes = 65_536;

export function credentialCommands(registry: Registry): void {
  secretCommands(registry);
  trustCommands(registry);
  tokenCommands(registry);
}

function secretCommands(registry: Registry): void {
  const group = addGroup(registry, 'secret', 'secrets of an application; values go in and never come out');
  addCommand(
    registry,
    group,
    {
      usage: 'put <application> <name>',
      summary: 'store a secret, read from standard input or a file',
      examples: [
        'loam secret put thingy API_KEY < key.txt',
        'loam secret put thingy API_KEY --environment production --file key.txt',
      ],
      more: 'Never as an argument: other users of the machine see those. One line break at the end is left out.',
    },
    putSecret,
  )
    .option('--environment <name>', 'only for this environment (default: all)')
    .option('--file <path>', 'read it from this file');
  addCommand(
    registry,
    group,
    { usage: 'list <application>', summary: 'list the names', examples: ['loam secret list thingy'] },
    async ({ client, show }, [application]) => {
      const document = await client.request<{ secrets: SecretView[] }>(
        'GET',
        `/v1/applications/${segment(application)}/secrets`,
      );
      show(document, () => {
        if (document.secrets.length === 0)
          return `${application ?? ''} has no secrets yet: "loam secret put" stores one.\n`;
        return table(document.secrets.map((one) => [one.name, one.environment ?? 'all environments', one.changedAt]));
      });
      return exitCodes.ok;
    },
  );
  addCommand(
    registry,
    group,
    {
      usage: 'remove <application> <name>',
      summary: 'remove a secret',
      examples: ['loam secret remove thingy API_KEY'],
    },
    async ({ client, show }, [application, name], options) => {
      const environment = textOption(options, 'environment');
      const query = environment === undefined ? '' : `?environment=${segment(environment)}`;
      const answer = await client.request(
        'DELETE',
        `/v1/applications/${segment(application)}/secrets/${segment(name)}${query}`,
      );
      show(answer, () => `Removed ${name ?? ''}.\n`);
      return exitCodes.ok;
    },
  ).option('--environment <name>', 'the one of this environment');
}

async function putSecret(
  { client, context, show }: Tools,
  [application, name]: readonly (string | undefined)[],
  options: Options,
): Promise<number> {
  const [file, environment] = [textOption(options, 'file'), textOption(options, 'environment')];
  if (file === undefined && context.isInputTerminal)
    context.writeError('Type the secret, then Ctrl-D on a line of its own:\n');
  const text =
    file === undefined ? await readInput(context.input, maxSecretBytes) : await readSecretFile(context.folder, file);
  const value = text.replace(/\r?\n$/, '');
  if (value === '')
    throw usage('The secret is empty', 'Give it on standard input: loam secret put APPLICATION NAME < file');
  const answer = await client.request('PUT', `/v1/applications/${segment(application)}/secrets/${segment(name)}`, {
    value,
    ...(environment !== undefined && { environment }),
  });
  show(answer, () => `Stored ${name ?? ''} for ${environment ?? 'all environments'} of ${application ?? ''}.\n`);
  return exitCodes.ok;
}

async function readSecretFile(folder: string, file: string): Promise<string> {
  try {
    return await readFile(path.resolve(folder, file), 'utf8');
  } catch {
    throw new CliFailure(exitCodes.notFound, `${file} cannot be read`, { code: 'not-found' });
  }
}

function trustCommands(registry: Registry): void {
  const group = addGroup(registry, 'trust', 'trusts: delegated rights to act, kept alive while a run needs them');
  addCommand(
    registry,
    group,
    {
      usage: 'put <name>',
      summary: 'register or change a trust',
      examples: ['loam trust put demo --command /usr/local/bin/draw-token --command production'],
      more: 'The program prints a token and when it expires; it runs on the machine of the worker. Nothing in its arguments may be secret.',
    },
    async ({ client, show }, [name], options) => {
      const settings = readTrustSettings(options);
      const trust = await client.request<TrustView>('PUT', `/v1/trusts/${segment(name)}`, {
        provider: 'exec',
        settings,
      });
      show(trust, () => drawTrusts([trust]));
      return exitCodes.ok;
    },
  )
    .option('--command <word>', 'program and arguments of the provider exec, a word each (repeat it)', collect)
    .option('--setting <KEY=JSON>', 'a further setting of the provider (repeat it)', collect);
  addCommand(
    registry,
    group,
    { usage: 'list', summary: 'list the trusts and how they stand', examples: ['loam trust list'] },
    async ({ client, show }) => {
      const document = await client.request<{ trusts: TrustView[] }>('GET', '/v1/trusts');
      show(document, () => drawTrusts(document.trusts));
      return exitCodes.ok;
    },
  );
}

function readTrustSettings(options: Options): Record<string, unknown> {
  const command = listOption(options, 'command');
  const settings: Record<string, unknown> = command === undefined ? {} : { command };
  for (const one of listOption(options, 'setting') ?? []) {
    const at = one.indexOf('=');
    if (at < 1) throw usage(`--setting takes KEY=JSON, not "${oneLine(one)}"`);
    settings[one.slice(0, at)] = parseLoosely(one.slice(at + 1));
  }
  if (Object.keys(settings).length === 0)
    throw usage('A trust needs settings', 'Name the program that draws tokens: --command PROGRAM --command ARGUMENT');
  return settings;
}

/** `5` and `["a"]` are JSON; a bare word is the text itself. */
function parseLoosely(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function drawTrusts(trusts: readonly TrustView[]): string {
  if (trusts.length === 0) return 'No trusts yet: "loam trust put NAME" registers one.\n';
  return table(
    trusts.map((one) => [
      one.name,
      one.provider,
      one.state,
      one.expiresAt === null ? 'no token yet' : `token ${one.generation} until ${one.expiresAt}`,
      oneLine(one.reason ?? ''),
    ]),
  );
}

function tokenCommands(registry: Registry): void {
  const group = addGroup(registry, 'token', 'tokens of people and programs; each has a role');
  addCommand(
    registry,
    group,
    {
      usage: 'add <name>',
      summary: 'make a token, which is shown only this once; a repeated name replaces the old one',
      examples: [
        'loam token add ann --role approver',
        'LOAM_TOKEN=$(loam token add ci --role developer --json | jq -r .token)',
      ],
      more: 'Roles: viewer sees, developer also triggers, cancels and retries, approver also decides gates, admin does all.',
    },
    async ({ client, show }, [name], options) => {
      const token = await client.request<TokenView & { token: string }>('PUT', `/v1/tokens/${segment(name)}`, {
        role: options['role'],
      });
      show(token, () => `${token.token}\n`);
      return exitCodes.ok;
    },
  ).requiredOption('--role <role>', 'viewer, developer, approver or admin');
  addCommand(
    registry,
    group,
    { usage: 'list', summary: 'list the tokens: names and roles', examples: ['loam token list'] },
    async ({ client, show }) => {
      const document = await client.request<{ tokens: TokenView[] }>('GET', '/v1/tokens');
      show(document, () => table(document.tokens.map((one) => [one.name, one.role, one.createdAt])));
      return exitCodes.ok;
    },
  );
  addCommand(
    registry,
    group,
    {
      usage: 'remove <name>',
      summary: 'remove a token: it opens nothing from now on',
      examples: ['loam token remove ann'],
    },
    async ({ client, show }, [name]) => {
      const answer = await client.request('DELETE', `/v1/tokens/${segment(name)}`);
      show(answer, () => `Removed the token ${name ?? ''}.\n`);
      return exitCodes.ok;
    },
  );
}
