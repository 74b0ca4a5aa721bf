import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { Token } from '../../ports/credential-store.ts';
import type { EnvironmentSettings } from '../../ports/store.ts';
import { demand, onlySeen } from '../authenticate.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { ApplicationNameText, EnvironmentNameText, Globs, PlainName, text } from '../fields.ts';
import { EnvironmentView, ReleaseView } from '../schema.ts';
import { viewEnvironment, viewRelease } from '../view.ts';
import { requireApplication } from './applications.ts';

const Settings = z.strictObject({
  target: z.enum(['process', 'docker', 'swarm', 'heat']).optional(),
  protected: z.boolean().optional(),
  branches: Globs.optional(),
  /** Null takes it away. */
  trust: PlainName.nullish(),
  replicas: z.int().min(0).max(50).optional(),
  /** Null takes it away; so for cores. */
  memoryMb: z.int().min(16).max(16_777_216).nullish(),
  cpus: z.number().min(0.01).max(1_024).nullish(),
  config: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/), text(4_096))
    .refine((config) => Object.keys(config).length <= 200, 'at most 200 keys')
    .optional(),
  lockPolicy: z.enum(['queue', 'newest']).optional(),
});

const application = z.object({ application: ApplicationNameText });

export function environmentRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { store } = dependencies;
  const params = application.extend({ environment: EnvironmentNameText });
  return [
    defineRoute({
      method: 'get',
      path: '/v1/environments',
      access: 'viewer',
      scope: 'seen',
      summary: 'Lists the environments of all applications or of one',
      query: application.partial(),
      answer: z.object({ environments: z.array(EnvironmentView) }),
      handle: async ({ query, caller }) => {
        const environments = await store.environments.list(query.application);
        return { environments: onlySeen(caller(), environments, (one) => one.application).map(viewEnvironment) };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/applications/{application}/environments/{environment}',
      access: 'viewer',
      scope: 'environment',
      summary: 'Shows an environment',
      params,
      answer: EnvironmentView,
      handle: async ({ params: { application: name, environment } }) => {
        const row = await store.environments.get(name, environment);
        if (row !== undefined) return viewEnvironment(row);
        throw new DomainError('environment-unknown', `There is no environment "${environment}" of ${name}`);
      },
    }),
    defineRoute({
      method: 'put',
      path: '/v1/applications/{application}/environments/{environment}',
      access: 'admin',
      scope: 'environment',
      recorded: ['target', 'protected', 'branches', 'trust', 'replicas', 'memoryMb', 'cpus', 'lockPolicy'],
      summary: 'Registers or changes an environment; what is left out keeps its value',
      params,
      body: Settings,
      answer: EnvironmentView,
      handle: async ({ params: { application: name, environment }, body, caller }) => {
        await requireApplication(dependencies, name);
        await checkTrust(dependencies, caller(), body.trust);
        return viewEnvironment(await store.environments.put(name, environment, settingsOf(body)));
      },
    }),
    ...releaseRoutes(dependencies),
  ];
}

function releaseRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { store } = dependencies;
  return [
    defineRoute({
      method: 'get',
      path: '/v1/applications/{application}/releases',
      access: 'viewer',
      scope: 'application',
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

function settingsOf(body: z.output<typeof Settings>): Partial<EnvironmentSettings> {
  const given = Object.entries(body).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([key, value]) => [key, value ?? undefined]));
}

/** Deploys will act with it: who may not register trusts must not bring another one's into an environment. */
async function checkTrust(
  dependencies: RouteDependencies,
  caller: Token,
  name: string | null | undefined,
): Promise<void> {
  if (name === undefined || name === null) return;
  demand(caller, 'admin', {});
  if ((await dependencies.store.trusts.get(name)) !== undefined) return;
  throw new DomainError(
    'trust-unknown',
    `There is no trust "${name}": register it first with "loam trust put ${name}"`,
  );
}
