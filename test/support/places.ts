// One application deployed to many environments of both targets at once, and what record and world say of each.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import type Docker from 'dockerode';
import { expect } from 'vitest';
import { z } from 'zod';
import { installationOf } from '../../src/adapters/target/docker/container-spec.ts';
import { placesFiles } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { createWorkingCopy, processesOf } from './loam.ts';
import type { Loam, WorkingCopy } from './loam.ts';
import { addApplication, curl, releasesOf, urlOf, waitForEnd } from './runs.ts';

type Target = 'process' | 'docker';
const targets: readonly Target[] = ['process', 'docker'];

/** Where places are. */
export interface Ground {
  readonly loam: Loam;
  readonly ledger: Ledger;
  readonly engine: Docker;
  /** Of containers. */
  readonly baseImage: string;
}

/** One environment of an application. */
export interface Place {
  readonly ground: Ground;
  readonly application: string;
  readonly target: Target;
  /** Its releases call themselves so in the ledger, with their number. */
  readonly environment: string;
  readonly url: string;
}

/** Adds the application with a place of each name on each target, and deploys its first release to all. */
export async function addPlaces(
  ground: Ground,
  application: string,
  names: readonly string[],
): Promise<[WorkingCopy, readonly Place[]]> {
  const { loam, ledger, baseImage } = ground;
  const settings = names.flatMap((name) => targets.map((target) => [`${name}-${target}`, { target }] as const));
  const repositoryUrl = await addApplication(loam, application, Object.fromEntries(settings));
  const copy = await createWorkingCopy(loam, repositoryUrl, placesFiles(ledger, names, baseImage));
  for (const [environment] of settings) ledger.open(`${environment} 1`);
  await copy.push('Serve');
  expect((await waitForEnd(loam, `${application}/1`)).status).toBe('succeeded');
  const places: Place[] = [];
  for (const [environment, { target }] of settings)
    places.push({ ground, application, target, environment, url: await urlOf(loam, application, environment) });
  return [copy, places];
}

export async function served({ url }: Place): Promise<string | undefined> {
  const answer = await curl(url).catch(() => undefined); // the front may be starting again
  return answer?.status === 200 ? answer.text : undefined;
}

export async function serves(place: Place, number: number): Promise<boolean> {
  return (await served(place)) === `${place.environment} ${String(number)}`;
}

export async function every(places: readonly Place[], condition: (place: Place) => Promise<boolean>): Promise<boolean> {
  return (await Promise.all(places.map(condition))).every(Boolean);
}

/** Numbers of the releases that have a process or a container. */
export async function running({
  ground: { loam, engine },
  application,
  environment,
  target,
}: Place): Promise<readonly number[]> {
  if (target === 'docker') {
    const label = [`loam.installation=${installationOf(loam.dataFolder)}`, `loam.environment=${environment}`];
    const containers = await engine.listContainers({ all: true, filters: { label } });
    return [...new Set(containers.map(({ Labels }) => Number(Labels['loam.release'])))];
  }
  const folder = path.join(loam.dataFolder, 'releases', application, environment);
  const releases = readdirSync(folder).filter((name) => /^\d+-\d+$/.test(name));
  const numbers = releases.map((name) => Number.parseInt(name, 10));
  return numbers.filter((number) => processesOf(`${folder}/${String(number)}-`).length > 0);
}

/** Status of each of its releases, newest first. */
export async function recorded({ ground, application, environment }: Place): Promise<readonly string[]> {
  const releases = await releasesOf(ground.loam, application);
  return releases.filter((release) => release.environment === environment).map(({ status }) => status);
}

/** The record agrees with the world: this release is live and answers, and nothing else runs. `statuses`: of all releases, newest first. */
export async function expectLive(place: Place, number: number, statuses: readonly string[]): Promise<void> {
  const { ground, application, environment } = place;
  const { body } = await ground.loam.api('GET', `/v1/applications/${application}/environments/${environment}`);
  expect(z.object({ liveRelease: z.int() }).parse(body).liveRelease).toBe(number);
  expect(await recorded(place)).toEqual(statuses);
  expect(await served(place)).toBe(`${environment} ${String(number)}`);
  expect(await running(place)).toEqual([number]);
}

export const replicas = 2;

/** Deploys the live release once more: a run of nothing but this deploy. */
export async function scale({ ground, application, environment }: Place): Promise<string> {
  const route = `/v1/applications/${application}/environments/${environment}/scale`;
  const { status, body } = await ground.loam.api('POST', route, { replicas });
  if (status !== 202) throw new Error(`a scale was answered ${String(status)}: ${JSON.stringify(body)}`);
  return z.object({ run: z.string() }).parse(body).run;
}
