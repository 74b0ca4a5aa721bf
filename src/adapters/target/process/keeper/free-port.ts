import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port of 127.0.0.1 that nobody has at this moment; `wanted`, if that one is free. */
export async function findFreePort(wanted?: number): Promise<number> {
  const server = createServer();
  server.listen({ host: '127.0.0.1', port: wanted ?? 0 });
  try {
    await once(server, 'listening');
  } catch (error) {
    if (wanted === undefined) throw error;
    return findFreePort();
  }
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
  return address.port;
}
