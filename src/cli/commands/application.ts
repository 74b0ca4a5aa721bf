import path from 'node:path';
import type { Command } from 'commander';
import type { AddedApplication, ApplicationView, CommitStatusView } from '../../api/schema.ts';
import { addCommand, addGroup, collect, listOption, segment, textOption } from '../command.ts';
import type { Registry } from '../command.ts';
import { exitCodes, usage } from '../failure.ts';
import { readSecret } from '../input.ts';
import { table } from '../text.ts';
import { deployKeyCommand, readDeployKey, setDeployKey } from './deploy-key.ts';

const maxTokenBytes = 2_000;

export function applicationCommands(registry: Registry): void {
  const group = addGroup(registry, 'app', 'applications: what a team ships, a repository and its settings');
  addCommand(
    registry,
    group,
    {
      usage: 'add <name>',
      summary: 'add an application: with a repository made for it, one of this machine, or a remote one',
      examples: [
        'loam app add thingy                                   # makes a repository; git push to it starts runs',
        'loam app add thingy --repository ~/git/thingy.git     # takes one of this machine and installs its hook',
        'loam app add thingy --repository https://git.example/thingy.git --branch main',
        'loam app add thingy --repository https://git.example/thingy.git --token-file ./token',
        'loam app add thingy --repository git@git.example:thingy.git --deploy-key ./key --known-hosts ./known_hosts',
      ],
      more: 'Adding the same application again installs its hook again.',
    },
    async ({ client, context, show }, [name], options) => {
      const repository = textOption(options, 'repository');
      const tokenFile = textOption(options, 'tokenFile');
      const token = tokenFile === undefined ? undefined : await readSecret(context, tokenFile, maxTokenBytes);
      const deployKey = await readDeployKey(context, options);
      const branches = listOption(options, 'branch');
      const answer = await client.request<AddedApplication>('POST', '/v1/applications', {
        name,
        ...(repository !== undefined && {
          repository: isPath(repository) ? path.resolve(context.folder, repository) : repository,
        }),
        ...(branches !== undefined && { branches }),
      });
      show(answer, () => drawAdded(answer));
      // After that: the secret of the trigger is shown only once, whatever becomes of the token.
      if (token !== undefined) await client.request('PUT', tokenPath(name), { token });
      if (deployKey !== undefined) await setDeployKey(client, name, deployKey);
      return exitCodes.ok;
    },
  )
    .option('--token-file <file>', 'a token that a private repository is read with, by https')
    .option('--deploy-key <file>', 'a private key that a private repository is read with, by ssh')
    .option('--known-hosts <file>', 'the keys that its server may show (ssh-keyscan writes such a file)')
    .option('--repository <path or URL>', 'take this repository instead of making one')
    .option('--branch <glob>', 'only these branches start runs (repeat it; default: all)', collect);
  readCommands(registry, group);
  statusCommand(registry, group);
  tokenCommand(registry, group);
  deployKeyCommand(registry, group);
}

function tokenCommand(registry: Registry, group: Command): void {
  addCommand(
    registry,
    group,
    {
      usage: 'token <name>',
      summary: 'set the token that its private repository is read with, from a file or standard input',
      examples: ['loam app token thingy --file ./token', 'loam app token thingy --remove'],
      more: 'Runs that wait because the repository cannot be read go on by themselves. No command shows the token again.',
    },
    async ({ client, context, show }, [name], options) => {
      const isRemoved = options['remove'] === true;
      const token = isRemoved ? null : await readSecret(context, textOption(options, 'file'), maxTokenBytes);
      const one = await client.request<ApplicationView>('PUT', tokenPath(name), { token });
      show(one, () => `${one.name} is read ${one.hasToken ? 'with that token' : 'without a token'} from now on.\n`);
      return exitCodes.ok;
    },
  )
    .option('--file <file>', 'file with the token (default: standard input)')
    .option('--remove', 'take it away');
}

