import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { EnvironmentSettings } from '../../ports/store.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import {
  ApplicationNameText,
  EnvironmentNameText,
  EnvironmentView,
  Globs,
  PlainName,
  ReleaseView,
  text,
} from '../schema.ts';
import { viewEnvironment, viewRelease } from '../view.ts';
import { requireApplication } from './applications.ts';

const Settings = z.strictObject({
  target: z.enum(['process', 'docker', 'swarm', 'heat']).optional(),
  protected: z.boolean().optional(),
  branches: Globs.optional(),
  /** Null takes it away. */
  trust: PlainName.nullish(),
  replicas: z.int().min(0).max(50).optional(),
  config: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/), text(4_096))
    .refine((config) => Object.keys(config).length <= 200, 'at most 200 keys')
    .optional(),
  lockPolicy: z.enum(['queue', 'newest']).optional(),
});

export function environmentRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { store } = dependencies;
  const application = z.object({ application: ApplicationNameText });
  const params = application.extend({ environment: EnvironmentNameText });
  return [
    defineRoute({
      method: 'get',
      path: '/v1/environments',
      access: 'viewer',
      summary: 'Lists the environments of all applications or of one',
      query: application.partial(),
      answer: z.object({ environments: z.array(EnvironmentView) }),
      handle: async ({ query }) => ({
        environments: (await store.environments.list(query.application)).map(viewEnvironment),
      }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/applications/{application}/environments/{environment}',
      access: 'viewer',
      summary: 'Shows an environment',
      params,
      answer: EnvironmentView,
      handle: async ({ params: { application: name, environment } }) => {
        const row = await store.environments.get(name, environment);
        if (row === undefined)
          throw new DomainError('environment-unknown', `There is no environment "${environment}" of ${name}`);
        return viewEnvironment(row);
      },
    }),
    defineRoute({
      method: 'put',
      path: '/v1/applications/{application}/environments/{environment}',
      access: 'admin',
      summary: 'Registers or changes an environment; what is left out keeps its value',
      params,
      body: Settings,
      answer: EnvironmentView,
      handle: async ({ params: { application: name, environment }, body }) => {
        await requireApplication(dependencies, name);
        await requireTrust(dependencies, body.trust);
        return viewEnvironment(await store.environments.put(name, environment, settingsOf(body)));
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/applications/{application}/releases',
      access: 'viewer',
      summary: 'Lists the releases, newest first',
      params: application,
      query: z.object({ environment: EnvironmentNameText.optional() }),
      answer: z.object({ releases: z.array(ReleaseView) }),
      handle: async ({ params: { application: name }, query }) => {
        await requireApplication(dependencies, name);
        return { releases: (await store.releases.list(name, query.environment)).map(viewRelease) };
      },
    }),
  ];
}

function settingsOf({ trust, ...body }: z.output<typeof Settings>): Partial<EnvironmentSettings> {
  const settings = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  return { ...settings, ...(trust !== undefined && { trust: trust ?? undefined }) };
}

async function requireTrust(dependencies: RouteDependencies, name: string | null | undefined): Promise<void> {
  if (name === undefined || name === null || (await dependencies.store.trusts.get(name)) !== undefined) return;
  throw new DomainError(
    'trust-unknown',
    `There is no trust "${name}": register it first with "loam trust put ${name}"`,
  );
}
