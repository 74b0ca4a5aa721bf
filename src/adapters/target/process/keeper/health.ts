import { whyUnhealthy } from '../../../front/health.ts';
import type { ProcessIdentity } from '../../../host/process-identity.ts';
import { findPortHolder, readTree } from './process-tree.ts';

export type Checkup =
  | { readonly type: 'healthy' }
  | { readonly type: 'unhealthy'; readonly reason: string }
  /** Another program's server has the port: this replica needs another one. */
  | { readonly type: 'port-taken' };

/** Asks the health path, and only believes an answer that came from the replica's own process. */
export async function checkHealth(app: ProcessIdentity, port: number, path: string): Promise<Checkup> {
  const holder = findPortHolder(port, readTree(app));
  if (holder === 'foreign') return { type: 'port-taken' };
  if (holder === 'nobody')
    return { type: 'unhealthy', reason: `nothing listens on port ${port} (the port is in the variable PORT)` };
  const reason = await whyUnhealthy(port, path);
  return reason === undefined ? { type: 'healthy' } : { type: 'unhealthy', reason };
}
