import { Option } from 'commander';
import type { TrustView } from '../../api/schema.ts';
import { addCommand, addGroup, collect, listOption, segment, textOption } from '../command.ts';
import type { Registry, Tools } from '../command.ts';
import type { CliContext } from '../context.ts';
import { exitCodes, usage } from '../failure.ts';
import { readSecret } from '../input.ts';
import { oneLine, table } from '../text.ts';

type Args = readonly (string | undefined)[];
type Options = Readonly<Record<string, unknown>>;
const maxTokenBytes = 32_768;

export function trustCommands(registry: Registry): void {
  const group = addGroup(registry, 'trust', 'trusts: delegated rights to act, kept alive while a run needs them');
  addCommand(
    registry,
    group,
    {
      usage: 'put <name>',
      summary: 'register or change a trust',
      examples: [
        'loam trust put demo --command /usr/local/bin/draw-token --command production',
        'loam trust put cloud --provider static --expires-at 2030-01-31T10:00:00Z < token.txt',
      ],
      more: 'The program prints a token and when it expires; it runs on the machine of the worker. Nothing in its arguments may be secret.',
    },
    putTrust,
  )
    .addOption(
      new Option('--provider <kind>', 'where its tokens come from').choices(['exec', 'static']).default('exec'),
    )
    .option('--command <word>', 'program and arguments of the provider exec, a word each (repeat it)', collect)
    .option('--setting <KEY=JSON>', 'a further setting of the provider (repeat it)', collect)
    .option('--expires-at <instant>', 'when the token of the provider static expires, such as 2030-01-31T10:00:00Z')
    .option('--token-file <path>', 'the token of the provider static (default: standard input)');
  addCommand(
    registry,
    group,
    {
      usage: 'reconnect <name>',
      summary: 'say that a withdrawn trust works again: runs that wait for it go on from the waiting deploy',
      examples: [
        'loam trust reconnect demo',
        'loam trust reconnect cloud --token-file token.txt --expires-at 2030-01-31T10:00:00Z',
      ],
      more: 'Without options its registration stays as it is. A trust of the provider static takes the next token.',
    },
    reconnectTrust,
  )
    .option('--command <word>', 'another program, with its arguments, a word each (repeat it)', collect)
    .option('--setting <KEY=JSON>', 'a setting instead of all that it had (repeat it)', collect)
    .option('--expires-at <instant>', 'when the next token expires')
    .option('--token-file <path>', 'the next token of the provider static (default: standard input)');
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

async function putTrust({ client, context, show }: Tools, [name]: Args, options: Options): Promise<number> {
  const provider = textOption(options, 'provider') ?? 'exec';
  const settings = readTrustSettings(options);
  if (provider === 'exec' && Object.keys(settings).length === 0)
    throw usage('A trust needs settings', 'Name the program that draws tokens: --command PROGRAM --command ARGUMENT');
  const trust = await client.request<TrustView>('PUT', `/v1/trusts/${segment(name)}`, {
    provider,
    settings,
    ...(provider === 'static' && { credential: await readToken(context, options) }),
  });
  show(trust, () => drawTrusts([trust]));
  return exitCodes.ok;
}

async function reconnectTrust({ client, context, show }: Tools, [name]: Args, options: Options): Promise<number> {
  const path = `/v1/trusts/${segment(name)}`;
  const { provider } = await client.request<TrustView>('GET', path);
  const settings = readTrustSettings(options);
  const answer = await client.request<{ trust: TrustView; runs: string[] }>('POST', `${path}/reconnect`, {
    ...(Object.keys(settings).length > 0 && { settings }),
    ...(provider === 'static' && { credential: await readToken(context, options) }),
  });
  show(answer, () => {
    const runs = answer.runs.length === 0 ? 'No run waited for it.' : `Goes on: ${answer.runs.join(', ')}.`;
    return `${drawTrusts([answer.trust])}${runs}\n`;
  });
  return exitCodes.ok;
}

async function readToken(context: CliContext, options: Options): Promise<string> {
  const token = await readSecret(context, textOption(options, 'tokenFile'), maxTokenBytes);
  if (token === '') throw usage('The token is empty', 'Give it on standard input, or name its file: --token-file FILE');
  return token;
}

function readTrustSettings(options: Options): Record<string, unknown> {
  const [command, expiresAt] = [listOption(options, 'command'), textOption(options, 'expiresAt')];
  const settings: Record<string, unknown> = {
    ...(command !== undefined && { command }),
    ...(expiresAt !== undefined && { expiresAt }),
  };
  for (const one of listOption(options, 'setting') ?? []) {
    const at = one.indexOf('=');
    if (at < 1) throw usage(`--setting takes KEY=JSON, not "${oneLine(one)}"`);
    settings[one.slice(0, at)] = parseLoosely(one.slice(at + 1));
  }
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
