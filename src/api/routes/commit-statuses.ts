import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { ApplicationName } from '../../core/model/ids.ts';
import { Secret } from '../../ports/secret.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { ApplicationNameText } from '../fields.ts';
import { CommitStatusView } from '../schema.ts';
import { requireApplication } from './applications.ts';
import { TokenText } from './repository-tokens.ts';

const StatusPlace = z.strictObject({
  token: TokenText,
  repository: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\/[A-Za-z0-9._-]{1,100}$/, 'owner/name')
    .optional(),
  apiUrl: z
    .string()
    .max(500)
    .regex(
      /^(https:\/\/[A-Za-z0-9.-]+|http:\/\/(127\.0\.0\.1|localhost))(:\d{1,5})?(\/[A-Za-z0-9._/-]*)?$/,
      'a URL with https, without name, password or query',
    )
    .transform((url) => url.replace(/\/+$/, ''))
    .default('https://api.github.com'),
});

const atGitHub = /^(?:https:\/\/github\.com\/|ssh:\/\/git@github\.com\/|git@github\.com:)([^/]+\/[^/]+?)(?:\.git)?\/?$/;

export function commitStatusRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { store } = dependencies;
  const params = z.object({ application: ApplicationNameText });
  const path = '/v1/applications/{application}/commit-statuses';
  const view = async (application: ApplicationName): Promise<CommitStatusView> => {
    const { repository = null, apiUrl = null, error = null } = (await store.statuses.place(application)) ?? {};
    return { repository, apiUrl, error };
  };
  return [
    defineRoute({
      method: 'get',
      path,
      access: 'viewer',
      scope: 'application',
      summary: 'Where statuses of commits are told, and what was refused there',
      params,
      answer: CommitStatusView,
      handle: async ({ params: { application } }) => {
        await requireApplication(dependencies, application);
        return view(application);
      },
    }),
    defineRoute({
      method: 'put',
      path,
      access: 'admin',
      scope: 'application',
      recorded: ['repository', 'apiUrl'],
      summary: 'Tells GitHub from the next run on how runs and gates of commits stand. No answer shows the token',
      params,
      body: StatusPlace,
      answer: CommitStatusView,
      handle: async ({ params: { application }, body: { token, apiUrl, repository } }) => {
        const { repositoryUrl } = await requireApplication(dependencies, application);
        const found = repository ?? atGitHub.exec(repositoryUrl)?.[1];
        if (found === undefined)
          throw new DomainError(
            'input-invalid',
            `Name the repository as owner/name: ${repositoryUrl} does not tell it`,
          );
        await store.statuses.connect(application, { apiUrl, repository: found }, new Secret(token));
        return view(application);
      },
    }),
    defineRoute({
      method: 'delete',
      path,
      access: 'admin',
      scope: 'application',
      summary: 'Tells no statuses of commits any more, and forgets the token',
      params,
      answer: CommitStatusView,
      handle: async ({ params: { application } }) => {
        await requireApplication(dependencies, application);
        await store.statuses.disconnect(application);
        return view(application);
      },
    }),
  ];
}
