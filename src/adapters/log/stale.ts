import { DomainError } from '../../core/errors.ts';

/** Refuses a writer that is not the log's (any more). */
export function stale(message: string): DomainError {
  return new DomainError('fence-stale', message);
}

export function anotherWriter(): DomainError {
  return stale('another writer went on with the log of this attempt');
}
