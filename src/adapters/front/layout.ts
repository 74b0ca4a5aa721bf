import path from 'node:path';
import type { ReleaseReference } from '../../ports/target.ts';

/** Where front and target keep what; `data` is the absolute path of the data folder. */

export function frontFolder(data: string): string {
  return path.join(data, 'front');
}

/** One file per environment, each renamed atomically: two deploys to different environments cannot lose each other's change. */
export function routesFolder(data: string): string {
  return path.join(frontFolder(data), 'routes');
}

/** Neither name can hold a dot, so no two environments share a file. */
export function routeFile(data: string, application: string, environment: string): string {
  return path.join(routesFolder(data), `${application}.${environment}.json`);
}

export function frontFile(data: string): string {
  return path.join(frontFolder(data), 'front.json');
}

export const controlSocketName = 'control.sock';

export function portSocketName(port: number): string {
  return `${port}.sock`;
}

export function releasesFolder(data: string): string {
  return path.join(data, 'releases');
}

export function environmentFolder(data: string, application: string, environment: string): string {
  return path.join(releasesFolder(data), application, environment);
}

/** What an application keeps from release to release. */
export function keptFolder(data: string, application: string, environment: string): string {
  return path.join(environmentFolder(data, application, environment), 'data');
}

type Place = Pick<ReleaseReference, 'release' | 'fence'> & {
  readonly application: string;
  readonly environment: string;
};

export function releaseName(place: Pick<ReleaseReference, 'release' | 'fence'>): string {
  return `${place.release}-${place.fence}`;
}

export function parseReleaseName(name: string): Pick<ReleaseReference, 'release' | 'fence'> | undefined {
  const [, release, fence] = /^(\d{1,15})-(\d{1,15})$/.exec(name) ?? [];
  return release === undefined ? undefined : { release: Number(release), fence: Number(fence) };
}

export function releaseFolder(data: string, place: Place): string {
  return path.join(environmentFolder(data, place.application, place.environment), releaseName(place));
}

export function replicaFolder(folder: string, replica: number): string {
  return path.join(folder, String(replica));
}
