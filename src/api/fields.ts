// What a caller may write into a path, a query or a body. One definition bounds it, says what is wrong with it (I10) and documents it.
import { z } from 'zod';
import {
  parseApplicationName,
  parseEnvironmentName,
  parseSha,
  parseTaskName,
  isApplicationName,
  isSha,
  isTaskName,
} from '../core/model/ids.ts';

const nameRule = 'lower-case letters, digits and hyphens, at most 40, beginning with a letter';
const taskRule = 'letters, digits, hyphens and underscores, at most 60, beginning with a letter';

/** Text of a person: bounded, without NUL, which PostgreSQL refuses. */
export function text(maxLength: number): z.ZodString {
  return z
    .string()
    .max(maxLength)
    .regex(/^[^\0]*$/, 'must not contain NUL');
}

export const ApplicationNameText = z.string().refine(isApplicationName, nameRule).transform(parseApplicationName);
export const EnvironmentNameText = z.string().refine(isApplicationName, nameRule).transform(parseEnvironmentName);
export const TaskNameText = z.string().refine(isTaskName, taskRule).transform(parseTaskName);
export const ShaText = z
  .string()
  .refine(isSha, 'a full commit id: 40 hexadecimal digits in lower case')
  .transform(parseSha);
/** Name of a trust or token. */
export const PlainName = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9_.-]{0,59}$/,
    'letters, digits, dots, hyphens and underscores, at most 60, beginning with a letter',
  );
export const SecretName = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_-]{0,99}$/,
    'letters, digits, hyphens and underscores, at most 100, beginning with a letter',
  );
export const Globs = z.array(text(200).min(1)).max(50);
export const WholeNumber = z
  .string()
  .regex(/^[0-9]{1,15}$/, 'a whole number')
  .transform(Number);
export const PositiveNumber = z
  .string()
  .regex(/^[1-9][0-9]{0,9}$/, 'a number from 1 on')
  .transform(Number);
