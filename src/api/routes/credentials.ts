import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import { parseGrant } from '../../core/model/access.ts';
import type { RunId } from '../../core/model/ids.ts';
import type { Trust } from '../../ports/credential-store.ts';
import { Secret } from '../../ports/secret.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute, refuseInput } from '../route.ts';
import type { Route } from '../route.ts';
import { ApplicationNameText, EnvironmentNameText, PlainName, SecretName, text } from '../fields.ts';
import { SecretView, TokenView, TrustView } from '../schema.ts';
import { viewSecret, viewToken, viewTrust } from '../view.ts';
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
      scope: 'application',
      summary: 'Lists the names of the secrets; values never leave',
      params: application,
      answer: z.object({ secrets: z.array(SecretView) }),
      handle: async ({ params: { application: name } }) => {
        await requireApplication(dependencies, name);
        return { secrets: (await secrets.names(name)).map(viewSecret) };
      },
    }),
    defineRoute({
      method: 'put',
      path,
      access: 'admin',
      scope: 'application',
      recorded: ['environment'],
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
      scope: 'application',
      recorded: ['environment'],
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

const TrustSettings = z
  .record(z.string(), z.unknown())
  .refine((settings) => JSON.stringify(settings).length <= maxSettingsBytes, `at most ${maxSettingsBytes} characters`);
/** Goes in and never comes out. */
const Credential = text(32_768).min(1);

function trustRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { trusts } = dependencies.store;
  const params = z.object({ name: PlainName });
  return [
    defineRoute({
      method: 'get',
      path: '/v1/trusts',
      access: 'viewer',
      scope: 'loam',
      summary: 'Lists the trusts and how they stand',
      answer: z.object({ trusts: z.array(TrustView) }),
      handle: async () => ({ trusts: (await trusts.list()).map(viewTrust) }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/trusts/{name}',
      access: 'viewer',
      scope: 'loam',
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
      scope: 'loam',
      recorded: ['provider'],
      summary: 'Registers or changes a trust; its settings hold no secret',
      params,
      body: z.strictObject({
        provider: z.enum(['exec', 'static']),
        settings: TrustSettings,
        credential: Credential.optional(),
      }),
      answer: TrustView,
      handle: async ({ params: { name }, body, caller }) => {
        const { provider, settings, credential } = body;
        const { trust } = await connectTrust(dependencies, { name, provider, settings }, credential, caller().name);
        return viewTrust(trust);
      },
    }),
    reconnectRoute(dependencies),
  ];
}

function reconnectRoute(dependencies: RouteDependencies): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/trusts/{name}/reconnect',
    access: 'admin',
    scope: 'loam',
    summary:
      'Says that a withdrawn trust works again, with other settings or another credential if given; runs that wait for it go on',
    params: z.object({ name: PlainName }),
    body: z.strictObject({ settings: TrustSettings.optional(), credential: Credential.optional() }),
    answer: z.object({ trust: TrustView, runs: z.array(z.string()) }),
    handle: async ({ params: { name }, body, caller }) => {
      const known = await dependencies.store.trusts.get(name);
      if (known === undefined) throw new DomainError('trust-unknown', `There is no trust "${name}"`);
      const settings = body.settings ?? known.settings;
      const renewed = { name, provider: known.provider, settings };
      const { trust, runs } = await connectTrust(dependencies, renewed, body.credential, caller().name);
      return { trust: viewTrust(trust), runs: [...runs] };
    },
  });
}

/**
 * The trust first, then the gates: a deploy that opens its gate in between finds the trust changed. Each gate gets a decision of its own, which the
 * dispatcher hands to its run until it has arrived.
 */
async function connectTrust(
  { store, trustProviders, wake, logger }: RouteDependencies,
  trust: Pick<Trust, 'name' | 'provider' | 'settings'>,
  credential: string | undefined,
  by: string,
): Promise<{ readonly trust: Trust; readonly runs: readonly RunId[] }> {
  const hasCredential = credential !== undefined || (await store.trusts.credential(trust.name)) !== undefined;
  const provider = trustProviders.find(({ kind }) => kind === trust.provider);
  const problems = provider?.checkRegistration({ settings: trust.settings, hasCredential }) ?? [];
  refuseInput(problems.map((one) => ({ ...one, pointer: `/body${one.pointer}` })));
  const connected = await store.trusts.put(trust, credential === undefined ? undefined : new Secret(credential));
  const open = await store.gates.list({ open: true });
  const waiting = open.filter(({ preview }) => preview.reconnect?.trust === trust.name);
  for (const { run, gate, opening } of waiting) {
    await store.gates
      .decide(run, gate, { verdict: 'approved', by, comment: 'the trust was reconnected', opening })
      .catch(ignoreClosed);
  }
  wake();
  const runs = waiting.map(({ run }) => run);
  logger.info({ trust: trust.name, by, runs }, 'trust connected');
  return { trust: connected, runs };
}

/** It was cancelled, or has expired, between the look and the word. */
function ignoreClosed(error: unknown): undefined {
  if (error instanceof DomainError && error.code === 'gate-closed') return undefined;
  throw error;
}

const GrantText = z
  .string()
  .max(100)
  .transform((one, context) => {
    const grant = parseGrant(one);
    if (grant !== undefined) return grant;
    const message =
      'viewer, developer, approver or admin; with :APPLICATION only there, approver and admin with :APPLICATION/ENVIRONMENT only in that environment';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

const NewToken = z.strictObject({
  roles: z.array(GrantText).min(1).max(50),
  expiresAt: z.iso
    .datetime({ offset: true })
    .refine((one) => Date.parse(one) > Date.now(), 'an instant to come')
    .optional(),
});

function tokenRoutes({ store: { tokens } }: RouteDependencies): readonly Route[] {
  const params = z.object({ name: PlainName });
  return [
    defineRoute({
      method: 'get',
      path: '/v1/tokens',
      access: 'admin',
      scope: 'loam',
      summary: 'Lists the tokens: names, roles and when they expire',
      answer: z.object({ tokens: z.array(TokenView) }),
      handle: async () => ({ tokens: (await tokens.list()).map(viewToken) }),
    }),
    defineRoute({
      method: 'put',
      path: '/v1/tokens/{name}',
      access: 'admin',
      scope: 'loam',
      recorded: ['roles', 'expiresAt'],
      summary: 'Makes a token, which is shown in this answer only; a repeated name replaces the old one',
      params,
      body: NewToken,
      answer: TokenView.extend({ token: z.string() }),
      handle: async ({ params: { name }, body }) => {
        const token = `loam_${randomBytes(32).toString('base64url')}`;
        const { roles: grants, expiresAt } = body;
        const expiresAtMs = expiresAt === undefined ? undefined : Date.parse(expiresAt);
        return { ...viewToken(await tokens.put({ name, grants, expiresAtMs }, new Secret(token))), token };
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/tokens/{name}',
      access: 'admin',
      scope: 'loam',
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
