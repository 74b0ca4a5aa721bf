import { subscribe } from 'node:diagnostics_channel';
import { Agent } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import Docker from 'dockerode';
import type { DockerOptions } from 'dockerode';
import { DomainError } from '../../core/errors.ts';

const agents = new WeakSet<Agent>();

/**
 * docker-modem 5.0.7 waits for ever for an answer that begins and does not end: measured with `wait`, whose answer has begun for as long as the container
 * runs, when the engine is killed. As an error of the request it hears of it.
 */
subscribe('http.client.response.finish', (message) => {
  const { request, response } = message as { readonly request: ClientRequest; readonly response: IncomingMessage };
  if (!('agent' in request && request.agent instanceof Agent && agents.has(request.agent))) return;
  response.once('close', () => {
    if (!response.complete) request.emit('error', new Error('the connection ended in the middle of the answer'));
  });
});

/**
 * The client of one container engine. Nothing is sent before the first call, so an engine that is absent fails calls and not the start of Loam.
 * `timeoutMs`: what an answer may take from one byte to the next; by default for ever.
 */
export function openEngine(socketPath: string, { timeoutMs }: { readonly timeoutMs?: number } = {}): Docker {
  const agent = new Agent();
  agents.add(agent);
  // Its types do not know that it hands the agent on.
  const options: DockerOptions & { readonly agent: Agent } = { socketPath, agent };
  return new Docker(timeoutMs === undefined ? options : { ...options, timeout: timeoutMs });
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

/** What an answer of one of these statuses means is known: it becomes undefined. */
export async function unless<T>(statuses: readonly number[], call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (statuses.includes(statusOf(error) ?? 0)) return undefined;
    throw error;
  }
}

/** Undefined for 404: what is asked for does not exist. All other failures are `engine-unavailable`. */
export async function unlessAbsent<T>(call: Promise<T>): Promise<T | undefined> {
  return unless([404], call).catch((error: unknown) => {
    throw unavailable(error);
  });
}