function statusCommand(registry: Registry, group: Command): void {
  addCommand(
    registry,
    group,
    {
      usage: 'status <name>',
      summary: 'tell GitHub how runs and gates of commits stand; without options: show where, and what it refused',
      examples: [
        'loam app status thingy --token-file ./token',
        'loam app status thingy --token-file ./token --repository acme/thingy --api-url https://github.example/api/v3',
        'loam app status thingy --remove',
      ],
      more: 'The token needs to write commit statuses, and nothing else. No command shows it again.',
    },
    async ({ client, context, show }, [name], options) => {
      const place = `/v1/applications/${segment(name)}/commit-statuses`;
      const file = textOption(options, 'tokenFile');
      const [repository, apiUrl] = [textOption(options, 'repository'), textOption(options, 'apiUrl')];
      if (file === undefined && (repository !== undefined || apiUrl !== undefined))
        throw usage('A place needs its token', 'Give --token-file FILE too.');
      const change = file && {
        token: await readSecret(context, file, maxTokenBytes),
        ...(repository !== undefined && { repository }),
        ...(apiUrl !== undefined && { apiUrl }),
      };
      const method = options['remove'] === true ? 'DELETE' : change === undefined ? 'GET' : 'PUT';
      const view = await client.request<CommitStatusView>(method, place, method === 'PUT' ? change : undefined);
      show(view, () => drawStatuses(view));
      return exitCodes.ok;
    },
  )
    .option('--token-file <file>', 'file with the token')
    .option('--repository <owner/name>', 'default: that of the repository, when it is at github.com')
    .option('--api-url <URL>', 'default: https://api.github.com')
    .option('--remove', 'tell nothing any more');
}

function drawStatuses({ repository, apiUrl, error }: CommitStatusView): string {
  if (repository === null) return 'No commit statuses are told: "loam app status NAME --token-file FILE" begins.\n';
  return table([
    ['repository', repository],
    ['api', apiUrl ?? ''],
    ['refused', error ?? 'nothing'],
  ]);
}

function tokenPath(name: string | undefined): string {
  return `/v1/applications/${segment(name)}/repository-token`;
}

function readCommands(registry: Registry, group: Command): void {
  addCommand(
    registry,
    group,
    { usage: 'list', summary: 'list the applications', examples: ['loam app list'] },
    async ({ client, show }) => {
      const document = await client.request<{ applications: ApplicationView[] }>('GET', '/v1/applications');
      show(document, () => {
        if (document.applications.length === 0) return 'No applications yet: "loam app add NAME" adds one.\n';
        return table(
          document.applications.map((one) => [one.name, one.branches.join(' ') || 'all branches', one.repositoryUrl]),
        );
      });
      return exitCodes.ok;
    },
  );
  addCommand(
    registry,
    group,
    { usage: 'show <name>', summary: 'show an application', examples: ['loam app show thingy'] },
    async ({ client, show }, [name]) => {
      const one = await client.request<ApplicationView>('GET', `/v1/applications/${segment(name)}`);
      show(one, () => drawApplication(one));
      return exitCodes.ok;
    },
  );
  addCommand(
    registry,
    group,
    {
      usage: 'change <name>',
      summary: 'change the branches that start runs',
      examples: ['loam app change thingy --branch main --branch "release/*"', 'loam app change thingy --all-branches'],
    },
    async ({ client, show }, [name], options) => {
      const branches = options['allBranches'] === true ? [] : listOption(options, 'branch');
      if (branches === undefined) throw usage('There is nothing to change', 'Give --branch GLOB or --all-branches.');
      const one = await client.request<ApplicationView>('PATCH', `/v1/applications/${segment(name)}`, { branches });
      show(one, () => drawApplication(one));
      return exitCodes.ok;
    },
  )
    .option('--branch <glob>', 'only these branches start runs (repeat it)', collect)
    .option('--all-branches', 'every branch does');
}

function isPath(repository: string): boolean {
  return !/^[a-z+]+:\/\//.test(repository) && !/^[^/]+@[^/]+:/.test(repository);
}

function drawApplication(one: ApplicationView): string {
  return table([
    ['name', one.name],
    ['repository', one.repositoryUrl],
    ['branches', one.branches.join(' ') || 'all'],
    ['token', one.hasToken ? 'set' : 'none'],
    ['deploy key', one.hasDeployKey ? 'set' : 'none'],
    ['trigger', one.triggerUrl],
    ['added', one.createdAt],
  ]);
}

function drawAdded(answer: AddedApplication): string {
  const { name, repositoryUrl, repository, triggerUrl, triggerSecret } = answer;
  if (repository === 'remote') {
    return `Added ${name}. Set a webhook for pushes at the forge:
  URL           ${triggerUrl}
  content type  application/json
  secret        ${triggerSecret ?? ''}
The secret is shown only this once.
`;
  }
  const done = repository === 'made' ? `made the repository ${repositoryUrl}` : `took the repository ${repositoryUrl}`;
  return `Added ${name}: ${done} and installed its hook. Start its first run with
  git push ${repositoryUrl} main
`;
}
