import { z } from 'zod';
import { DomainError } from '../../../core/errors.ts';
import type { Problem } from '../../../core/errors.ts';
import { jsonPointer } from '../../../core/graph/json-pointer.ts';

type Settings = Readonly<Record<string, unknown>>;

/** An instant among the settings of a trust. */
export const instant = z.iso.datetime({
  offset: true,
  error: 'must be an instant with its zone, such as 2030-01-31T10:00:00Z',
});

/** The problems of a registration that its settings alone are to blame for. */
export function checkSettings(schema: z.ZodType, settings: Settings): readonly Problem[] {
  const issues = schema.safeParse(settings).error?.issues ?? [];
  return issues.map(({ path, message }) => ({ pointer: jsonPointer(['settings', ...path]), message }));
}

/** Throws `input-invalid`: an earlier version of Loam did not check what it stored. */
export function readSettings<Schema extends z.ZodType>(schema: Schema, settings: Settings): z.output<Schema> {
  const problems = checkSettings(schema, settings);
  if (problems.length === 0) return schema.parse(settings);
  const text = problems.map(({ pointer, message }) => `${pointer} ${message}`).join('; ');
  throw new DomainError('input-invalid', `the settings of the trust are not valid: ${text}`, { problems });
}
