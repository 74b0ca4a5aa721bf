import type { SecretView, TokenView } from '../../api/schema.ts';
import { addCommand, addGroup, collect, listOption, segment, textOption } from '../command.ts';
import type { Registry, Tools } from '../command.ts';
import { exitCodes, usage } from '../failure.ts';
import { readSecret } from '../input.ts';
import { table } from '../text.ts';

type Options = Readonly<Record<string, unknown>>;
const maxSecretBytes = 65_536;

export function credentialCommands(registry: Registry): void {
  secretCommands(registry);
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
  const value = await readSecret(context, file, maxSecretBytes);
  if (value === '')
    throw usage('The secret is empty', 'Give it on standard input: loam secret put APPLICATION NAME < file');
  const answer = await client.request('PUT', `/v1/applications/${segment(application)}/secrets/${segment(name)}`, {
    value,
    ...(environment !== undefined && { environment }),
  });
  show(answer, () => `Stored ${name ?? ''} for ${environment ?? 'all environments'} of ${application ?? ''}.\n`);
  return exitCodes.ok;
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
        'loam token add ann --role developer:thingy --role approver:thingy/production',
        'loam token add dashboard --role viewer --expires-at 2030-01-31T10:00:00Z',
        'LOAM_TOKEN=$(loam token add ci --role developer --json | jq -r .token)',
      ],
      more: `Roles: viewer sees, developer also triggers, cancels and retries, approver also decides gates, admin does all.
ROLE holds everywhere, ROLE:APPLICATION there; approver and admin also as ROLE:APPLICATION/ENVIRONMENT. Who has a role in an application sees all of it.`,
    },
    async ({ client, show }, [name], options) => {
      const token = await client.request<TokenView & { token: string }>('PUT', `/v1/tokens/${segment(name)}`, {
        roles: listOption(options, 'role'),
        expiresAt: textOption(options, 'expiresAt'),
      });
      show(token, () => `${token.token}\n`);
      return exitCodes.ok;
    },
  )
    .requiredOption('--role <role>', 'viewer, developer, approver or admin, and where (repeat it)', collect)
    .option('--expires-at <instant>', 'when it ends by itself, such as 2030-01-31T10:00:00Z (default: never)');
  addCommand(
    registry,
    group,
    { usage: 'list', summary: 'list the tokens: names, roles and when they expire', examples: ['loam token list'] },
    async ({ client, show }) => {
      const document = await client.request<{ tokens: TokenView[] }>('GET', '/v1/tokens');
      show(document, () =>
        table(
          document.tokens.map(({ name, roles, expiresAt }) => [name, roles.join(' '), expiresAt ?? 'does not expire']),
        ),
      );
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
