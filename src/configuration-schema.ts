import { z } from 'zod';

export interface Documented {
  readonly description: string;
  /** What holds when the variable is not set. */
  readonly standard: string;
}

export function documented<S extends z.ZodType>(schema: S, standard: string, description: string): S {
  return schema.meta({ description, standard });
}

export function port(standard: number, description: string): z.ZodType<number, string | undefined> {
  const schema = z
    .string()
    .regex(/^\d{1,5}$/, 'must be a port number from 0 to 65535')
    .transform(Number)
    .refine((value) => value <= 65_535, 'must be a port number from 0 to 65535')
    .prefault(String(standard));
  return documented(schema, String(standard), description);
}

export const count = z
  .string()
  .regex(/^[1-9]\d{0,3}$/, 'must be a whole number from 1 to 9999')
  .transform(Number);

export const hosts = z
  .string()
  .max(2_000)
  .toLowerCase()
  .regex(/^[a-z0-9.-]+(?:,[a-z0-9.-]+)*$/, 'must be host names with commas between, without ports')
  .transform((text) => text.split(','));
