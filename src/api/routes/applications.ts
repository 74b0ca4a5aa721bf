import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { ApplicationName } from '../../core/model/ids.ts';
import { Secret } from '../../ports/secret.ts';
import type { Application } from '../../ports/store.ts';
import { onlySeen } from '../authenticate.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { makeHookScript, writeHookSettings } from '../hook-settings.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { ApplicationNameText, Globs, text } from '../fields.ts';
import { AddedApplication, ApplicationView } from '../schema.ts';
import { viewApplication } from '../view.ts';

const remote = /^(https?|ssh|git):\/\/[^\s]+$|^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^\s:][^\s]*$/;

const Repository = text(2_000)
  .min(1)
  .refine((one) => path.isAbsolute(one) || remote.test(one), 'an absolute path, or a URL with https, ssh or git')
  .refine(
    (one) => !hasPassword(one),
    'a URL without a password: it would be shown to everybody who may list applications',
  );

const NewApplication = z.strictObject({
  name: ApplicationNameText,
  repository: Repository.optional(),
  branches: Globs.default([]),
  /** What the forge signs with, where the forge chooses it. */
  triggerSecret: text(200).min(16, 'at least 16 characters').optional(),
});

export async function requireApplication(dependencies: RouteDependencies, name: ApplicationName): Promise<Application> {
  const application = await dependencies.store.applications.get(name);
  if (application === undefined) throw new DomainError('application-unknown', `There is no application "${name}"`);
  return application;
}

export function applicationRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { store, links } = dependencies;
  const params = z.object({ application: ApplicationNameText });
  return [
    defineRoute({
      method: 'post',
      path: '/v1/applications',
      access: 'admin',
      scope: 'loam',
      recorded: ['name', 'repository', 'branches'],
      summary: 'Adds an application: makes a repository, takes one of this machine, or names a remote one',
      status: 201,
      body: NewApplication,
      answer: AddedApplication,
      handle: ({ body }) => addApplication(dependencies, body),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/applications',
      access: 'viewer',
      scope: 'seen',
      summary: 'Lists the applications',
      answer: z.object({ applications: z.array(ApplicationView) }),
      handle: async ({ caller }) => {
        const applications = onlySeen(caller(), await store.applications.list(), ({ name }) => name);
        return { applications: applications.map((one) => viewApplication(links, one)) };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/applications/{application}',
      access: 'viewer',
      scope: 'application',
      summary: 'Shows an application',
      params,
      answer: ApplicationView,
      handle: async ({ params: { application } }) =>
        viewApplication(links, await requireApplication(dependencies, application)),
    }),
    defineRoute({
      method: 'patch',
      path: '/v1/applications/{application}',
      access: 'admin',
      scope: 'application',
      recorded: ['branches'],
      summary: 'Changes the branches that start runs',
      params,
      body: z.strictObject({ branches: Globs }),
      answer: ApplicationView,
      handle: async ({ params: { application }, body }) => {
        await requireApplication(dependencies, application);
        return viewApplication(links, await store.applications.update(application, body));
      },
    }),
  ];
}

async function addApplication(
  dependencies: RouteDependencies,
  body: z.output<typeof NewApplication>,
): Promise<AddedApplication> {
  const { store, links, git, dataFolder } = dependencies;
  const { name, repository, branches } = body;
  const taken = await store.applications.get(name);
  if (taken !== undefined) return takeAgain(dependencies, taken, body);
  const isRemote = repository !== undefined && !path.isAbsolute(repository);
  const repositoryUrl = repository ?? path.join(dataFolder, 'repositories', `${name}.git`);
  if (repository === undefined) await git.createRepository(repositoryUrl);
  const secret = new Secret(body.triggerSecret ?? randomBytes(32).toString('base64url'));
  const trigger = randomBytes(12).toString('hex');
  const application = await store.applications.add(
    { name, repositoryUrl, local: !isRemote, branches, trigger },
    secret,
  );
  await dependencies.writeRelayTriggers();
  if (!isRemote) await setUpLocal(dependencies, application, repository === undefined);
  return {
    ...viewApplication(links, application),
    repository: isRemote ? 'remote' : repository === undefined ? 'made' : 'taken',
    hookInstalled: !isRemote,
    ...(isRemote && { triggerSecret: secret.reveal() }),
  };
}

async function setUpLocal(dependencies: RouteDependencies, application: Application, isMade: boolean): Promise<void> {
  // A repository that was made just now is known as a whole: whatever appears in it is a push.
  if (isMade) await dependencies.store.deliveries.markWatched(application.name);
  await installHook(dependencies, application);
}

/** The same application once more: installs the hook again, which heals one whose program has moved, or a call that was cut off. */
async function takeAgain(
  dependencies: RouteDependencies,
  application: Application,
  body: z.output<typeof NewApplication>,
): Promise<AddedApplication> {
  const made = path.join(dependencies.dataFolder, 'repositories', `${application.name}.git`);
  const wanted = body.repository ?? made;
  if (!application.local || application.repositoryUrl !== wanted) {
    const message = `The application "${application.name}" exists already, with the repository ${application.repositoryUrl}`;
    throw new DomainError('application-exists', message);
  }
  if (wanted === made) await dependencies.git.createRepository(made);
  await installHook(dependencies, application);
  return { ...viewApplication(dependencies.links, application), repository: 'taken', hookInstalled: true };
}

async function installHook(dependencies: RouteDependencies, application: Application): Promise<void> {
  const { store, git, ownUrl, dataFolder, hookCommand } = dependencies;
  const settings = await writeHookSettings(dataFolder, {
    url: ownUrl(),
    application: application.name,
    repository: application.repositoryUrl,
    trigger: application.trigger,
    secret: await store.applications.triggerSecret(application.name),
  });
  await git.installHook(application.repositoryUrl, makeHookScript(hookCommand, settings));
}

function hasPassword(address: string): boolean {
  return URL.canParse(address) && new URL(address).password !== '';
}
