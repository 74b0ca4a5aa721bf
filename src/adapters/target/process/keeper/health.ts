import { get } from 'node:http';
import type { ProcessIdentity } from '../process-identity.ts';
import { findPortHolder, readTree } from './process-tree.ts';

export type Checkup =
  | { readonly type: 'healthy' }
  | { readonly type: 'unhealthy'; readonly reason: string }
  /** Another program's server has the port: this replica needs another one. */
  | { readonly type: 'port-taken' };

const timeoutMs = 2000;

/** Asks the health path, and only believes an answer that came from the replica's own process. */
export async function checkHealth(app: ProcessIdentity, port: number, path: string): Promise<Checkup> {
  const holder = findPortHolder(port, readTree(app));
  if (holder === 'foreign') return { type: 'port-taken' };
  if (holder === 'nobody')
    return { type: 'unhealthy', reason: `nothing listens on port ${port} (the port is in the variable PORT)` };
  const answer = await ask(port, path);
  if (typeof answer === 'string') return { type: 'unhealthy', reason: `GET ${path} failed: ${answer}` };
  if (answer < 200 || answer > 299) return { type: 'unhealthy', reason: `GET ${path} answered ${answer}` };
  return { type: 'healthy' };
}

function ask(port: number, path: string): Promise<number | string> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const request = get({
      host: '127.0.0.1',
      port,
      path,
      agent: false,
      signal,
      headers: { 'user-agent': 'loam-keeper' },
    });
    request.on('response', (response) => {
      response.on('error', () => undefined).resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', (error) => resolve(signal.aborted ? `no answer within ${timeoutMs / 1000} s` : error.message));
  });
}
