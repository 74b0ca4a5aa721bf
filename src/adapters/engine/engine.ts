import Docker from 'dockerode';
import { DomainError } from '../../core/errors.ts';

/** The client of one container engine. Nothing is sent before the first call, so an engine that is absent fails calls and not the start of Loam. */
export function openEngine(socketPath: string): Docker {
  return new Docker({ socketPath });
}

/** The HTTP status that the engine answered with; undefined when there was no answer, or it is no error of the engine's. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined;
}

/** What the engine answered, for a person: its own words without the client's frame. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const json = 'json' in error ? error.json : undefined;
  const message = typeof json === 'object' && json !== null && 'message' in json ? json.message : undefined;
  return typeof message === 'string' ? message : error.message;
}

/** Everything that the engine did not answer as expected: it may be away or overloaded, and the same call may succeed later. */
export function unavailable(error: unknown): DomainError {
  if (error instanceof DomainError) return error;
  return new DomainError('engine-unavailable', `the container engine failed: ${reasonOf(error)}`, { cause: error });
}

/** Undefined for 404: what is asked for does not exist. All other failures are `engine-unavailable`. */
export async function unlessAbsent<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw unavailable(error);
  }
}
