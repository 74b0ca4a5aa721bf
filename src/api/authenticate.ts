import type { Request } from 'express';
import { DomainError } from '../core/errors.ts';
import { Secret } from '../ports/secret.ts';
import type { Token, TokenStore } from '../ports/credential-store.ts';
import { mayUse } from './route.ts';
import type { Access } from './route.ts';

const bearer = /^Bearer ([A-Za-z0-9._~+/=-]{1,200})$/i;

/** Who calls, if the route asks for a token. Throws `unauthenticated` and `forbidden`. */
export async function authenticate(tokens: TokenStore, request: Request, access: Access): Promise<Token | undefined> {
  if (access === 'public' || access === 'trigger') return undefined;
  const [, text] = bearer.exec(request.headers.authorization ?? '') ?? [];
  const token = text === undefined ? undefined : await tokens.authenticate(new Secret(text));
  if (token === undefined) {
    throw new DomainError('unauthenticated', 'Send a valid token in the header authorization: Bearer <token>');
  }
  if (!mayUse(token.role, access)) {
    const message = `This asks for the role ${access}; the token ${token.name} has the role ${token.role}`;
    throw new DomainError('forbidden', message);
  }
  return token;
}

const loopbackHosts = ['127.0.0.1', 'localhost', '[::1]'];

/** A page of another site can make a browser call the loopback under a name of its own (DNS rebinding): only known names pass. */
export function checkHost(request: Request, allowed: readonly string[]): void {
  const host = (request.headers.host ?? '').replace(/:[0-9]+$/, '').toLowerCase();
  if (loopbackHosts.includes(host) || allowed.includes(host)) return;
  throw new DomainError('forbidden', 'The host of this request is not one that Loam was told to answer for');
}
