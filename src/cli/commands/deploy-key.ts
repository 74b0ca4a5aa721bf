import type { Command } from 'commander';
import type { ApplicationView } from '../../api/schema.ts';
import type { ApiClient } from '../api-client.ts';
import { addCommand, segment, textOption } from '../command.ts';
import type { Options, Registry } from '../command.ts';
import type { CliContext } from '../context.ts';
import { exitCodes, usage } from '../failure.ts';
import { readSecret } from '../input.ts';

const maxFileBytes = 20_000;

export interface DeployKeyFiles {
  readonly key: string;
  readonly knownHosts: string;
}

/** Undefined when neither is given: with one goes the other. */
export async function readDeployKey(
  context: CliContext,
  options: Options,
  name = 'deployKey',
): Promise<DeployKeyFiles | undefined> {
  const [key, knownHosts] = [textOption(options, name), textOption(options, 'knownHosts')];
  if (key === undefined && knownHosts === undefined) return undefined;
  if (key === undefined || knownHosts === undefined)
    throw usage(
      'A key needs the host keys that its server may show',
      'Give both files; ssh-keyscan HOST writes the second.',
    );
  return {
    key: await readSecret(context, key, maxFileBytes),
    knownHosts: await readSecret(context, knownHosts, maxFileBytes),
  };
}

export function setDeployKey(
  client: ApiClient,
  application: string | undefined,
  files: DeployKeyFiles | { readonly key: null },
): Promise<ApplicationView> {
  return client.request<ApplicationView>('PUT', `/v1/applications/${segment(application)}/deploy-key`, files);
}

export function deployKeyCommand(registry: Registry, group: Command): void {
  addCommand(
    registry,
    group,
    {
      usage: 'deploy-key <name>',
      summary: 'set the key that its private repository is read with by ssh, and the host keys that are believed',
      examples: [
        'loam app deploy-key thingy --file ./key --known-hosts ./known_hosts',
        'loam app deploy-key thingy --remove',
      ],
      more: 'Runs that wait because the repository cannot be read go on by themselves. No command shows the key again.',
    },
    async ({ client, context, show }, [name], options) => {
      const files = options['remove'] === true ? { key: null } : await readDeployKey(context, options, 'file');
      if (files === undefined) throw usage('There is nothing to set', 'Give --file and --known-hosts, or --remove.');
      const one = await setDeployKey(client, name, files);
      show(one, () => `${one.name} is read ${one.hasDeployKey ? 'with that key' : 'without a key'} from now on.\n`);
      return exitCodes.ok;
    },
  )
    .option('--file <file>', 'file with the private key, without a passphrase')
    .option('--known-hosts <file>', 'file with the keys that the server may show')
    .option('--remove', 'take it away');
}
