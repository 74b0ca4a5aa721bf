import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';

export const KeyRotation = z
  .object({
    /** Secrets, tokens and credentials that an older key had sealed. */
    resealed: z.int(),
  })
  .meta({ id: 'KeyRotation' });
export type KeyRotation = z.infer<typeof KeyRotation>;

export function keyRoutes({ store, addKey }: RouteDependencies): readonly Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/keys/rotate',
      access: 'admin',
      scope: 'loam',
      summary: 'Makes a new master key and seals all secrets with it; nothing has to be stopped',
      body: z.strictObject({
        /** False: the key is in the key files already, in front. */
        newKey: z.boolean().default(true),
      }),
      recorded: ['newKey'],
      answer: KeyRotation,
      handle: async ({ body }) => {
        if (body.newKey) {
          if (addKey === undefined) throw sharedDatabase();
          await addKey();
        }
        return { resealed: await store.reseal() };
      },
    }),
  ];
}

function sharedDatabase(): DomainError {
  return new DomainError(
    'input-invalid',
    'The database may have several hosts: put a new key behind the present one in the key file of each, then in front in each, then call again with newKey false (loam key rotate --no-new-key)',
  );
}
