// Who changed what: a row is durable before a changing handler runs, its outcome is added after. Only fields that a route names are kept (I7).
import type { Request } from 'express';
import type { z } from 'zod';
import { errorKinds } from '../core/errors.ts';
import type { Token } from '../ports/credential-store.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import { asDomainError } from './problem.ts';
import { addressOf } from './rate-limit.ts';
import { readBody } from './route.ts';
import type { Route } from './route.ts';

interface AuditDependencies {
  readonly store: Pick<Store, 'audit'>;
  readonly logger: Logger;
}

/** Throws `store-unavailable`, and then nothing has been done: there is no change without its row. */
export async function audited<Answer>(
  { store, logger }: AuditDependencies,
  route: Route,
  { token, request }: { readonly token: Token; readonly request: Request },
  work: () => Promise<Answer>,
): Promise<Answer> {
  if (route.method === 'get') return work();
  const number = await store.audit.begin({
    token: token.name,
    address: addressOf(request),
    method: request.method,
    path: request.path,
    details: detailsOf(route, request),
  });
  const end = async (status: number, code: string | undefined): Promise<void> => {
    // The change is done, or refused: its answer must not be lost with the note of it.
    await store.audit.end(number, { status, code }).catch((error: unknown) => {
      logger.error({ number, status, code, error }, 'outcome not noted in the audit log');
    });
  };
  try {
    const answer = await work();
    await end(route.jsonStatus ?? 200, undefined);
    return answer;
  } catch (error) {
    const { code } = asDomainError(error);
    await end(errorKinds[code].status, code);
    throw error;
  }
}

const maxLength = 300;

/** Nothing of what the route will refuse: a secret that was sent in the wrong field would lie here in clear. */
function detailsOf({ recorded, query, body }: Route, request: Request): Readonly<Record<string, unknown>> {
  if (recorded.length === 0) return {};
  const [givenQuery, givenBody] = [fitting(query, () => request.query), fitting(body, () => readBody(request))];
  if (givenQuery === undefined || givenBody === undefined) return {};
  const given: Readonly<Record<string, unknown>> = { ...givenQuery, ...givenBody };
  return Object.fromEntries(
    recorded.flatMap((name) => {
      const value = given[name];
      if (value === undefined) return [];
      return [[name, JSON.stringify(value).length > maxLength ? '(too long to keep)' : value]];
    }),
  );
}

/** As it was given, without the schema's defaults; undefined when it does not fit. */
function fitting(schema: z.ZodType | undefined, read: () => unknown): object | undefined {
  if (schema === undefined) return {};
  try {
    const value = read();
    return schema.safeParse(value).success && typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined; // not even JSON
  }
}
