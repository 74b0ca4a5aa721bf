import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Holds a name for the life of this process, or says that another process holds it. The kernel gives the name back at the holder's death, also after a
 * kill -9, so there is no stale lock to judge: an abstract unix socket, which nobody talks to.
 */
export async function holdName(kind: string, folder: string): Promise<(() => void) | undefined> {
  const digest = createHash('sha256').update(folder).digest('hex').slice(0, 40);
  const server = createServer((socket) => socket.destroy());
  server.listen(`\0loam-${kind}-${digest}`);
  try {
    await once(server, 'listening');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined;
    throw error;
  }
  server.unref();
  return () => server.close();
}
