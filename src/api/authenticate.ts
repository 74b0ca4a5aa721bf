import type { Request } from 'express';
import { DomainError } from '../core/errors.ts';
import { formatGrant, mayAct, mayActSomewhere, seenApplications } from '../core/model/access.ts';
import type { Place, Role } from '../core/model/access.ts';
import { isApplicationName, isEnvironmentName, parseRunId } from '../core/model/ids.ts';
import type { ApplicationName } from '../core/model/ids.ts';
import { Secret } from '../ports/secret.ts';
import type { Token, TokenStore } from '../ports/credential-store.ts';
import type { Access, Route, Scope } from './route.ts';

const bearer = /^Bearer ([A-Za-z0-9._~+/=-]{1,200})$/i;

/** Who calls, if the route asks for a token. Throws `unauthenticated`. */
export async function authenticate(tokens: TokenStore, request: Request, access: Access): Promise<Token | undefined> {
  if (access === 'public' || access === 'trigger') return undefined;
  const [, text] = bearer.exec(request.headers.authorization ?? '') ?? [];
  const token = text === undefined ? undefined : await tokens.authenticate(new Secret(text));
  if (token === undefined) {
    throw new DomainError('unauthenticated', 'Send a valid token in the header authorization: Bearer <token>');
  }
  return token;
}

/** Throws `forbidden`. What is no name fits no grant; who has the role everywhere is told by the route's own schema. */
export function authorize(token: Token, { access, scope }: Route, params: Request['params']): void {
  const role = access === 'public' || access === 'trigger' ? 'admin' : access;
  const { application, environment } = placeOf(params);
  if (scope === 'seen') return;
  if (scope === 'gate' && application !== undefined && mayActSomewhere(token.grants, role, application)) return;
  const places: Readonly<Record<Exclude<Scope, 'seen'>, Place>> = {
    none: {},
    loam: {},
    application: { application },
    environment: { application, environment },
    gate: { application },
  };
  demand(token, role, places[scope]);
}

function placeOf({ application, environment }: Request['params']): Place {
  return {
    application: typeof application === 'string' && isApplicationName(application) ? application : undefined,
    environment: typeof environment === 'string' && isEnvironmentName(environment) ? environment : undefined,
  };
}

/** For what only the handler knows the place of. Throws `forbidden`. */
export function demand(token: Token, role: Role, place: Place): void {
  if (mayAct(token.grants, role, place)) return;
  const held = token.grants.map(formatGrant).join(', ');
  const asked = formatGrant({ role, ...place });
  throw new DomainError('forbidden', `This asks for the role ${asked}; the token ${token.name} has ${held}`);
}

/** Of rows of many applications those that the caller may see. */
export function onlySeen<Row>(token: Token, rows: readonly Row[], applicationOf: (row: Row) => string): Row[] {
  const seen: readonly string[] | undefined = seenApplications(token.grants);
  return rows.filter((row) => seen?.includes(applicationOf(row)) ?? true);
}

export function applicationOfRun({ run }: { readonly run: string }): ApplicationName {
  return parseRunId(run).application;
}

const loopbackHosts = ['127.0.0.1', 'localhost', '[::1]'];

/** A page of another site can make a browser call the loopback under a name of its own (DNS rebinding): only known names pass. */
export function checkHost(request: Request, allowed: readonly string[]): void {
  const host = (request.headers.host ?? '').replace(/:[0-9]+$/, '').toLowerCase();
  if (loopbackHosts.includes(host) || allowed.includes(host)) return;
  throw new DomainError('forbidden', 'The host of this request is not one that Loam was told to answer for');
}
