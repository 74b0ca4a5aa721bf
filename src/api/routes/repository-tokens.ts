import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import { Secret } from '../../ports/secret.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { ApplicationNameText } from '../fields.ts';
import { ApplicationView } from '../schema.ts';
import { viewApplication } from '../view.ts';
import { requireApplication } from './applications.ts';

/** What a header may hold: a line break in it would be a second header. */
export const TokenText = z
  .string()
  .regex(/^[\x21-\x7e]{1,1000}$/, 'at most 1000 letters, digits and signs, without spaces');

export function repositoryTokenRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { store, links } = dependencies;
  return [
    defineRoute({
      method: 'put',
      path: '/v1/applications/{application}/repository-token',
      access: 'admin',
      scope: 'application',
      recorded: [],
      summary: 'Sets the token that a private repository is read with by https; null takes it away. No answer shows it',
      params: z.object({ application: ApplicationNameText }),
      body: z.strictObject({ token: TokenText.nullable() }),
      answer: ApplicationView,
      handle: async ({ params, body: { token } }) => {
        const { name, repositoryUrl } = await requireApplication(dependencies, params.application);
        if (
          token !== null &&
          !repositoryUrl.startsWith('https://') &&
          !/^http:\/\/(127\.0\.0\.1|localhost)[:/]/.test(repositoryUrl)
        )
          throw new DomainError(
            'input-invalid',
            `A token is only sent by https://, and the repository of ${name} is ${repositoryUrl}`,
          );
        return viewApplication(
          links,
          await store.applications.setToken(name, token === null ? undefined : new Secret(token)),
        );
      },
    }),
  ];
}
