import type { ApplicationName, EnvironmentName } from './ids.ts';
import { isApplicationName, isEnvironmentName } from './ids.ts';

/** From least to most: each role may do all that the ones before it may. */
export const roles = ['viewer', 'developer', 'approver', 'admin'] as const;
export type Role = (typeof roles)[number];

/** A role, in all of Loam or where it says. An environment only with roles that mean something there: approver and admin. */
export interface Grant {
  readonly role: Role;
  readonly application?: ApplicationName | undefined;
  readonly environment?: EnvironmentName | undefined;
}

/** Where something is done; empty: to Loam as a whole. */
export interface Place {
  readonly application?: ApplicationName | undefined;
  readonly environment?: EnvironmentName | undefined;
}

export function includesRole(held: Role, asked: Role): boolean {
  return roles.indexOf(held) >= roles.indexOf(asked);
}

/** Who may do anything in an application, or in one environment of it, sees the whole application: runs know no bounds of environments. */
export function mayAct(grants: readonly Grant[], asked: Role, place: Place): boolean {
  return grants.some(({ role, application, environment }) => {
    if (!includesRole(role, asked)) return false;
    if (application === undefined) return true;
    if (application !== place.application) return false;
    return environment === undefined || environment === place.environment || asked === 'viewer';
  });
}

/** Whether there is an environment of the application in which it is allowed; which one is known later. */
export function mayActSomewhere(grants: readonly Grant[], asked: Role, application: ApplicationName): boolean {
  return grants.some((one) => {
    return includesRole(one.role, asked) && (one.application === undefined || one.application === application);
  });
}

/** The applications that these grants show; undefined: all. */
export function seenApplications(grants: readonly Grant[]): readonly ApplicationName[] | undefined {
  const seen = new Set<ApplicationName>();
  for (const { application } of grants) {
    if (application === undefined) return undefined;
    seen.add(application);
  }
  return [...seen];
}

/** `approver`, `developer:thingy`, `approver:thingy/production`. */
export function formatGrant({ role, application, environment }: Grant): string {
  const place = [application, environment].filter((one) => one !== undefined).join('/');
  return place === '' ? role : `${role}:${place}`;
}

const grantPattern = /^([a-z]+)(?::([^/]+)(?:\/(.+))?)?$/;

export function parseGrant(text: string): Grant | undefined {
  const [, name, application, environment] = grantPattern.exec(text) ?? [];
  const role = roles.find((one) => one === name);
  if (role === undefined) return undefined;
  if (application === undefined) return { role };
  if (!isApplicationName(application)) return undefined;
  if (environment === undefined) return { role, application };
  if (!isEnvironmentName(environment) || !includesRole(role, 'approver')) return undefined;
  return { role, application, environment };
}
