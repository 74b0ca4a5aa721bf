import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import { Secret } from '../../ports/secret.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import {
  ApplicationNameText,
  EnvironmentNameText,
  PlainName,
  RoleName,
  SecretName,
  SecretView,
  TokenView,
  TrustView,
  text,
} from '../schema.ts';
import { instant, viewToken, viewTrust } from '../view.ts';
import { requireApplication } from './applications.ts';

const Removed = z.object({ removed: z.boolean() });
const maxSettingsBytes = 10_000;

export function credentialRoutes(dependencies: RouteDependencies): readonly Route[] {
  return [...secretRoutes(dependencies), ...trustRoutes(dependencies), ...tokenRoutes(dependencies)];
}

function secretRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { secrets } = dependencies.store;
  const application = z.object({ application: ApplicationNameText });
  const params = application.extend({ name: SecretName });
  const path = '/v1/applications/{application}/secrets/{name}';
  return [
    defineRoute({
      method: 'get',
      path: '/v1/applications/{application}/secrets',
      access: 'viewer',
      summary: 'Lists the names of the secrets; values never leave',
      params: application,
      answer: z.object({ secrets: z.array(SecretView) }),
      handle: async ({ params: { application: name } }) => {
        await requireApplication(dependencies, name);
        const names = await secrets.names(name);
        return {
          secrets: names.map((one) => ({
            name: one.name,
            environment: one.environment ?? null,
            changedAt: instant(one.changedAtMs),
          })),
        };
      },
    }),
    defineRoute({
      method: 'put',
      path,
      access: 'admin',
      summary: 'Stores a secret, for one environment or for all',
      params,
      body: z.strictObject({ value: text(65_536).min(1), environment: EnvironmentNameText.optional() }),
      answer: z.object({ name: z.string(), environment: z.string().nullable() }),
      handle: async ({ params: { application: name, name: secret }, body }) => {
        await requireApplication(dependencies, name);
        await secrets.put(name, body.environment, secret, new Secret(body.value));
        return { name: secret, environment: body.environment ?? null };
      },
    }),
    defineRoute({
      method: 'delete',
      path,
      access: 'admin',
      summary: 'Removes a secret',
      params,
      query: z.object({ environment: EnvironmentNameText.optional() }),
      answer: Removed,
      handle: async ({ params: { application: name, name: secret }, query }) => {
        await requireApplication(dependencies, name);
        if (await secrets.remove(name, query.environment, secret)) return { removed: true };
        throw new DomainError(
          'not-found',
          `${name} has no secret "${secret}"${query.environment === undefined ? '' : ` of ${query.environment}`}`,
        );
      },
    }),
  ];
}

function trustRoutes({ store: { trusts } }: RouteDependencies): readonly Route[] {
  const params = z.object({ name: PlainName });
  return [
    defineRoute({
      method: 'get',
      path: '/v1/trusts',
      access: 'viewer',
      summary: 'Lists the trusts and how they stand',
      answer: z.object({ trusts: z.array(TrustView) }),
      handle: async () => ({ trusts: (await trusts.list()).map(viewTrust) }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/trusts/{name}',
      access: 'viewer',
      summary: 'Shows a trust',
      params,
      answer: TrustView,
      handle: async ({ params: { name } }) => {
        const trust = await trusts.get(name);
        if (trust === undefined) throw new DomainError('trust-unknown', `There is no trust "${name}"`);
        return viewTrust(trust);
      },
    }),
    defineRoute({
      method: 'put',
      path: '/v1/trusts/{name}',
      access: 'admin',
      summary: 'Registers or changes a trust; its settings hold no secret',
      params,
      body: z.strictObject({
        provider: z.literal('exec'),
        settings: z
          .record(z.string(), z.unknown())
          .refine(
            (settings) => JSON.stringify(settings).length <= maxSettingsBytes,
            `at most ${maxSettingsBytes} characters`,
          ),
      }),
      answer: TrustView,
      handle: async ({ params: { name }, body }) => viewTrust(await trusts.put({ name, ...body })),
    }),
  ];
}

function tokenRoutes({ store: { tokens } }: RouteDependencies): readonly Route[] {
  const params = z.object({ name: PlainName });
  return [
    defineRoute({
      method: 'get',
      path: '/v1/tokens',
      access: 'admin',
      summary: 'Lists the tokens: names and roles',
      answer: z.object({ tokens: z.array(TokenView) }),
      handle: async () => ({ tokens: (await tokens.list()).map(viewToken) }),
    }),
    defineRoute({
      method: 'put',
      path: '/v1/tokens/{name}',
      access: 'admin',
      summary: 'Makes a token, which is shown in this answer only; a repeated name replaces the old one',
      params,
      body: z.strictObject({ role: RoleName }),
      answer: TokenView.extend({ token: z.string() }),
      handle: async ({ params: { name }, body }) => {
        const token = `loam_${randomBytes(32).toString('base64url')}`;
        return { ...viewToken(await tokens.put(name, body.role, new Secret(token))), token };
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/tokens/{name}',
      access: 'admin',
      summary: 'Removes a token: it opens nothing from now on',
      params,
      answer: Removed,
      handle: async ({ params: { name }, caller }) => {
        if (caller().name === name)
          throw new DomainError('input-invalid', 'A token cannot remove itself: use another one');
        if (await tokens.remove(name)) return { removed: true };
        throw new DomainError('not-found', `There is no token "${name}"`);
      },
    }),
  ];
}
