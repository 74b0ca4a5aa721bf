import { z } from 'zod';
import type { AuditEntry } from '../../ports/audit-store.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { PlainName, PositiveNumber } from '../fields.ts';
import { Instant } from '../schema.ts';
import { instant } from '../view.ts';

export const AuditView = z
  .object({
    number: z.int(),
    at: Instant,
    token: z.string(),
    address: z.string(),
    method: z.string(),
    path: z.string(),
    details: z.record(z.string(), z.unknown()),
    /** Null while the call is under way, and when Loam died in it: then nobody knows whether it was done. */
    status: z.int().nullable(),
    code: z.string().nullable(),
  })
  .meta({ id: 'AuditEntry' });
export type AuditView = z.infer<typeof AuditView>;

export function auditRoutes({ store }: RouteDependencies): readonly Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/audit',
      access: 'admin',
      scope: 'loam',
      summary: 'Lists the calls that changed something, or were refused, newest first; the newest 100,000 are kept',
      query: z.object({
        limit: PositiveNumber.pipe(z.int().max(500)).default(50),
        /** Number of an entry: only older ones. */
        before: PositiveNumber.optional(),
        token: PlainName.optional(),
      }),
      answer: z.object({ entries: z.array(AuditView) }),
      handle: async ({ query }) => ({ entries: (await store.audit.list(query)).map(viewEntry) }),
    }),
  ];
}

function viewEntry({ atMs, details, outcome, ...entry }: AuditEntry): AuditView {
  return {
    ...entry,
    at: instant(atMs),
    details: { ...details },
    status: outcome?.status ?? null,
    code: outcome?.code ?? null,
  };
}
