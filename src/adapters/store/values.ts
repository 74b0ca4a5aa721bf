import { DomainError } from '../../core/errors.ts';
import type { Flag, Json } from './tables.ts';

/** Foreign text, cut to a length. NUL and halves of characters go: PostgreSQL refuses them. */
export function cutText(text: string, maxLength: number): string {
  const clean = text.replaceAll('\0', '').toWellFormed().slice(0, maxLength);
  return clean.isWellFormed() ? clean : clean.slice(0, -1);
}

/** Text that names something must be stored as it came, or two names could become one. */
export function checkedText(text: string, what: string, maxLength: number): string {
  if (text !== '' && text.length <= maxLength && !text.includes('\0') && text.isWellFormed()) return text;
  throw new DomainError('input-invalid', `${what} must be text of 1 to ${maxLength} characters without NUL`);
}

export function toFlag(value: boolean): Flag {
  return value ? 1 : 0;
}

export function toJson(value: unknown): Json {
  return JSON.stringify(value);
}

/** Only for what `toJson` wrote. */
export function fromJson(json: Json): unknown {
  return JSON.parse(json);
}

/** Rows say null for what is absent, the domain says undefined. */
export function present<T>(value: T | null): T | undefined {
  return value ?? undefined;
}

/** `in` these, not `not in` the others: only that finds its rows by an index. */
export const openStatuses = ['pending', 'waiting', 'running', 'paused'] as const;
